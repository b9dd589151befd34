"""Write forms.tsv: every stem of the lexicon with every ending of the patterns (needs kiwipiepy).

Only the maintainer runs this, after adding a verb, an adjective or an ending:

    python data/everyday/make_forms.py

The generator itself reads forms.tsv and needs no package.
"""

from __future__ import annotations

import csv
from pathlib import Path

from kiwipiepy import Kiwi

HERE = Path(__file__).resolve().parent

# ending of the patterns -> what is joined after (a consonant, a vowel, a stem in ㄹ)
ENDINGS: dict[str, tuple[str, str, str]] = {
    "어요": ("어요", "어요", "어요"),
    "었어요": ("었어요", "었어요", "었어요"),
    "ㄹ": ("을", "\u11af", "\u11af"),
    "ㄴ": ("은", "\u11ab", "\u11ab"),
    "는": ("는", "는", "는"),
    "고": ("고", "고", "고"),
    "지": ("지", "지", "지"),
    "어": ("어", "어", "어"),
    "어야": ("어야", "어야", "어야"),
    "어도": ("어도", "어도", "어도"),
    "어서": ("어서", "어서", "어서"),
    "면": ("으면", "면", "면"),
    "ㄹ까요": ("을까요", "\u11af까요", "\u11af까요"),
    "지만": ("지만", "지만", "지만"),
    "기": ("기", "기", "기"),
    "러": ("으러", "러", "러"),
    "려고": ("으려고", "려고", "려고"),
    "니까": ("으니까", "니까", "니까"),
    "면서": ("으면서", "면서", "면서"),
    "었을": ("었을", "었을", "었을"),
    "다고": ("다고", "다고", "다고"),
}
# stems whose irregular class kiwi is told (it would guess some of them wrong, as 닫 -> 달아요)
IRREGULAR = frozenset(
    (
        "돕",
        "굽",
        "줍",
        "춥",
        "덥",
        "맵",
        "쉽",
        "어렵",
        "무겁",
        "가볍",
        "뜨겁",
        "차갑",
        "귀엽",
        "아름답",
        "더럽",
        "시끄럽",
        "어둡",
        "두껍",
        "고맙",
        "가깝",
        "듣",
        "걷",
        "묻",
        "짓",
        "낫",
        "붓",
        "빨갛",
        "파랗",
        "노랗",
        "하얗",
        "까맣",
        "그렇",
        "어떻",
    )
)
# stems of no lexicon row that belong to the forms all the same (literals of the patterns, and for the tests)
EXTRA = [
    ("알다", "v"),
    ("모르다", "v"),
    ("되다", "v"),
    ("그렇다", "a"),
    ("어떻다", "a"),
    ("낫다", "v"),
    ("있다", "v"),
    ("없다", "v"),
    ("아니다", "a"),
    ("웃다", "v"),
    ("읽다", "v"),
]
# where kiwi is wrong or the school form is another: (stem, ending) -> form
OVERRIDES: dict[tuple[str, str], str] = {
    ("아니", "어요"): "아니에요",
    ("아니", "었어요"): "아니었어요",
    ("아니", "었을"): "아니었을",
    ("아니", "어"): "아니어",
    ("아니", "어서"): "아니어서",
    ("아니", "어야"): "아니어야",
    ("아니", "어도"): "아니어도",
    ("아니", "다고"): "아니라고",
}


def rows(name: str) -> list[dict[str, str]]:
    """The rows of one lexicon table."""
    lines = (HERE / "lexicon" / name).read_text("utf-8").splitlines()
    return list(
        csv.DictReader((x for x in lines if not x.startswith("#")), delimiter="\t", quoting=csv.QUOTE_NONE)
    )


def stem_of(ko: str) -> str:
    """The inflected part of a dictionary form: 공부+하다 -> 하, 키가^1 크다^2 -> 크."""
    return ko.split()[-1].split("^")[0].split("+")[-1].removesuffix("다")


def batchim(char: str) -> str:
    """c, v or l: the syllable ends in a consonant, a vowel or ㄹ."""
    final = (ord(char) - 0xAC00) % 28
    return "v" if final == 0 else "l" if final == 8 else "c"


def join(kiwi: Kiwi, stem: str, kind: str, ending: str) -> str:
    """stem + ending in the right shape."""
    if (stem, ending) in OVERRIDES:
        return OVERRIDES[stem, ending]
    if kind == "a" and ending in ("ㄴ", "는") and stem[-1] in "있없":
        return stem + "는"
    tag = ("VA" if kind == "a" else "VV") + ("-I" if stem in IRREGULAR else "-R")
    shape = ENDINGS[ending]["cvl".index(batchim(stem[-1]))]
    return str(kiwi.join([(stem, tag), (shape, "EC")]))


def honorific(kiwi: Kiwi, stem: str, kind: str) -> str:
    """The stem with (으)시: 읽 -> 읽으시, 살 -> 사시, 걷 -> 걸으시."""
    tag = ("VA" if kind == "a" else "VV") + ("-I" if stem in IRREGULAR else "-R")
    shape = "으시" if batchim(stem[-1]) == "c" else "시"
    return str(kiwi.join([(stem, tag), (shape, "EC")]))


def after_si(stem: str, ending: str) -> str:
    """A stem in 시 with an ending: 시 + 어 is 셔, but 세요 at the end."""
    if ending == "어요":
        return stem[:-1] + "세요"
    if ending[0] == "어":
        return stem[:-1] + "셔" + ending[1:]
    if ending[0] == "었":
        return stem[:-1] + "셨" + ending[1:]
    if ending[0] in "ㄹㄴ":
        return stem[:-1] + {"ㄹ": "실", "ㄴ": "신"}[ending[0]] + ending[1:]
    return stem + ending


def main() -> None:
    """Write forms.tsv, sorted by stem."""
    kiwi = Kiwi()
    stems: dict[str, str] = {}
    honored: set[str] = set()
    for row in rows("verbs.tsv"):
        stems[stem_of(row["ko"])] = "v"
        if row["hon"] != "-":
            honored.add(stem_of(row["hon"]))
    for row in rows("adjectives.tsv"):
        if row["ko"].endswith("다") or "다^" in row["ko"]:
            stems.setdefault(stem_of(row["ko"]), "a")
    for word, kind in EXTRA:
        stems.setdefault(stem_of(word), kind)
    out = []
    for stem in sorted(stems):
        kind = stems[stem]
        skip = ("는", "러", "려고", "ㄹ까요") if kind == "a" else ("다고",)
        used = [e for e in ENDINGS if e not in skip or (e == "는" and stem[-1] in "있없")]
        out += [(stem, e, join(kiwi, stem, kind, e)) for e in used]
        si = honorific(kiwi, stem, kind)
        out += [(stem, "시" + e, after_si(si, e)) for e in used]
    for stem in sorted(honored):
        out += [(stem, e, after_si(stem, e)) for e in ENDINGS if e != "다고"]
    lines = ["# stem, ending, form: written by make_forms.py; endings that begin with 시 are honorific"]
    lines += ["\t".join(x) for x in out]
    (HERE / "forms.tsv").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
