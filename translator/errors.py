"""A user's mistake is one clear line and exit code 2, never a traceback."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the user can put right. The message names the file, line or key, and the way out."""


def warn(message: str) -> None:
    """Tell the user something that does not stop the work, on standard error."""
    print(f"note: {message}", file=sys.stderr)


def run(main: Callable[[], None]) -> None:
    """Run a script's `main`: a `UserError` becomes one line on standard error and exit code 2."""
    for name in ("stdin", "stdout", "stderr"):
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")  # Korean, whatever the terminal's locale
        elif stream is None:  # closed by whoever started this
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115  as long as the process
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader has gone (`| head`): end quietly, as Unix tools do
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:  # a file that cannot be read or written
        reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or error
        print(f"error: {reason}", file=sys.stderr)
        sys.exit(2)
    except RuntimeError as error:
        if "ried to allocate" not in str(error):  # in torch's words for a full memory, on every device
            raise
        print("error: out of memory; train.accumulate=4, or a smaller --beam, needs less", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
