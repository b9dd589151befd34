"""Files and folders that are there whole or not at all, whenever the process is killed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from translator.errors import UserError


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Write aside, flush to the disk, rename: `path` is the old file or the new one, never half of it."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        if os.name == "posix":  # the new name must reach the disk too
            folder = os.open(path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise cannot_be_written(path, error) from None


def cannot_be_written(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path}: cannot be written ({error.strerror or error}); make room, or name another place (run_dir, "
        "--out); a training goes on from its last checkpoint by the same command"
    )


def make_once(folder: Path, fill: Callable[[Path], None]) -> None:
    """Have `fill` fill `folder` if it is not there: aside, and then renamed."""
    if folder.is_dir():
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        aside = Path(tempfile.mkdtemp(suffix=".tmp", prefix=f"{folder.name}-", dir=folder.parent))
        try:
            made = aside / folder.name  # inside, since others may read it, but not what mkdtemp makes
            made.mkdir()
            fill(made)
            for path in made.rglob("*"):  # a power cut must not leave the name without the bytes
                if path.is_file():
                    with open(path, "rb") as file:
                        os.fsync(file.fileno())
            try:
                os.rename(made, folder)
            except OSError:
                if not folder.is_dir():  # else another process was faster, and made the same
                    raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise cannot_be_written(folder, error) from None


def _sweep(folder: Path) -> None:
    """Remove what a process that was killed has left, a day ago or more."""
    for left in folder.glob("*.tmp"):
        with suppress(FileNotFoundError):  # its own process has just done so
            if left.stat().st_mtime < time.time() - 86_400:
                shutil.rmtree(left, ignore_errors=True)


def damaged(folder: Path, error: Exception) -> UserError:
    """For a folder of `make_once` that cannot be read."""
    return UserError(f"{folder}: is damaged ({' '.join(str(error).split())}); delete it, and it is made anew")
