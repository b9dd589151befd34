"""The bundled corpus: data/everyday is generated, correct in its forms and particles, and honestly split."""

from __future__ import annotations

import importlib.util
import re
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

EVERYDAY = Path(__file__).resolve().parents[1] / "data" / "everyday"
SPLITS = ("train", "valid", "test")

# Written by hand, one line per class of stems: stem, ending (시… is honorific) and form.
FORMS = """
읽 어요 읽어요; 읽 었어요 읽었어요; 읽 시어요 읽으세요; 읽 시었어요 읽으셨어요; 읽 ㄹ 읽을
읽 ㄴ 읽은; 읽 면 읽으면
먹 어야 먹어야; 먹 ㄹ까요 먹을까요; 드시 어요 드세요; 드시 었어요 드셨어요; 드시 고 드시고
드시 ㄹ 드실
자 어요 자요; 자 었어요 잤어요; 주무시 어요 주무세요; 주무시 었어요 주무셨어요; 주무시 지 주무시지
가 어요 가요; 가 었어요 갔어요; 가 시어요 가세요; 오 어요 와요; 오 었어요 왔어요
오 시었어요 오셨어요; 오 니까 오니까
보 어요 봐요; 보 러 보러; 보 면서 보면서; 배우 어요 배워요; 배우 었어요 배웠어요; 마시 어요 마셔요
마시 었어요 마셨어요
가르치 어요 가르쳐요; 기다리 어 기다려; 키우 어요 키워요; 보내 었어요 보냈어요; 주 었어요 줬어요
바꾸 어야 바꿔야
하 어요 해요; 하 었어요 했어요; 하 시어요 하세요; 하 어서 해서; 피곤하 어서 피곤해서
조용하 ㄴ 조용한; 되 어요 돼요; 되 었어요 됐어요
돕 어요 도와요; 돕 시었어요 도우셨어요; 돕 러 도우러; 돕 는 돕는; 굽 어요 구워요; 굽 ㄹ 구울
줍 었어요 주웠어요
춥 어요 추워요; 맵 ㄴ 매운; 쉽 어요 쉬워요; 무겁 지만 무겁지만; 귀엽 ㄴ 귀여운
아름답 어요 아름다워요; 입 어요 입어요
걷 어요 걸어요; 걷 ㄹ 걸을; 걷 시어요 걸으세요; 듣 어요 들어요; 듣 는 듣는; 듣 니까 들으니까
닫 어요 닫아요; 닫 ㄴ 닫은; 받 면 받으면
부르 어요 불러요; 부르 었어요 불렀어요; 부르 면 부르면; 고르 어요 골라요; 자르 어 잘라
빠르 어요 빨라요; 마르 어요 말라요; 모르 어요 몰라요
머무르 었어요 머물렀어요
그렇 어요 그래요; 어떻 어요 어때요; 빨갛 ㄴ 빨간; 빨갛 어요 빨개요; 하얗 ㄴ 하얀; 하얗 어요 하얘요
까맣 ㄴ 까만; 좋 어요 좋아요
낫 어요 나아요; 낫 면 나으면; 짓 어요 지어요; 짓 ㄹ 지을; 웃 어요 웃어요; 벗 었어요 벗었어요
씻 시어요 씻으세요
쓰 어요 써요; 쓰 었어요 썼어요; 끄 어요 꺼요; 크 어요 커요; 예쁘 어요 예뻐요; 바쁘 어서 바빠서
아프 시어요 아프세요; 고프 어요 고파요
살 니까 사니까; 살 는 사는; 살 시어요 사세요; 살 ㄹ 살; 만들 ㄴ 만든; 만들 시었어요 만드셨어요
만들 러 만들러; 길 ㄴ 긴; 달 ㄴ 단
열 ㄹ까요 열까요; 놀 어요 놀아요; 울 시었어요 우셨어요; 팔 고 팔고; 알 시어요 아세요
맛있 ㄴ 맛있는; 재미있 ㄴ 재미있는; 재미있 었어요 재미있었어요; 아니 어요 아니에요; 쉬 어요 쉬어요
짧 어요 짧아요; 넓 ㄴ 넓은
"""


