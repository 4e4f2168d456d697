"""The frequent words of a collection, for the new model to embed one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lightmigrate.projection.lexical import STEM_LETTERS, words_of

# About as dear for the new model as some hundred documents.
MOST_WORDS = 12_000

# Counted at once; beyond that, the rarer half is forgotten.
MOST_COUNTED = 2_000_000


@dataclass(frozen=True)
class FrequentWords:
    """One word for each stem, the stem in most documents first.

    Attributes:
        words: the most frequent word of each stem.
        counts: in how many documents the stem stands.
        documents: how many documents were counted.
    """

    words: Sequence[str]
    counts: Sequence[int]
    documents: int


def first_of(words: FrequentWords, most: int) -> FrequentWords:
    """The most frequent of them only."""
    return FrequentWords(words.words[:most], words.counts[:most], words.documents)


class WordCounter:
    """Counts in how many documents words and stems stand."""

    def __init__(self) -> None:
        self.documents = 0
        self._words: Counter[str] = Counter()
        self._stems: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """Count one document."""
        words = set(words_of(text))
        self.documents += 1
        self._words.update(words)
        self._stems.update({word[:STEM_LETTERS] for word in words})
        for counter in (self._words, self._stems):
            if len(counter) > MOST_COUNTED:
                _forget_rare(counter)

    def frequent(self, most: int = MOST_WORDS) -> FrequentWords:
        """The words of the `most` frequent stems, without those in one document only or in more than half."""
        best: dict[str, str] = {}
        for word in sorted(self._words):
            stem = word[:STEM_LETTERS]
            if stem not in best or self._words[word] > self._words[best[stem]]:
                best[stem] = word
        stems = sorted(
            (stem for stem, count in self._stems.items() if 2 <= count <= max(2, self.documents / 2) and stem in best),
            key=lambda stem: (-self._stems[stem], stem),
        )[:most]
        return FrequentWords([best[stem] for stem in stems], [self._stems[stem] for stem in stems], self.documents)


def _forget_rare(counter: Counter[str]) -> None:
    """Keep at most half of `MOST_COUNTED`, so that it is long until the next time; equal counts go together."""
    limit = sorted(counter.values())[len(counter) - MOST_COUNTED // 2 - 1]
    for word in [word for word, count in counter.items() if count <= limit]:
        del counter[word]
