"""The grammar of the everyday corpus: lexicon, forms and patterns, and how a pattern becomes a sentence pair.

Everything linguistic stands in lexicon/*.tsv, forms.tsv and patterns.txt; README.md explains their notation.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar

HERE = Path(__file__).resolve().parent
FUNCTION_WORDS = frozenset(
    ("a", "an", "the", "to", "at", "in", "on", "of", "for", "with", "from", "by", "up", "off", "away")
)
NO_ARTICLE = frozenset(("city", "country", "home", "subject", "sport", "racket", "meal", "season"))
POLES = {"+": {"plus"}, "-": {"minus", "nonplus"}, "=": {"nonplus"}}
VOWEL_EXCEPTIONS = ("uni", "use", "eu", "one")
Marks = tuple[tuple[str, bool], ...]  # (label, sure?) pairs of a word
Word = tuple[str, Marks]


@dataclass(frozen=True, eq=False)
class Entry:
    """One row of the lexicon: its columns, its tags and its marked English and Korean words."""

    kind: str
    row: dict[str, str]
    tags: frozenset[str]
    takes: frozenset[str]
    en: tuple[Word, ...]
    ko: tuple[Word, ...]
    group: str
    id: str  # distinct for every row
    head: str  # the last English word without a plural s: what may not come twice in a sentence
    bans: frozenset[str]  # x of every tag no-x: not in one sentence with a row that has the tag x


@cache
def parse_marks(text: str) -> Marks:
    """'1,~2' -> label 1 (sure) and label 2 (possible); '-' -> none."""
    if text in ("", "-"):
        return ()
    return tuple((x.lstrip("~"), not x.startswith("~")) for x in text.split(","))


def parse_phrase(en: str, ko: str) -> tuple[tuple[Word, ...], tuple[Word, ...]]:
    """The words of a lexicon row with their marks; unmarked rows have one Korean word, linked to all."""

    def words(text: str) -> list[Word]:
        return [(w, parse_marks(m)) for w, _, m in (x.partition("^") for x in text.split())]

    english, korean = words(en), words(ko)
    if "^" not in en:
        english = [(w, (("1", w not in FUNCTION_WORDS),)) for w, _ in english]
    else:
        english = [(w, m or ((("", False),) if w in FUNCTION_WORDS else ())) for w, m in english]
    if "^" not in ko:
        korean = [(w, (("1", True),)) for w, _ in korean]
    return tuple(english), tuple(korean)


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a tab-separated table with a header line and # comments."""
    lines = [x for x in path.read_text("utf-8").splitlines() if x and not x.startswith("#")]
    names = lines[0].split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]
    return rows


