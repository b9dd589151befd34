"""The Hub for real over HTTP: a server on this machine speaks as much of its API as `datasets` asks for."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.toy import ROOT, environment, toy_pairs
from translator.config import DataConfig, SourceConfig
from translator.config_file import load_config
from translator.corpus import Pair

OPUS, TED, NEWS = "Helsinki-NLP/opus-100", "someone/ted-talks", "someone/news"
RECIPES = {path.stem: load_config(path).data for path in sorted((ROOT / "configs").glob("*.yaml"))}
SHA = hashlib.sha1(b"a commit").hexdigest()


def card(licence: str, header: str = "") -> bytes:
    return f"---\nlicense: {licence}\n{header}---\n# A data set\n".encode()


def in_parquet(records: list[Any]) -> bytes:
    data = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records), data)
    return data.getvalue()


def nested(pairs: list[Pair]) -> bytes:
    return in_parquet([{"translation": {"en": english, "ko": korean}} for english, korean in pairs])


def as_json(pairs: list[Pair]) -> bytes:
    return "".join(json.dumps({"english": en, "korean": ko}) + "\n" for en, ko in pairs).encode()


def as_csv(pairs: list[Pair]) -> bytes:
    return ("ko,en\n" + "".join(f'"{korean}","{english}"\n' for english, korean in pairs)).encode()


def thirds(split: str) -> list[Pair]:
    """Some pairs for a split, most of them its own."""
    start = ["train", "validation", "test"].index(split)
    return toy_pairs()[start::3]


CONFIGS = "configs:\n- config_name: en-ko\n  data_files:\n" + "".join(
    f"  - split: {split}\n    path: en-ko/{split}-*\n" for split in ("train", "validation", "test")
)

REPOSITORIES: dict[str, dict[str, bytes]] = {
    OPUS: {"README.md": card("unknown", CONFIGS)}
    | {f"en-ko/{split}-00000.parquet": nested(thirds(split)) for split in ("train", "validation", "test")},
    TED: {"README.md": card("cc-by-nc-nd-4.0")}
    | {f"{split}.jsonl": as_json(thirds(split)) for split in ("train", "validation", "test")},
    NEWS: {"README.md": card("cc-by-sa-3.0")}
    | {f"{split}.csv": as_csv(thirds(split)) for split in ("train", "validation", "test")},
    "someone/script": {"README.md": card("mit"), "script.py": b"import datasets\n"},
    "someone/torn": {"README.md": card("mit"), "train.parquet": nested(toy_pairs())},
    "someone/empty": {"README.md": card("mit")},
}


def recipe_sources(data: DataConfig) -> list[SourceConfig]:
    return [source for source in [*data.sources, *data.validation, *data.test] if source.hub]


# Whatever else the recipes name: a data set with the columns and splits that they ask for.
for name in {source.hub for data in RECIPES.values() for source in recipe_sources(data)} - set(REPOSITORIES):
    asked = [source for data in RECIPES.values() for source in recipe_sources(data) if source.hub == name]
    licence = next((source.licence for source in asked if source.licence), "unknown")
    columns = next(((s.target_column, s.source_column) for s in asked if s.source_column), ("ko", "en"))
    REPOSITORIES[name] = {"README.md": card(licence)} | {
        f"{source.split}.parquet": in_parquet(
            [dict(zip(columns, reversed(pair), strict=True)) for pair in thirds(source.split)]
        )
        for source in asked
    }


class Handler(BaseHTTPRequestHandler):
    """What the Hub answers: descriptions, lists of files, files."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        name = "/".join(path.removeprefix("/api").split("/")[2:4])
        if name == "someone/slow":  # a letter now and then, for as long as anybody listens
            with suppress(OSError):
                while True:
                    self.wfile.write(b"H")
                    time.sleep(0.05)
        if name == "someone/busy":
            return self.send(503, b"busy")
        if name == "someone/private":
            return self.send(401, error="RepoNotFound")
        if name not in REPOSITORIES:
            return self.send(404, error="RepoNotFound")
        files, rest = REPOSITORIES[name], path.removeprefix("/api").split("/")[4:]
        if rest and rest[0] in ("revision", "tree", "paths-info", "resolve"):
            what, revision, inside = rest[0], rest[1], "/".join(rest[2:])
            if revision not in ("main", SHA):
                return self.send(404, error="RevisionNotFound")
        else:
            what, inside = "revision", ""
        if what == "resolve":
            if inside not in files:
                return self.send(404, error="EntryNotFound")
            return self.send(200, files[inside], torn=name == "someone/torn" and inside != "README.md")
        if what == "revision":
            licence = files["README.md"].decode().split("license: ")[1].split("\n")[0]
            siblings = [{"rfilename": file} for file in files]
            return self.send_json({"id": name, "sha": SHA, "siblings": siblings, "cardData": {"license": licence}})
        if what == "paths-info":
            length = int(self.headers.get("Content-Length") or 0)
            paths = json.loads(self.rfile.read(length))["paths"]
            return self.send_json([self.entry(files, file) for file in files if file in paths])
        folders = {file.rpartition("/")[0] for file in files} - {""}
        entries: list[dict[str, object]] = [
            {"type": "directory", "path": f, "oid": SHA, "size": 0} for f in folders
        ]
        entries += [self.entry(files, file) for file in files]
        self.send_json([e for e in entries if str(e["path"]).startswith(inside) and e["path"] != inside])

    do_HEAD = do_POST = do_GET

    def entry(self, files: dict[str, bytes], file: str) -> dict[str, object]:
        return {
            "type": "file",
            "path": file,
            "oid": hashlib.sha1(files[file]).hexdigest(),
            "size": len(files[file]),
        }

    def send_json(self, value: object) -> None:
        self.send(200, json.dumps(value).encode(), kind="application/json")

    def send(
        self, status: int, data: bytes = b"", kind: str = "text/plain", error: str = "", torn: bool = False
    ) -> None:
        self.send_response(status)
        headers = {"X-Error-Code": error, "X-Error-Message": error and "not found"} if error else {}
        headers |= {"Content-Type": kind, "Content-Length": str(len(data)), "X-Repo-Commit": SHA}
        headers |= {"ETag": f'"{hashlib.sha1(data).hexdigest()}"'}
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if torn else data)
        if torn:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        return


