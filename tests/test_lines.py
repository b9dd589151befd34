"""As many lines out as in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toy import ToyRun
from translator.decoding import GREEDY, Search
from translator.errors import UserError
from translator.lines import CHUNK, decoded, resume, translated
from translator.translate import Translator

NASTY = [
    "", "   ", "\t", "I like apples.\tWe buy milk.", "a\u2028b", "🙂🙂", "저는 사과를 좋아해요.", "<b>bread</b>",
    "I like\0 milk.", "\0", "We want books. " * 3_000, "\u200b", "\x85", "\x0b\x0c", "'\"`$(x)", "٣ ½ ﷽",
]  # fmt: skip


@pytest.fixture(scope="module")
def toy(toy_run: ToyRun) -> Translator:
    return Translator.load(toy_run.path)


def test_nasty_lines(toy: Translator, capsys: pytest.CaptureFixture[str]) -> None:
    found = list(translated(toy, iter(NASTY), GREEDY, start=7))
    assert [(number, text) for number, text, _ in found] == list(enumerate(NASTY, 7))
    texts = [toy.korean.decode(hypotheses[0].ids) for _, _, hypotheses in found]
    assert all(len(text.splitlines()) <= 1 for text in texts)
    assert [bool(text) for text in texts] == [bool(toy.english.encode(line)) for line in NASTY]
    notes = capsys.readouterr().err
    assert "line 17: more than 128 pieces, translated in parts" in notes and notes.count("in parts") == 1
    assert "not in the training data" in notes
    list(translated(toy, iter(NASTY), GREEDY, notes=False))
    assert capsys.readouterr().err == ""


def test_a_translation_that_the_limit_cut_off_is_named(
    toy: Translator, capsys: pytest.CaptureFixture[str]
) -> None:
    list(translated(toy, ["", "I like apples."], Search(min_length=4, max_length=4)))
    assert capsys.readouterr().err == "line 2: the translation was cut off at the length limit\n"


def test_chunks_change_nothing(toy: Translator) -> None:
    lines = ["I like apples.", "We buy milk."] * CHUNK
    found = list(translated(toy, iter(lines), GREEDY))
    assert [(number, text) for number, text, _ in found] == list(enumerate(lines, 1))
    assert len({tuple(hypotheses[0].ids) for _, _, hypotheses in found}) == 2


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))))
def test_text_comes_back(lines: list[str]) -> None:
    for end in ("\n", "\r\n"):
        data = "".join(line + end for line in lines).encode()
        assert list(decoded(_split(data), "x")) == lines


def _split(data: bytes) -> list[bytes]:
    """As a file opened for reading bytes gives its lines."""
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


@given(st.lists(st.binary(max_size=9).map(lambda data: data.replace(b"\n", b"") + b"\n"), min_size=1))
def test_bytes_that_are_not_text(lines: list[bytes]) -> None:
    replaced = list(decoded(lines, "x", "replace"))
    assert len(replaced) == len(lines)
    bad = [i for i, line in enumerate(lines, 1) if "\ufffd" in line.decode("utf-8", "replace")]
    wrong = [i for i in bad if lines[i - 1].decode("utf-8", "ignore").encode() != lines[i - 1]]
    if wrong:
        with pytest.raises(UserError, match=f"x, line {wrong[0]}: not UTF-8"):
            list(decoded(lines, "x"))
    else:
        assert list(decoded(lines, "x")) == replaced


@pytest.mark.parametrize(
    ("written", "lines", "kept"),
    [("", 0, ""), ("하나\n둘", 1, "하나\n"), ("하나\n\n", 2, "하나\n\n"), ("a\u2028b\n", 1, "a\u2028b\n")],
)
def test_resume_counts_whole_lines(written: str, lines: int, kept: str, tmp_path: Path) -> None:
    output = tmp_path / "ko.txt"
    assert resume(output) == 0 and not output.exists()
    output.write_bytes(written.encode())
    assert resume(output) == lines
    assert output.read_bytes() == kept.encode()