class Lexicon:
    """All rows by kind, the inflected forms and the agreeing words."""

    def __init__(self, folder: Path = HERE) -> None:
        lex = folder / "lexicon"
        self.kinds: dict[str, list[Entry]] = {}
        for kind, name, takes in (
            ("people", "people", ""),
            ("noun", "nouns", ""),
            ("place", "places", ""),
            ("verb", "verbs", "objs"),
            ("adj", "adjectives", "nouns"),
        ):
            self.kinds[kind] = [self.entry(kind, row, takes) for row in read_table(lex / f"{name}.tsv")]
        for row in read_table(lex / "numbers.tsv"):
            self.kinds.setdefault("num", []).append(
                self.entry("num", {**row, "ko": row["native"], "tags": row["kind"]}, "")
            )
        for row in read_table(lex / "names.tsv"):
            self.kinds.setdefault(row["kind"], []).append(self.entry(row["kind"], row, "tags"))
        self.kinds["time"] = [x for row in read_table(lex / "times.tsv") for x in self.expand(row)]
        self.agree: dict[tuple[str, str], dict[str, str]] = {}
        for row in read_table(lex / "agree.tsv"):
            self.agree[row["lang"], row["key"]] = {
                p: row["I"] if row[p] == "-" else row[p] for p in ("I", "we", "you", "he", "they", "hon")
            }
        self.forms: dict[tuple[str, str], str] = {}
        for line in (folder / "forms.tsv").read_text("utf-8").splitlines():
            if not line.startswith("#"):
                stem, ending, form = line.split("\t")
                self.forms[stem, ending] = form

    @staticmethod
    def entry(kind: str, row: dict[str, str], takes: str, group: str = "") -> Entry:
        """An Entry of one table row."""

        def split(text: str) -> frozenset[str]:
            return frozenset(text.split()) - {"-"}

        english, korean = parse_phrase(row["en"], "" if row["ko"] == "-" else row["ko"])
        tags = split(row["tags"])
        return Entry(
            kind,
            row,
            tags,
            split(row.get(takes, "")),
            english,
            korean,
            group or row["en"],
            f"{kind}:{row['en']}:{row['ko']}",
            english[-1][0].rstrip("s"),
            frozenset(x[3:] for x in tags if x.startswith("no-")),
        )

    def expand(self, row: dict[str, str]) -> Iterator[Entry]:
        """A row of times.tsv, with {weekday}, {hour} and so on filled in by every row of that kind."""
        found = re.findall(r"\{(\w+)\}", row["en"])
        rows = [row]
        for kind in found:
            base = self.kinds.get(kind) or []
            if kind in ("hour", "early", "minute", "num", "days"):
                base = [x for x in self.kinds["num"] if kind in x.tags]
            rows = [
                {
                    **r,
                    "en": r["en"].replace(f"{{{kind}}}", x.row["en"]),
                    "ko": r["ko"]
                    .replace("{native}", x.row.get("native", ""))
                    .replace("{sino}", x.row.get("sino", ""))
                    .replace(
                        f"{{{kind}}}",
                        x.row["native"]
                        if kind in ("hour", "early")
                        else x.row["sino"]
                        if kind == "minute"
                        else x.row["ko"],
                    ),
                }
                for r in rows
                for x in base
            ]
        for r in rows:
            yield self.entry("time", r, "", row["en"])

    def stem(self, entry: Entry, honor: bool) -> tuple[str, str]:
        """Where the honorific comes in: the stem to look up and the prefix of the ending."""
        core = entry.ko[-1][0].split("+")[-1].removesuffix("다")
        hon = entry.row.get("hon", "-")
        if honor and hon != "-":
            return hon.removesuffix("다"), ""
        return core, "시" if honor else ""


def final(word: str) -> int:
    """The number of the final consonant of the last syllable (0 none, 8 ㄹ)."""
    return (ord(word[-1]) - 0xAC00) % 28


def particle(word: str, pair: str) -> str:
    """The member of 은/는, 을/를, 으로/로, 이에요/예요 ... that goes after the word."""
    if "/" not in pair:
        return pair
    closed, opened = pair.split("/")
    return opened if final(word) == 0 or (final(word) == 8 and closed == "으로") else closed


@dataclass
class Sentence:
    """A sentence pair with its gold links and what the splits need to know about it."""

    pattern: str
    en: str
    ko: str
    sure: list[tuple[int, int]]
    possible: list[tuple[int, int]]
    pairs: list[tuple[str, str, str]]
    entries: list[str]
    words: list[str] = field(default_factory=list)

    @property
    def align(self) -> str:
        """The line of the .align file."""
        marked = [(i, j, "-") for i, j in self.sure] + [(i, j, "p") for i, j in self.possible]
        return " ".join(f"{i}{sep}{j}" for i, j, sep in sorted(marked))