CLIENT = """
import json, os, socket, sys, time
from pathlib import Path
from translator.config import DataConfig, SourceConfig
from translator.corpus import load_corpus, read_pairs
from translator.errors import UserError
from translator import hub

hub.PATIENCE = float(os.environ.get("PATIENCE", hub.PATIENCE))

def look_up(host, *rest, **more):
    if not host.endswith("127.0.0.1"):  # `datasets` makes datasets-server.127.0.0.1 of it
        print("reaches for", host, file=sys.stderr)
    return known(host, *rest, **more)

known, socket.getaddrinfo = socket.getaddrinfo, look_up
time.sleep = lambda seconds: print("waits", seconds, file=sys.stderr)  # between one try and the next

for line in sys.stdin:
    wanted, answer = json.loads(line), {}
    try:
        if isinstance(wanted, list):
            named = [[SourceConfig(**source) for source in sources] for sources in wanted[1:]]
            data = DataConfig(sources=named[0], validation=named[1], test=named[2], validation_share=0.1)
            answer["report"] = load_corpus(data, Path(wanted[0])).report
        else:
            answer["pairs"] = read_pairs(SourceConfig(**wanted))
    except UserError as error:
        answer["mistake"] = str(error)
    print(json.dumps(answer), flush=True)
"""


class Client:
    """A process of its own, since where the Hub is has to be said before `datasets` is imported."""

    def __init__(self, endpoint: str, folder: Path, **more: str) -> None:
        self.environment = environment() | {
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(folder),
            "NO_PROXY": "127.0.0.1",
        }
        self.environment |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1"} | more
        self.stderr = folder / "stderr.txt"

    @cached_property
    def process(self) -> subprocess.Popen[str]:
        with open(self.stderr, "w", encoding="utf-8") as stderr:
            return subprocess.Popen(
                [sys.executable, "-c", CLIENT],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, env=self.environment,
            )  # fmt: skip

    def ask(self, wanted: object) -> dict[str, Any]:
        """Have a source read, or a corpus loaded."""
        assert self.process.stdin and self.process.stdout
        print(json.dumps(wanted), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, self.stderr.read_text(encoding="utf-8")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def pairs(self, source: SourceConfig) -> list[Pair]:
        answer = self.ask(asdict(source))
        assert "pairs" in answer, answer
        return [(english, korean) for english, korean in answer["pairs"]]

    def mistake(self, source: SourceConfig) -> str:
        """The message, which must be one line that begins with the data set's id or name."""
        answer = self.ask(asdict(source))
        assert "mistake" in answer, answer
        message = str(answer["mistake"])
        assert message.startswith((f"{source.hub}: ", f"{source.name}: ")) and "\n" not in message
        return message

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = Client(f"http://127.0.0.1:{server.server_port}", tmp_path_factory.mktemp("hub"))
    yield client
    client.close()
    assert "reaches for" not in client.stderr.read_text(encoding="utf-8")  # to have the download counted, say
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_data_sets_of_every_format(split: str, hub: Client) -> None:
    for source in (
        SourceConfig(hub=OPUS, config="en-ko", split=split),
        SourceConfig(
            hub=OPUS, config="en-ko", split=split, source_column="translation.en", target_column="translation.ko"
        ),
        SourceConfig(hub=OPUS, split=split, revision=SHA),
        SourceConfig(hub=TED, split=split),
        SourceConfig(hub=NEWS, split=split),
        SourceConfig(hub=NEWS, split=split, source_column="en", target_column="ko"),
    ):  # fmt: skip
        assert hub.pairs(source) == thirds(split)


@pytest.mark.parametrize("name", [name for name, data in RECIPES.items() if recipe_sources(data)])
def test_every_recipe_that_names_a_data_set_loads(name: str, hub: Client, tmp_path: Path) -> None:
    data = RECIPES[name]
    for source in recipe_sources(data):
        assert hub.pairs(source) == thirds(source.split)
    wanted = [str(tmp_path), *([asdict(s) for s in part] for part in (data.sources, data.validation, data.test))]
    report = hub.ask(wanted)["report"]
    assert report["train"] > 50 and report["validation"] > 0
    assert [source["pairs"] for source in report["sources"]] == [len(thirds(s.split)) for s in data.sources]


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        (SourceConfig(hub="someone/absent"), ["no such data set", "check the id", "`path`"]),
        (SourceConfig(hub="someone/private"), ["401", "hf auth login", "`path`"]),
        (SourceConfig(hub="someone/busy"), ["the Hub answered", "503", "try again", "`path`"]),
        (SourceConfig(hub=TED, revision="v9"), ["no revision 'v9'"]),
        (SourceConfig(hub=TED, split="dev"), ["dev", "train", "validation", "test"]),
        (SourceConfig(hub=OPUS, config="en-fr"), ["en-fr", "en-ko"]),
        (SourceConfig(hub=TED, source_column="en", target_column="ko"), ["no column 'en'", "english, korean"]),
        (
            SourceConfig(hub=NEWS, source_column="ko", target_column="en"),
            ["look swapped", "source_column and target_column"],
        ),
        (SourceConfig(hub="someone/script"), ["made by a script", "revision: refs/convert/parquet"]),
        (SourceConfig(hub="someone/torn"), ["try again", "`path`"]),
        (SourceConfig(hub="someone/empty"), ["`path`"]),
        (SourceConfig(hub="not an id"), ["not a data set's id", "`path`"]),
    ],
    ids=lambda value: value.name if isinstance(value, SourceConfig) else "",
)
def test_what_can_be_wrong(source: SourceConfig, parts: list[str], hub: Client) -> None:
    message = hub.mistake(source)
    for part in parts:
        assert part in message


