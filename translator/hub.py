"""Sentence pairs from data sets of the Hugging Face Hub, downloaded by `datasets` into its own cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from threading import Thread
from typing import Any

from translator.config import SourceConfig
from translator.errors import UserError
from translator.files import CHUNK, Chunk, chunks, from_tables

PATIENCE = 20
"""Seconds that the Hub is given to say what a data set is."""


def read_hub(source: SourceConfig, skip_bad_lines: bool = False) -> Iterator[Chunk]:
    """All pairs of a data set of the Hub."""
    _ask_hub(source)
    import datasets  # here, since it takes half a second

    datasets.disable_progress_bars()
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # else a server on the net counts each read
    try:
        table = datasets.load_dataset(
            source.hub, source.config or None, split=source.split, revision=source.revision or None
        )
    except Exception as error:  # whatever it is, httpx's, pyarrow's or its own, it is about this data set
        raise UserError(f"{source.hub}: {_hub_reason(source, error)}") from None
    records = from_tables(table.with_format("arrow").iter(CHUNK), source, source.name)
    yield from chunks(records, f"{source.name}, record", source.name, skip_bad_lines)


def _ask_hub(source: SourceConfig) -> None:
    """Find out in seconds what `datasets` would retry for half a minute: whether the data set can be had.

    Takes the licence over from the data set's card if the configuration names none.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if constants.HF_HUB_OFFLINE:
        return
    instead = "give a local file instead, as `path`"
    try:
        info = _in_time(
            lambda: HfApi().dataset_info(source.hub, revision=source.revision or None, timeout=PATIENCE)
        )
    except HFValidationError:
        raise UserError(f"{source.hub}: not a data set's id, owner/name; for a file write `path`") from None
    except RepositoryNotFoundError:
        raise UserError(
            f"{source.hub}: no such data set on the Hub, or not a public one (401 or 404); check the id, log in "
            f"with `hf auth login`, or {instead}"
        ) from None
    except RevisionNotFoundError:
        raise UserError(f"{source.hub}: no revision {source.revision!r} there") from None
    except HfHubHTTPError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{source.hub}: the Hub answered {reason}; try again, or {instead}") from None
    except Exception as error:  # no connection: the HTTP library's errors have no base that is not its own
        reason = str(error) or f"no answer in {PATIENCE} seconds"
        raise UserError(
            f"{source.hub}: the Hub at {constants.ENDPOINT} cannot be reached ({reason}); "
            f"{instead}, or if it was downloaded before, set HF_HUB_OFFLINE=1"
        ) from None
    if not source.licence and info.card_data is not None:
        licence = info.card_data.get("license")
        source.licence = " ".join(licence) if isinstance(licence, list) else str(licence or "")


def _in_time(ask: Callable[[], Any]) -> Any:
    """What `ask` returns, or TimeoutError after PATIENCE seconds in all.

    The HTTP library's own limit is for each of a host's addresses, and for each byte of an answer, alone.
    """
    answer: Future[Any] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:
            answer.set_exception(error)

    Thread(target=work, daemon=True).start()
    return answer.result(PATIENCE)


def _hub_reason(source: SourceConfig, error: Exception) -> str:
    """What went wrong with a data set of the Hub, and the way out."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = " ".join(str(cause).split()) or type(cause).__name__
    if "OfflineModeIsEnabled" in text:
        return (
            "not downloaded yet; unset HF_HUB_OFFLINE to have it fetched, or give a local file instead, as `path`"
        )
    if "scripts are no longer supported" in text:
        return (
            "is made by a script, which `datasets` no longer runs; the Hub's own copy often works: "
            "revision: refs/convert/parquet"
        )
    return f"cannot be loaded ({text[:300]}); try again, or give a local file instead, as `path`"