class Pattern:
    """One block of patterns.txt."""

    EN = re.compile(
        r"^(?:\{(\w+?)(?:\.(\w+))?\}|\[([^\]:]+)(?::(\w+))?\]|([^\^]+?))"
        r"(?:\^(~?\w+(?:,~?\w+)*|-))?([.,?!]*)$"
    )
    KO = re.compile(
        r"^(?:\{(\w+)([+=]?)(?::([^|}]+))?(?:\|([^}]+))?\}|\[([^\]:]+)(?::(\w+))?\]|([^\^.?]+))"
        r"([^\^.?\[]*)(?:\[(\w+)\])?(?:\^(\w+(?:,\w+)*))?([.?]?)$"
    )

    def __init__(self, block: dict[str, str]) -> None:
        self.name = block["name"]
        self.note = block.get("note", "")
        self.weight = float(block.get("weight", "1"))
        self.pair = block.get("pair", "").split()
        self.slots = [x.split("=", 1) for x in block["slots"].split()]
        self.en = [self.match(self.EN, x) for x in block["en"].split()]
        self.ko = [self.match(self.KO, x) for x in block["ko"].split()]
        self.forms = {slot: form for slot, form, *_ in self.en if slot}
        both = [[x[0] for x in side] for side in (self.en, self.ko)]
        self.twice = {slot for slot in self.forms if min(side.count(slot) for side in both) > 1}

    def match(self, regex: re.Pattern[str], token: str) -> tuple[str, ...]:
        """The parts of a template token."""
        found = regex.match(token)
        if not found:
            raise ValueError(f"pattern {self.name}: cannot read {token}")
        return tuple(x or "" for x in found.groups())


def read_patterns(path: Path = HERE / "patterns.txt") -> list[Pattern]:
    """All blocks of patterns.txt."""
    patterns = []
    for text in re.split(r"\n\s*\n", path.read_text("utf-8")):
        lines = [x for x in text.splitlines() if x.strip() and not x.startswith("#")]
        if lines:
            block = dict(re.split(r":\s+", x, maxsplit=1) for x in lines)
            patterns.append(Pattern(block))
    return patterns


class Names:
    """The label of a slot: n, or n#1 and n#2 where it comes twice on both sides."""

    def __init__(self, twice: set[str]) -> None:
        self.twice = twice
        self.seen: Counter[str] = Counter()

    def of(self, slot: str) -> str:
        """The label of the next place of the slot."""
        self.seen[slot] += 1
        return f"{slot}#{self.seen[slot]}" if slot in self.twice else slot


