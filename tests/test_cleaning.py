"""Each rule drops what it names, keeps what only looks like it, and can be switched off."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from translator.cleaning import fault, lengths_differ, letters, numbers_disagree
from translator.config import CleaningConfig
from translator.tokenizer import normalize

OFF = CleaningConfig(
    min_characters=0, max_characters=0, max_ratio=0, min_hangul=0, min_latin=0,
    untranslated=False, broken=False, markup=False, numbers=False, duplicates=False, max_repeats=0,
)  # fmt: skip


def why(english: str, korean: str, config: CleaningConfig | None = None) -> str | None:
    pair = normalize(english), normalize(korean)
    return fault((english, korean), pair, config or CleaningConfig())


@pytest.mark.parametrize(
    ("english", "korean"),
    [
        ("I am a student.", "나는 학생이다."),
        ("Go!", "가!"),
        ("Minsu works for IBM and Samsung.", "민수는 IBM과 Samsung에서 일해요."),  # names stay in Latin
        ("It is called John Smith.", "John Smith라고 합니다."),
        ("Use the git commit command.", "git commit 명령을 쓰세요."),
        ("Haha, really?", "ㅋㅋㅋ 진짜?"),
        ("The population is 120 million.", "인구는 1억 2000만 명이다."),
        ("He paid 15,000 won in 2010.", "그는 2010년에 만 오천 원을 냈다."),
        ("There are 1,995 days left.", "1995일 남았다."),
        ("Twenty people came.", "20명이 왔다."),
        ("It happened on Feb. 14.", "2월 14일에 일어난 일이다."),
        ("It costs 3 dollars.", "5달러입니다."),  # one digit is too little to go by
        ("We met at 10:30.", "우리는 10시 반에 만났다."),
        ("I <3 you & me.", "나는 너와 나를 <3 해."),
        ("x < y and y > z", "x < y이고 y > z"),
        ("Café, naïve, Citroën: Chloë’s “crème brûlée”…", "카페, 순진한, 시트로엥: 클로에의 “크렘 브륄레”…"),
        ("São Paulo is 20° warm.", "상파울루는 20°로 따뜻하다."),
        ("Nature (自然) is good.", "자연(自然)은 좋다."),
        ("[Laughs] Okay.", "[웃음] 좋아."),
        # Names that both sides have outweigh the rest.
        ("Members were Ann Lee, Bob Ray and João Fox.", "Ann Lee, Bob Ray, João Fox가 회원이었다."),
        ("He left at 11:34.", "그는 11시 34분에 떠났다."),
        ("He left at 0715.", "그는 7시 15분에 떠났다."),
        ("He ran a 12.87.", "그는 12초87을 뛰었다."),
        ("The storm is 40 miles away.", "폭풍은 64km 밖에 있다."),
        ("It was 77 degrees.", "25도였다."),
    ],
)
def test_a_good_pair_stays(english: str, korean: str) -> None:
    assert why(english, korean) is None


@pytest.mark.parametrize(
    ("english", "korean", "reason", "off"),
    [
        ("Hi", "안", "too short", {"min_characters": 1}),
        ("go " * 20, "가자 " * 10, "too long", {"max_characters": 0}),
        ("go " * 12, "가자 " * 14, "too long", {"max_characters": 0}),
        ("It is 5\ufffd cold.", "5도로 춥다.", "broken characters", {"broken": False}),
        ("It is here.", "占쏙옙 있다.", "broken characters", {"broken": False}),
        ("The cafÃ© is here.", "카페가 있다.", "broken characters", {"broken": False}),
        ("Itâ€™s here.", "여기 있다.", "broken characters", {"broken": False}),
        ("It is here\ue001.", "여기 있다.", "broken characters", {"broken": False}),
        ("See <b>here</b>.", "여기를 봐.", "markup or web address", {"markup": False}),
        ("See here.", "여기를<br/> 봐.", "markup or web address", {"markup": False}),
        ("You &amp; me.", "너와 나.", "markup or web address", {"markup": False}),
        ("You &#39; me.", "너와 나.", "markup or web address", {"markup": False}),
        ("See https://a.org now", "지금 봐", "markup or web address", {"markup": False}),
        ("See us.", "www.a.org를 보세요.", "markup or web address", {"markup": False}),
        ("A {{name}} b.", "가나다라마.", "markup or web address", {"markup": False}),
        ("See [[Seoul]].", "서울을 보라.", "markup or web address", {"markup": False}),
        ("안녕 Ok Hello!", "안녕 OK, hello.", "not translated", {"untranslated": False}),
        ("Bonjour, hello", "Hello, bonjour 여", "wrong script", {"min_hangul": 0}),
        ("Press the red button", "Press the red button 를", "wrong script", {"min_hangul": 0}),
        ("Good day, Ann Lee", "Ann Lee", "wrong script", {"min_hangul": 0}),
        ("Good day, Ann Lee", "Good luck to Ann Lee 여", "wrong script", {"min_hangul": 0}),
        ("여보세요 여러분 hi", "안녕하세요", "wrong script", {"min_latin": 0}),
        ("Привет, друг", "안녕, 친구", "wrong script", {"min_latin": 0}),
        ("Good day", "今日は, 良い天気", "wrong script", {"min_hangul": 0}),
        ("Go now", "지금 당장 가지 않으면 늦을 거야.", "lengths differ", {"max_ratio": 0}),
        ("If you don't go now you will be late.", "가자", "lengths differ", {"max_ratio": 0}),
        ("It was in 1995.", "1996년이었다.", "numbers disagree", {"numbers": False}),
        ("10 and 20", "30과 40", "numbers disagree", {"numbers": False}),
        ("1200 of them", "12000명", "numbers disagree", {"numbers": False}),
        ("5 of 12", "5, 13", "numbers disagree", {"numbers": False}),
    ],
)
def test_a_rule_drops_its_kind_until_it_is_switched_off(
    english: str, korean: str, reason: str, off: dict[str, Any]
) -> None:
    config = CleaningConfig(min_characters=2, max_characters=40, max_ratio=2, min_hangul=0.2)
    assert why(english, korean, config) == reason
    assert why(english, korean, dataclasses.replace(config, **off)) is None
    assert why(english, korean, OFF) is None


@given(st.text(), st.text())
def test_only_pairs_without_letters_are_dropped_when_all_rules_are_off(english: str, korean: str) -> None:
    empty = not letters(normalize(english)) or not letters(normalize(korean))
    assert why(english, korean, OFF) == ("a side without letters" if empty else None)


@pytest.mark.parametrize("side", ["", " ", "...", "—", "!?", "🙂", "_", "\u200b"])
def test_a_side_without_letters(side: str) -> None:
    assert why(side, "안녕") == why("Hello", side) == "a side without letters"


syllables = st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)
hangul = st.text(syllables | st.characters(min_codepoint=0x3131, max_codepoint=0x318E), min_size=1)


def misread(text: str, encoding: str) -> str:
    """UTF-8 taken for another encoding; as browsers do, bytes that Windows-1252 has not are taken as Latin-1."""
    if encoding == "latin-1":
        return text.encode().decode("latin-1")
    return "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in text.encode())


@given(hangul, st.sampled_from(["latin-1", "cp1252"]))
@example("쎄", "cp1252")
@example("ㄱ", "cp1252")
def test_hangul_misread_is_broken_whichever_side_it_is_on(text: str, encoding: str) -> None:
    assert why("Hello", misread(text, encoding)) == "broken characters"
    assert why(misread(text, encoding), "안녕") == "broken characters"


@given(st.characters(min_codepoint=0xC0, max_codepoint=0xFF), st.sampled_from(["latin-1", "cp1252"]))
def test_an_accented_letter_misread_is_broken(letter: str, encoding: str) -> None:
    assert why("A caf" + misread(letter, encoding), "카페") == "broken characters"


@given(hangul, st.sampled_from("ÃÂìíëêãåéèñöüß"), st.sampled_from("’”…—»"))
def test_text_as_it_should_be_is_not_broken(text: str, letter: str, mark: str) -> None:
    assert why("Hello", text) != "broken characters"
    if letter not in "ÃÂ":
        assert why(f"“Bront{letter}{mark}s tale", "이야기") is None


@given(st.text(), st.text(), st.floats(1, 9))
def test_the_ratio_is_symmetric_and_forgives_more_when_larger(one: str, other: str, ratio: float) -> None:
    differ = lengths_differ(one, other, ratio)
    assert differ == lengths_differ(other, one, ratio)
    assert differ or not lengths_differ(one, other, ratio + 1)
    assert not lengths_differ(one, one, ratio)


def test_a_syllable_counts_as_two_letters() -> None:
    for n in range(1, 40):
        assert not lengths_differ("a" * 2 * n, "가" * n, 1)
    assert not lengths_differ("a" * 10, "a" * 50, 4) and lengths_differ("a" * 10, "a" * 51, 4)


numbers = st.lists(st.integers(10, 99_999), min_size=1, max_size=3)


@given(numbers, numbers)
def test_numbers_disagree_when_none_is_shared(one: list[int], other: list[int]) -> None:
    english, korean = ("; ".join(f"{n:,}" for n in one), " ".join(f"{n}번" for n in other))
    disagree = numbers_disagree(english, korean)
    assert disagree == numbers_disagree(korean, english)
    assert not (disagree and set(one) & set(other))
    if len(one) == len(other) == 1:
        assert disagree == (one != other)
    assert not numbers_disagree(english, " ".join(map(str, one)) + "번")
    assert not numbers_disagree(f"{english} miles", korean)
    assert not numbers_disagree("no number", korean) and not numbers_disagree(english, "수가 없다")
    for unit in "천만억조":
        assert not numbers_disagree(english, f"{korean} 3{unit}")


@given(st.text())
def test_letters_ignore_case_spaces_and_marks(text: str) -> None:
    assert letters(f" {text}! ") == letters(text) == letters(letters(text))
    assert not any(c.isspace() for c in letters(text))


def test_the_limits_themselves_are_allowed() -> None:
    config = dataclasses.replace(OFF, min_characters=3, max_characters=5)
    assert why("abc", "가나다", config) is None and why("ab.", "가나다", config) == "too short"
    assert why("abcde", "가나 다", config) is None and why("abcde.", "가나다", config) == "too long"
    assert why("abc", "가나다라마.", config) == "too long" and why("abc", "가 나", config) == "too short"
    assert why("ab", "가나bcdefgh", dataclasses.replace(OFF, min_hangul=2 / 9)) is None
    assert why("ab", "가나bcdefgh", dataclasses.replace(OFF, min_hangul=0.223)) == "wrong script"
    assert why("abЖ", "가", dataclasses.replace(OFF, min_latin=2 / 3)) is None
    assert why("abЖ", "가", dataclasses.replace(OFF, min_latin=0.667)) == "wrong script"
