"""What is written is there whole or not at all."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from translator.atomic import make_once, write_atomically
from translator.errors import UserError


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder" / "file"
    write_atomically(path, b"old")

    def full(descriptor: int) -> None:
        assert path.read_bytes() == b"old"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match=r"file: cannot be written \(No space left on device\)"):
            write_atomically(path, b"new")
    assert [p.name for p in path.parent.iterdir()] == ["file"] and path.read_bytes() == b"old"
    write_atomically(path, b"new")
    assert [p.name for p in path.parent.iterdir()] == ["file"] and path.read_bytes() == b"new"


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("half", encoding="utf-8")
        raise UserError("no")

    with pytest.raises(UserError):
        make_once(tmp_path / "cache" / "x", fail)
    assert os.listdir(tmp_path / "cache") == []


def test_a_folder_has_the_name_once_its_files_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(folder: Path) -> None:
        (folder / "inner").mkdir()
        for name in ("a", "inner/b"):
            (folder / name).touch()

    flushed: list[int] = []

    def flush(descriptor: int) -> None:
        assert not (tmp_path / "x").exists()
        flushed.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", flush)
    make_once(tmp_path / "x", fill)
    assert set(flushed) >= {(tmp_path / "x" / name).stat().st_ino for name in ("a", "inner/b")}


def test_where_nothing_can_be_written_the_place_is_named(tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match=r"cache/x: cannot be written \(No space left on device\); make room"):
        make_once(tmp_path / "cache" / "x", full)
    assert os.listdir(tmp_path / "cache") == []
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/x: cannot be written \(File exists\)"):
        make_once(tmp_path / "file" / "x", full)


def test_of_two_that_make_the_same_the_first_stays(tmp_path: Path) -> None:
    def fill(name: str, folder: Path) -> None:
        (folder / name).touch()
        if name == "slow":
            make_once(tmp_path / "cache" / "x", lambda folder: fill("quick", folder))

    make_once(tmp_path / "cache" / "x", lambda folder: fill("slow", folder))
    assert os.listdir(tmp_path / "cache") == ["x"] and os.listdir(tmp_path / "cache" / "x") == ["quick"]


def test_what_a_killed_process_left_is_swept_after_a_day(tmp_path: Path) -> None:
    for name in ("old.tmp", "new.tmp"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / "old.tmp", (time.time() - 90_000,) * 2)
    make_once(tmp_path / "x", lambda folder: None)
    assert sorted(os.listdir(tmp_path)) == ["new.tmp", "x"]