class Grammar:
    """Draws sentences: fills the slots of a pattern and writes both sides."""

    def __init__(self, folder: Path = HERE) -> None:
        self.lexicon = Lexicon(folder)
        self.patterns = read_patterns(folder / "patterns.txt")
        self.pools: dict[tuple[str, ...], list[list[Entry]]] = {}
        self.used: Counter[tuple[str, str]] = Counter()  # how often a row stood in an English form
        self.english: dict[tuple[str, str, str, str], list[Word]] = {}

    # ---- choosing the fillers -------------------------------------------------------------------

    def pool(self, spec: str, filled: dict[str, Entry]) -> list[list[Entry]]:
        """The rows a selector allows, by group: kind+tag-tag, of(x), place(v) or place(v,o)."""
        kind, args, tags = parse_selector(spec)
        key = (spec, *[filled[a].id for a in args])
        if key not in self.pools:
            need = {x[1:] for x in re.findall(r"\+\w+", tags)}
            ban = {x[1:] for x in re.findall(r"-\w+", tags)}
            base = self.base(kind, [filled[a] for a in args])
            groups: dict[str, list[Entry]] = {}
            for x in base:
                have = x.tags | {x.row.get("person", "")}
                if x.row.get("hon") == "1":
                    have |= {"hon"}
                have |= POLES.get(x.row.get("pole", ""), set())
                if "ctr" in x.row and x.row["ctr"] != "-":
                    have |= {"ctr"}
                if "plural" in x.row:
                    have |= {{"-": "mass", "=": "many"}.get(x.row["plural"], "count")}
                if need <= have and not ban & have:
                    groups.setdefault(x.group, []).append(x)
            self.pools[key] = list(groups.values())
        return self.pools[key]

    def base(self, kind: str, args: list[Entry]) -> list[Entry]:
        """The rows of a kind, or those that go with the arguments."""
        kinds = self.lexicon.kinds
        if kind == "of":
            takes = args[0].takes
            things = [x for x in kinds["noun"] if x.tags & takes]
            things += [x for x in kinds["place"] if frozenset(x.row["thing"].split()) & takes]
            return things + [x for x in kinds["people"] if x.tags & takes & {"obj"}]
        if kind == "peer":  # things of the same sort, which the adjective also describes
            pool = kinds["noun"] + kinds["place"] if len(args) < 2 else self.base("of", args[1:])
            return [x for x in pool if x.row.get("sort") == args[0].row["sort"]]
        if kind == "place" and args:
            wanted = args[0].row["places"].split()
            if wanted == ["@shop"]:
                wanted = args[1].row["shop"].split() if len(args) > 1 else ["buyp"]
            return [x for x in kinds["place"] if x.tags & set(wanted)]
        if kind == "shop":  # where one buys it
            return [x for x in kinds["place"] if x.tags & set(args[0].row["shop"].split())]
        if kind == "doer":  # the people who can do the verb
            return [x for x in kinds["people"] if all(a.row["subj"] in ("-", *x.tags) for a in args)]
        if kind == "adjof":
            classes = args[0].tags | set(args[0].row.get("thing", "").split())
            return [x for x in kinds["adj"] if classes & x.takes]
        return kinds[kind]

    def fill(self, pattern: Pattern, rng: random.Random) -> dict[str, Entry] | None:
        """Fill the slots in order; of three draws the row used least so far is taken."""
        filled: dict[str, Entry] = {}
        for name, spec in pattern.slots:
            groups = self.pool(spec, filled)
            if not groups:
                return None
            form = pattern.forms.get(name, "")
            pick = min(
                (pick_one(rng, pick_one(rng, groups)) for _ in range(3)), key=lambda x: self.used[x.id, form]
            )
            if any(clash(pick, x) for x in filled.values()):
                return None
            filled[name] = pick
        return filled

    def count(self, sentence: Sentence, pattern: Pattern) -> None:
        """Remember the fillers of a sentence that was taken."""
        for (name, _), entry in zip(pattern.slots, sentence.entries, strict=True):
            self.used[entry, pattern.forms.get(name, "")] += 1

    # ---- English --------------------------------------------------------------------------------

    def en_words(self, entry: Entry, form: str, person: str, plural: bool) -> list[Word]:
        """The English words of a slot with labels of its own (1, 2 ...; '' is the head)."""
        key = (entry.id, form, person, "pl" if plural else "sg")
        if key not in self.english:
            self.english[key] = self.make_en(entry, form, person, plural)
        return self.english[key]

    def make_en(self, entry: Entry, form: str, person: str, plural: bool) -> list[Word]:
        """en_words without the memory."""
        words = list(entry.en)
        row = entry.row
        if entry.kind == "people":
            return people_form(entry, words, form)
        if entry.kind == "verb":
            shape = form or "base"
            if shape == "s" and person not in ("he", "hon"):
                shape = "base"
            return [(inflect(words[0][0], shape, row), words[0][1]), *words[1:]]
        if entry.kind == "adj":
            return adjective_form(entry, words, form)
        if entry.kind in ("noun", "place"):
            return noun_form(entry, words, form, plural)
        return words

    def english_side(self, pattern: Pattern, filled: dict[str, Entry]) -> list[Word]:
        """The English words with labels of the whole sentence."""
        out: list[Word] = []
        names = Names(pattern.twice)
        for slot, form, key, who, literal, marks, end in pattern.en:
            extra = parse_marks(marks)
            if slot:
                subject = subject_of(slot, filled)
                person = person_of(subject)
                shape = noun_shape(slot, form, filled)
                words = self.en_words(filled[slot], shape, person, person in ("we", "they"))
                name = names.of(slot)
                words = [(w, tuple((scoped(label, name), s) for label, s in m)) for w, m in words]
                words[-1] = (words[-1][0], words[-1][1] + extra)
            elif key:
                if key == "a" and filled[who].row["plural"] in "-=":
                    continue
                person = person_of(filled.get(who or "s"))
                words = [(self.lexicon.agree["en", key][person], extra)]
            else:
                words = [(literal, extra)]
            out += words
            if end:
                out[-1] = (out[-1][0] + end, out[-1][1])
        return out

    # ---- Korean ---------------------------------------------------------------------------------

    def korean_side(self, pattern: Pattern, filled: dict[str, Entry]) -> list[Word]:
        """The Korean words with labels of the whole sentence."""
        out: list[Word] = []
        names = Names(pattern.twice)
        for slot, honor, form, pre, key, who, literal, suffix, agreeing, marks, end in pattern.ko:
            labels = parse_marks(marks)
            if slot:
                entry = filled[slot]
                name = names.of(slot)
                words = [
                    (w, tuple((f"{name}.{label}", s) for label, s in m))
                    for w, m in self.ko_words(entry, slot, honor, form, pre, filled)
                ]
                words = [
                    (w.replace("\0", ""), m if "\0" not in w else parse_marks(pre.partition("^")[2]))
                    for w, m in words
                ]
                if not words:
                    continue
                if agreeing:
                    suffix += self.lexicon.agree["ko", agreeing][person_of(filled.get("s"))]
                words[-1] = (decline(entry, words[-1][0], form, suffix), words[-1][1] + ((name, True),))
            elif key:
                person = person_of(filled.get(who or "s"))
                value = self.lexicon.agree["ko", key][person]
                words = [(w, parse_marks(m)) for w, _, m in (x.partition("^") for x in value.split())]
            else:
                words = [(literal + suffix, ())]
            words[-1] = (words[-1][0] + end, words[-1][1])
            if labels:
                words = [(w, m + labels) for w, m in words]
            out += words
        return out

    def ko_words(
        self, entry: Entry, slot: str, honor: str, form: str, pre: str, filled: dict[str, Entry]
    ) -> list[Word]:
        """The Korean words of a slot; a \\0 marks the negative word put in by the pattern."""
        if entry.kind in ("verb", "adj"):
            thing = entry.kind == "adj" and "person" not in entry.tags
            polite = honor == "+" or person_of(subject_of(slot, filled)) in ("hon", "you")
            polite = polite and not thing
            if not entry.row["ko"].split("^")[0].endswith("다") and "^" not in entry.row["ko"]:
                return list(entry.ko)
            stem, prefix = self.lexicon.stem(entry, polite)
            if prefix and honor == "=":
                prefix = ""
            word = self.lexicon.forms[stem, prefix + form]
            before = list(entry.ko[:-1])
            noun = entry.ko[-1][0].split("+")[0] if "+" in entry.ko[-1][0] else ""
            marks = entry.ko[-1][1]
            if pre:
                negative: list[Word] = [("\0" + pre.partition("^")[0], ())]
                return before + ([(noun, marks)] if noun else []) + negative + [(word, marks)]
            return [*before, (noun + word, marks)]
        if form in ("native", "sino", "ctr"):
            return [(entry.row[form], (("1", True),))]
        if form == "poss":
            short = {"저": "제", "우리": "우리"}.get(entry.row["ko"])
            if short:
                return [(short, (("1", True),))]
        return list(entry.ko)

    # ---- both -----------------------------------------------------------------------------------

    def realize(self, pattern: Pattern, filled: dict[str, Entry]) -> Sentence:
        """Both sides, the links between them and the bookkeeping."""
        korean = self.korean_side(pattern, filled)
        english = articles(self.english_side(pattern, filled))
        where: dict[str, list[int]] = {"*": [len(korean) - 1]}
        for j, (_, marks) in enumerate(korean):
            for label, _ in marks:
                where.setdefault(label, []).append(j)
        sure: set[tuple[int, int]] = set()
        maybe: set[tuple[int, int]] = set()
        i = 0
        for word, links in english:
            for label, is_sure in links:
                for j in where.get(label, ()):
                    (sure if is_sure else maybe).add((i, j))
            i += 1 + (word[-1] in ".,?!")
        text = " ".join(w for w, _ in english)
        entries = [x.id for x in filled.values()]
        return Sentence(
            pattern.name,
            text[0].upper() + text[1:],
            " ".join(w for w, _ in korean),
            sorted(sure),
            sorted(maybe - sure),
            self.pairs(pattern, filled),
            entries,
        )

    @staticmethod
    def pairs(pattern: Pattern, filled: dict[str, Entry]) -> list[tuple[str, str, str]]:
        """The verb-object, adjective-noun, subject-place and subject-noun pairs of a sentence."""
        out = []
        for name, spec in pattern.slots:
            function, args, _ = parse_selector(spec)
            if function in ("of", "adjof"):
                other = filled[args[0]]
                entry = filled[name]
                head, dep = (entry, other) if function == "adjof" else (other, entry)
                if head.kind in ("verb", "adj"):
                    out.append((head.kind, head.id, dep.id))
            if filled[name].kind in ("place", "noun"):
                subject = subject_of(name, filled)
                if subject:
                    out.append((filled[name].kind, subject.id, filled[name].id))
        if pattern.pair:
            left, right = (filled[x].id for x in pattern.pair)
            out.append(("with", left, right))
        return out