def test_the_licence_on_the_card_is_told(hub: Client, tmp_path: Path) -> None:
    def load(folder: str, **settings: str) -> tuple[str, list[str]]:
        """The licence in the report, and what was said."""
        assert hub.process  # has been started, so there is a stderr
        before = len(hub.stderr.read_text(encoding="utf-8"))
        sources = [[asdict(SourceConfig(hub=name, **settings))] for name in (TED,)]  # type: ignore[arg-type]
        report = hub.ask([str(tmp_path / folder), *sources, [], []])["report"]
        said = hub.stderr.read_text(encoding="utf-8")[before:].splitlines()
        return report["sources"][0]["licence"], [line for line in said if line.startswith("note: ")]

    told = f"note: {TED} train: its licence, cc-by-nc-nd-4.0, forbids commercial use and derivatives"
    assert load("a") == ("cc-by-nc-nd-4.0", [told])
    assert load("a") == ("cc-by-nc-nd-4.0", [told])  # from the cache, where no card is read
    assert load("b", licence="mine") == ("mine", [])  # the configuration knows better


@pytest.mark.parametrize(
    ("endpoint", "patience", "reason"),
    [
        ("http://127.0.0.1:9", "25", "refused"),
        ("http://hub.invalid", "25", "[Errno "),
        ("", "0.5", "no answer in 0.5 seconds"),
    ],
    ids=["refuses", "does not resolve", "slow"],
)
def test_no_connection(endpoint: str, patience: str, reason: str, hub: Client, tmp_path: Path) -> None:
    client = Client(endpoint or hub.environment["HF_ENDPOINT"], tmp_path, PATIENCE=patience)
    message = client.mistake(SourceConfig(hub="someone/slow"))
    assert f"the Hub at {client.environment['HF_ENDPOINT']} cannot be reached (" in message and reason in message
    assert "`path`" in message and "HF_HUB_OFFLINE=1" in message
    client.close()
    assert "waits" not in client.stderr.read_text(encoding="utf-8"), "tried again and again"


def test_offline_reads_what_was_downloaded_and_says_what_was_not(hub: Client) -> None:
    assert hub.pairs(SourceConfig(hub=TED)) == thirds("train")
    offline = Client(hub.environment["HF_ENDPOINT"], Path(hub.environment["HF_HOME"]), HF_HUB_OFFLINE="1")
    offline.stderr = offline.stderr.with_name("offline.txt")
    assert offline.pairs(SourceConfig(hub=TED)) == thirds("train")
    message = offline.mistake(SourceConfig(hub="someone/absent"))
    assert "HF_HUB_OFFLINE" in message and "`path`" in message
    offline.close()
