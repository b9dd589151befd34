"""IBM model 1: a word aligner that only counts, for attention to be measured against (Brown et al. 1993)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from translator.corpus import Pair
from translator.inspection.alignment import Links
from translator.tokenizer import normalize, split_words


class ModelOne:
    """How likely each English word is said as each Korean one, whatever the order: learnt by expectation
    maximisation from sentence pairs alone."""

    def __init__(self, pairs: Sequence[Pair], rounds: int = 5) -> None:
        """Learn from `pairs`; every English sentence also has an empty word, for Korean that none of them says."""
        self.english: dict[str, int] = {"": 0}
        self.korean: dict[str, int] = {}
        cells: list[tuple[int, int, int]] = []  # (Korean word in the corpus, English type, Korean type)
        place = 0
        for source, target in pairs:
            types = [0, *(self.english.setdefault(w, len(self.english)) for w in self._words(source))]
            for word in self._words(target):
                korean = self.korean.setdefault(word, len(self.korean))
                cells += [(place, english, korean) for english in types]
                place += 1
        places, english, korean = np.array(cells).T
        self.types, cell_types = np.unique(english * len(self.korean) + korean, return_inverse=True)
        owners = self.types // len(self.korean)
        self.table = np.ones(len(self.types))
        for _ in range(rounds):
            shares = self.table[cell_types]
            shares /= np.bincount(places, shares)[places]  # of each Korean word among the English words beside it
            counts = np.bincount(cell_types, shares)
            self.table = counts / np.bincount(owners, counts)[owners]

    def align(self, pairs: Sequence[Pair]) -> list[Links]:
        """The likeliest English word of each Korean one; none where that is the empty word or none was seen."""
        return [self._links(*pair) for pair in pairs]

    def _links(self, source: str, target: str) -> Links:
        english = [("", -1), *((w, i) for i, w in enumerate(self._words(source)) if w)]
        links: Links = set()
        for place, word in enumerate(self._words(target)):
            if word:
                chances = [self.chance(other, word) for other, _ in english]
                best = int(np.argmax(chances))
                if best and chances[best] > 0:
                    links.add((english[best][1], place))
        return links

    def chance(self, english: str, korean: str) -> float:
        """How likely the one is said as the other; 0 if they never stood in one pair."""
        if english not in self.english or korean not in self.korean:
            return 0.0
        wanted = self.english[english] * len(self.korean) + self.korean[korean]
        found = int(np.searchsorted(self.types, wanted))
        known = found < len(self.types) and self.types[found] == wanted
        return float(self.table[found]) if known else 0.0

    @staticmethod
    def _words(sentence: str) -> list[str]:
        """Its words in lower case; punctuation is empty."""
        words = split_words(normalize(sentence))
        return [word.lower() if any(map(str.isalnum, word)) else "" for word in words]