@cache
def parse_selector(spec: str) -> tuple[str, tuple[str, ...], str]:
    """The kind, the arguments and the tags of place(v,o)+goal-city."""
    found = re.match(r"^(\w+)(?:\(([\w,]+)\))?((?:[+-][\w]+)*)$", spec)
    if not found:
        raise ValueError(f"cannot read the selector {spec}")
    return found.group(1), tuple(x for x in (found.group(2) or "").split(",") if x), found.group(3)


T = TypeVar("T")


def pick_one(rng: random.Random, items: list[T]) -> T:
    """One of the items (as rng.choice, but faster)."""
    return items[int(rng.random() * len(items))]


def scoped(label: str, slot: str) -> str:
    """The label of a slot's word in the whole sentence: ! means a label of the pattern, none the head."""
    return label[1:] if label.startswith("!") else f"{slot}.{label}" if label else slot


def clash(one: Entry, other: Entry) -> bool:
    """Whether two rows may not stand in one sentence: the same word, one dimension, a tag no-X against X."""
    if one.head == other.head and {one.kind, other.kind} != {"noun", "verb"}:
        return True
    if one.kind == other.kind == "adj" and one.row["dim"] == other.row["dim"]:
        return True
    return bool((one.bans and one.bans & other.tags) or (other.bans and other.bans & one.tags))


