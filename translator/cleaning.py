"""Which pairs are dropped and why: one function a rule, on one pair at a time.

What needs the whole corpus (duplicates, repeats, overlap with the test) is in corpus.py.
"""

from __future__ import annotations

import re
from itertools import pairwise

from translator.config import CleaningConfig

_LETTERS = re.compile(r"[\W_]+")
_WORD = re.compile(r"[^\W\d_]+")
_HANGUL = re.compile("[가-힣ㄱ-ㅎㅏ-ㅣ]+")
_LATIN = re.compile("[A-Za-zÀ-ɏ]+")
_NUMBER = re.compile(r"\d[\d,.]*\d|\d")
_UNIT = re.compile(r"\d\s*[천만억조]")
_FOREIGN_UNIT = re.compile(
    r"\b(?:miles?|mph|feet|foot|yards?|inch(?:es)?|acres?|pounds?|ounces?|gallons?|degrees)\b", re.IGNORECASE
)
_MARKUP = re.compile(r"</?[a-zA-Z][^<>]*>|&(?:#\d+|[a-z]+);|https?://|www\.|\{\{|\}\}|\[\[|\]\]")
# What the second and later bytes of UTF-8, 0x80 to 0xBF, become when read as Latin-1 or Windows-1252.
_LATER = "[\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
# Such misreadings of é and 안 (two later bytes: Chloë’s is whole), CP949's famous 占쏙옙, private characters.
_BROKEN = re.compile(f"\ufffd|占쏙옙|[\ue000-\uf8ff]|[ÃÂ]{_LATER}|â€|[ìíëêãå]{_LATER}{{2}}")


def fault(raw: tuple[str, str], pair: tuple[str, str], config: CleaningConfig) -> str | None:
    """The first rule that drops a pair, by its name in the report, or None. `raw`: the pair before normalising."""
    english, korean = pair
    fewest = min(len(letters(english)), len(letters(korean)))
    if fewest == 0:
        return "a side without letters"
    if fewest < config.min_characters:
        return "too short"
    if config.max_characters and max(len(english), len(korean)) > config.max_characters:
        return "too long"
    if config.broken and any(map(_BROKEN.search, raw)):
        return "broken characters"
    if config.markup and any(map(_MARKUP.search, pair)):
        return "markup or web address"
    if config.untranslated and letters(english) == letters(korean):
        return "not translated"
    if hangul_share(english, korean) < config.min_hangul or share(_LATIN, english) < config.min_latin:
        return "wrong script"
    if config.max_ratio and lengths_differ(english, korean, config.max_ratio):
        return "lengths differ"
    if config.numbers and numbers_disagree(english, korean):
        return "numbers disagree"
    return None


def letters(sentence: str) -> str:
    """What counts when two sentences are compared: letters and digits, in lower case.

    >>> letters("I am a student.") == letters("i am a student!")
    True
    """
    return _LETTERS.sub("", sentence.lower())


def share(script: re.Pattern[str], sentence: str) -> float:
    """How many of a sentence's letters are of a script, 0 to 1; 1 if it has no letters.

    >>> share(_HANGUL, "AI가 왔다")
    0.6
    """
    total = sum(map(len, _WORD.findall(sentence)))
    return sum(map(len, script.findall(sentence))) / total if total else 1.0


def hangul_share(english: str, korean: str) -> float:
    """How much of the Korean is Hangul, Latin words with a capital left out if the English has them too.

    Those are names, which many translators leave as they are.

    >>> hangul_share("Ann met Bob.", "Ann이 Bob을 만났다."), hangul_share("Ann met Bob.", "Ann met Bob 만")
    (1.0, 0.25)
    """
    names = {word for word in _LATIN.findall(english) if word[0].isupper()}
    rest = _LATIN.sub(lambda word: "" if word[0] in names else word[0], korean)
    return share(_HANGUL, rest if _HANGUL.search(rest) else korean)


def lengths_differ(english: str, korean: str, ratio: float) -> bool:
    """Whether one side is more than `ratio` times as long as the other and ten letters more.

    Each Hangul syllable counts as two letters: it is three bytes in UTF-8, a Latin letter one, so the mean of
    bytes and characters is that count.

    >>> lengths_differ("Hi", "안녕하세요", 4), lengths_differ("Hi", "만나서 정말 반갑습니다, 여러분", 4)
    (False, True)
    """
    short, long = sorted((len(side.encode()) + len(side)) / 2 for side in (english, korean))
    return long > ratio * short + 10


def numbers_disagree(english: str, korean: str) -> bool:
    """Whether both sides have numbers of two digits or more, and none in common.

    A number on one side alone is no fault: 10 million is 천만, twenty may be 20. Nor is one with a Korean unit,
    since 120 million is 1억 2000만, or with an English one that Korean converts: 40 miles is 64km. Two neighbours
    count as one number too, since 11:34 may be 1134 or 11시 34분.

    >>> numbers_disagree("In 1,995 days", "1995일 뒤"), numbers_disagree("In 1995", "1996년에")
    (False, True)
    """
    ours, theirs = _numbers(english), _numbers(korean)
    if max(map(len, ours), default=0) < 2 or max(map(len, theirs), default=0) < 2:
        return False
    if _UNIT.search(korean) or _FOREIGN_UNIT.search(english):
        return False
    return not _joined(ours) & _joined(theirs)


def _numbers(sentence: str) -> list[str]:
    return [re.sub("[,.]", "", number).lstrip("0") for number in _NUMBER.findall(sentence)]


def _joined(numbers: list[str]) -> set[str]:
    """Those of two digits or more, and every two neighbours as one."""
    return {number for number in [*numbers, *map("".join, pairwise(numbers))] if len(number) > 1}