def load() -> ModuleType:
    """The generator: data/ is no package."""
    spec = importlib.util.spec_from_file_location("everyday_generate", EVERYDAY / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """The generator."""
    return load()


@pytest.fixture(scope="module")
def splits(generate: ModuleType) -> Any:
    """All splits, generated anew."""
    return generate.make_splits()


def pairs(name: str) -> list[tuple[str, str]]:
    """The pairs of a committed split."""
    lines = (EVERYDAY / f"{name}.tsv").read_text("utf-8").splitlines()
    return [(english, korean) for english, korean in (x.split("\t") for x in lines)]


def links(name: str) -> list[tuple[set[tuple[int, int]], set[tuple[int, int]]]]:
    """The sure and the possible links of every line of a committed split."""
    out = []
    for line in (EVERYDAY / f"{name}.align").read_text("utf-8").splitlines():
        found = [re.fullmatch(r"(\d+)([-p])(\d+)", x) for x in line.split()]
        assert all(found)
        marked = [(int(x[1]), x[2], int(x[3])) for x in found if x]
        out.append(({(i, j) for i, m, j in marked if m == "-"}, {(i, j) for i, m, j in marked if m == "p"}))
    return out


def words(sentence: str) -> list[str]:
    """Words, punctuation at the end split off."""
    return re.findall(r"[^\s.,?!]+|[.,?!]", sentence)


def closed(word: str) -> str:
    """The final consonant of a Korean word, '' after a vowel."""
    last = unicodedata.normalize("NFD", word)[-1]
    return last if "\u11a8" <= last <= "\u11c2" else ""


def test_the_generator_writes_the_committed_files_byte_for_byte(
    generate: ModuleType, splits: Any, tmp_path: Path
) -> None:
    generate.write(generate.files(splits), tmp_path)
    for name in ("README.md", *(f"{x}.{kind}" for x in SPLITS for kind in ("tsv", "align"))):
        assert (tmp_path / name).read_bytes() == (EVERYDAY / name).read_bytes(), name


def test_sizes() -> None:
    assert len(pairs("train")) >= 25000
    assert len(set(pairs("train"))) == len(pairs("train"))
    assert len(pairs("valid")) == len(pairs("test")) == 500


def test_hand_checked_forms() -> None:
    forms = {}
    for line in (EVERYDAY / "forms.tsv").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            stem, ending, form = line.split("\t")
            forms[stem, ending] = form
    table = [x.split() for line in FORMS.strip().splitlines() for x in line.split(";")]
    assert len(table) >= 80
    for stem, ending, form in table:
        assert forms[stem, ending] == form, (stem, ending)


def test_no_sentence_stands_in_two_splits_on_either_side() -> None:
    for side in (0, 1):
        seen = {name: {x[side] for x in pairs(name)} for name in SPLITS}
        assert not seen["train"] & seen["valid"]
        assert not seen["train"] & seen["test"]
        assert not seen["valid"] & seen["test"]


def test_one_english_sentence_has_one_korean() -> None:
    known: dict[str, str] = {}
    for english, korean in (x for name in SPLITS for x in pairs(name)):
        assert known.setdefault(english, korean) == korean, english


def test_english_has_4_to_16_words() -> None:
    for name in SPLITS:
        assert all(4 <= len(english.split()) <= 16 for english, _ in pairs(name))


@pytest.mark.parametrize("name", ["valid", "test"])
def test_held_out_sentences_are_new_combinations_of_known_words(
    generate: ModuleType, splits: Any, name: str
) -> None:
    train = splits["train"]
    seen = {pair for x in train for pair in x.pairs}
    held = generate.Held(generate.Grammar(), generate.SEED)
    for x in splits[name]:
        own = [pair for pair in x.pairs if held.split(pair) == name]
        assert own and not seen.intersection(own), x.en
        assert all(held.split(pair) in (name, "train") for pair in x.pairs), x.en
    counts: Counter[str] = Counter()
    entries: Counter[str] = Counter()
    patterns: dict[str, set[str]] = {}
    partners: dict[str, set[str]] = {}
    for x in train:
        counts.update({y.lower() for y in words(x.en)})
        entries.update(set(x.entries))
        for entry in x.entries:
            patterns.setdefault(entry, set()).add(x.pattern)
        for _, one, other in x.pairs:
            partners.setdefault(one, set()).add(other)
            partners.setdefault(other, set()).add(one)
    for x in splits[name]:
        assert all(counts[y.lower()] >= 20 for y in words(x.en)), x.en
        for entry in x.entries:
            if entry.split(":")[0] in ("people", "noun", "place", "verb", "adj"):
                assert entries[entry] >= 20 and len(patterns[entry]) >= 5, (x.en, entry)
        for entry in (y for pair in x.pairs for y in pair[1:]):
            assert len(partners[entry]) >= 3, (x.en, entry)


def test_every_pattern_is_trained_and_most_are_tested(generate: ModuleType, splits: Any) -> None:
    grammar = generate.Grammar()
    names = [x.name for x in grammar.patterns]
    assert len(names) == len(set(names)) >= 70
    trained = Counter(x.pattern for x in splits["train"])
    assert min(trained[x.name] for x in grammar.patterns if x.weight >= 1) >= 150
    assert max(trained.values()) <= 200
    tested = Counter(x.pattern for x in splits["test"])
    assert len(tested) >= 0.8 * len(names)
    assert max(tested.values()) <= 6


@pytest.mark.parametrize("name", SPLITS)
def test_alignments(name: str) -> None:
    total = korean_words = 0
    for (english, korean), (sure, possible) in zip(pairs(name), links(name), strict=True):
        left, right = words(english), words(korean)
        assert right[-1] in ".?" and right[:-1] == korean[:-1].split()
        assert not sure & possible
        for i, j in sure | possible:
            assert left[i] not in ".,?" and right[j] not in ".?", english
        assert {j for _, j in sure} == set(range(len(right) - 1)), english
        total += len(sure)
        korean_words += len(right) - 1
    assert total / korean_words <= 1.15


def test_particles_fit_the_last_sound() -> None:
    nouns = set()
    for name in ("people", "nouns", "places", "names"):
        rows = (EVERYDAY / "lexicon" / f"{name}.tsv").read_text("utf-8").splitlines()
        rows = [x for x in rows if not x.startswith("#")]
        column = rows[0].split("\t").index("ko")
        nouns |= {x.split("\t")[column].split()[-1].split("^")[0] for x in rows[1:]}
    after_consonant = {"은", "이", "을", "과", "이에요", "이세요", "이었어요", "이셨어요"}
    after_vowel = {"는", "가", "를", "와", "예요", "세요", "였어요", "셨어요"}
    seen: Counter[str] = Counter()
    for _, korean in (x for name in SPLITS for x in pairs(name)):
        for word in korean.rstrip(".?").split():
            for size in range(1, 5):
                noun, particle = word[:-size], word[-size:]
                if noun not in nouns:
                    continue
                if particle in after_consonant:
                    assert closed(noun), word
                elif particle in after_vowel:
                    assert not closed(noun), word
                elif particle == "으로":
                    assert closed(noun) not in ("", "\u11af"), word
                elif particle == "로":
                    assert closed(noun) in ("", "\u11af"), word
                else:
                    continue
                seen[particle] += 1
    assert set(seen) >= after_consonant | after_vowel | {"으로", "로"}


def test_english_articles() -> None:
    for english, _ in (x for name in SPLITS for x in pairs(name)):
        for article, following in re.findall(r"\b([Aa]n?) (\w+)", english):
            vowel = following[0] in "aeiou" and not following.startswith("uni")
            assert (article.lower() == "an") == vowel, english


def test_no_third_person_pronouns() -> None:
    for english, korean in (x for name in SPLITS for x in pairs(name)):
        assert not re.search(r"\b(he|she|they|his|her|their|him|them)\b", english.lower()), english
        assert not re.search(r"\b그(녀|가|는|를)\b", korean), korean


def test_fresh_pairs_are_in_no_split(generate: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "fresh.tsv"
    assert generate.main(["--fresh", "200", "--seed", "12345", "--out", str(out)]) == 0
    fresh = [x.split("\t") for x in out.read_text("utf-8").splitlines()]
    assert len(fresh) == 200
    for side in (0, 1):
        seen = {x[side] for name in SPLITS for x in pairs(name)}
        assert len({x[side] for x in fresh}) == 200
        assert not seen.intersection(x[side] for x in fresh)
    generate.main(["--fresh", "200", "--seed", "12345", "--out", str(tmp_path / "again.tsv")])
    assert (tmp_path / "again.tsv").read_bytes() == out.read_bytes()


def test_readme_shows_five_outputs_of_every_pattern(generate: ModuleType, splits: Any) -> None:
    text = (EVERYDAY / "README.md").read_text("utf-8")
    shown = generate.examples(splits)
    assert set(shown) == {x.name for x in generate.Grammar().patterns}
    for name, sentences in shown.items():
        section = text.split(f"**{name}** ")[1].split("\n\n")[1]
        assert section.splitlines() == [f"- {x.en} — {x.ko}" for x in sentences]
        assert len(sentences) == 5


def test_the_grammar_gives_the_first_sentence_of_a_course(generate: ModuleType) -> None:
    grammar = generate.Grammar()
    pattern = next(x for x in grammar.patterns if x.name == "be_job")
    kinds = grammar.lexicon.kinds
    filled = {
        "n": next(x for x in kinds["noun"] if x.row["en"] == "student"),
        "s": next(x for x in kinds["people"] if x.row["en"] == "I"),
    }
    sentence = grammar.realize(pattern, filled)
    assert (sentence.en, sentence.ko) == ("I am a student.", "저는 학생이에요.")
    assert sentence.align == "0-0 1p1 2p1 3-1"