def subject_of(slot: str, filled: dict[str, Entry]) -> Entry | None:
    """The subject of the clause of a slot: v2 has s2 where there is one, else s."""
    return (filled.get("s2") if slot[-1] == "2" else None) or filled.get("s")


def person_of(entry: Entry | None) -> str:
    """I, we, you, he, they or hon: the column of agree.tsv."""
    if entry is None or entry.kind != "people":
        return "they" if entry is not None and entry.row.get("plural") == "=" else "he"
    return "hon" if entry.row["hon"] == "1" and entry.row["person"] == "he" else entry.row["person"]


def decline(entry: Entry, word: str, form: str, suffix: str) -> str:
    """A Korean word with its particle; honoured subjects have 께서 for 은/는 and 이/가 (= keeps 는)."""
    plain = suffix.endswith("=")
    suffix = suffix.rstrip("=")
    if entry.kind == "people":
        if form == "poss":
            return word + (suffix if word in ("제", "우리") else "의" + suffix)
        if entry.row["hon"] == "1" and not plain:
            suffix = {"은/는": "께서", "이/가": "께서", "도": "께서도", "에게": "께"}.get(suffix, suffix)
        if word == "저" and suffix == "이/가":
            return "제가"
    return word + particle(word, suffix) if suffix else word


def people_form(entry: Entry, words: list[Word], form: str) -> list[Word]:
    """I, me, my; Minsu, Minsu's."""
    person = entry.row["person"]
    if form == "poss":
        own = {"I": "my", "we": "our", "you": "your"}.get(person)
        last = own or words[-1][0] + ("'" if person == "they" and words[-1][0].endswith("s") else "'s")
        return [*words[:-1], (last, words[-1][1])]
    if form == "obj":
        return [({"I": "me", "we": "us"}.get(words[0][0], words[0][0]), words[0][1]), *words[1:]]
    if person == "you":
        return [("you", (("!*", False),))]
    return words


def noun_form(entry: Entry, words: list[Word], form: str, plural: bool) -> list[Word]:
    """a book, the book, books; at the library, to the library."""
    row = entry.row
    many = row["plural"]

    def article(text: str) -> list[Word]:
        return [(text, (("", False),))] if text != "-" else []

    if form == "gen" and many == "-":
        return article(row["art"]) + words
    if form in ("pl", "gen") or (form == "pred" and plural) or (form == "" and row["art"] == "pl"):
        return pluralize(words, many) if many != "-" else words
    if form in ("at", "to", "from"):
        return article(row.get(form, form)) + article(row["art"]) + words
    if form == "bare":
        return words
    if form == "the":
        return article("-" if entry.tags & NO_ARTICLE else "the") + words
    if form in ("pred", "a"):
        return article("a") + words
    return article("a" if row["art"] == "an" else row["art"]) + words


def noun_shape(slot: str, form: str, filled: dict[str, Entry]) -> str:
    """The form of a noun where the verb or a number decides: sell apples, clean the house, we wear hats."""
    verb = filled.get("v" + slot[1:]) if slot[0] == "o" and not form else None
    if verb is not None and filled[slot].kind == "noun":
        if "sellv" in verb.tags:
            return "gen"
        if "thev" in verb.tags:
            return "the"
        if "wearv" in verb.tags and filled[slot].row["art"] in ("a", "an"):
            return "pred"
    return "bare" if form == "pl" and "q" in filled and filled["q"].row["en"] == "one" else form


def pluralize(words: list[Word], many: str) -> list[Word]:
    """The plural of a noun."""
    last = words[-1][0]
    regular = (
        last[:-1] + "ies"
        if re.search(r"[^aeiou]y$", last)
        else last + ("es" if re.search(r"(s|x|ch|sh)$", last) else "s")
    )
    shape = regular if many == "+" else last if many == "=" else many
    return [*words[:-1], (shape, words[-1][1])]


def adjective_form(entry: Entry, words: list[Word], form: str) -> list[Word]:
    """big, bigger, biggest or more/most expensive; the label M of the pattern is 더 or 가장."""
    if form not in ("er", "est"):
        return words
    shape = entry.row[form]
    if shape in ("more", "most"):
        return [(shape, (("!M", True),)), *words]
    return [(shape, (*words[-1][1], ("!M", True)))]


def inflect(verb: str, shape: str, row: dict[str, str]) -> str:
    """read, reads, reading, read: irregular forms come from the row."""
    given = row.get(shape, "-")
    if shape == "base" or given != "-":
        return verb if shape == "base" else given
    if shape == "s":
        if verb in ("do", "go") or re.search(r"(s|x|ch|sh)$", verb):
            return verb + "es"
        return verb[:-1] + "ies" if re.search(r"[^aeiou]y$", verb) else verb + "s"
    if shape == "ing":
        return verb[:-1] + "ing" if re.search(r"[^e]e$", verb) else verb + "ing"
    if verb.endswith("e"):
        return verb + "d"
    return verb[:-1] + "ied" if re.search(r"[^aeiou]y$", verb) else verb + "ed"


def articles(words: list[Word]) -> list[Word]:
    """a or an by the next word."""
    out = list(words)
    for i in range(len(out) - 1):
        if out[i][0] in ("a", "an"):
            following = out[i + 1][0].lower()
            vowel = following[0] in "aeiou" and not following.startswith(VOWEL_EXCEPTIONS)
            out[i] = ("an" if vowel or following.startswith("hour") else "a", out[i][1])
    return out


def tokens(sentence: str) -> list[str]:
    """The words of a sentence, leading and trailing punctuation split off."""
    out: list[str] = []
    for word in sentence.split():
        found = re.match(r"^([.,?!]*)(.*?)([.,?!]*)$", word)
        if found:
            out += [x for x in (*found.group(1), found.group(2), *found.group(3)) if x]
    return out


def error_rate(
    found: Sequence[set[tuple[int, int]]],
    sure: Sequence[set[tuple[int, int]]],
    possible: Sequence[set[tuple[int, int]]],
) -> float:
    """The alignment error rate of found links; possible includes the sure links."""
    hits = sum(len(a & s) + len(a & p) for a, s, p in zip(found, sure, possible, strict=True))
    return 1 - hits / (sum(map(len, found)) + sum(map(len, sure)))
