"""The frequent words of a collection, which the new model embeds one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from lightmigrate.projection.terms.extract_rule import DocumentFrequencies
from lightmigrate.projection.terms.words import STEM_LETTERS, ideographs_of, pair_of_ideographs, words_of

# They cost about as many tokens as some hundred documents.
MOST_WORDS = 12_000

# Of two Chinese characters the rarer one stands beside the other in so many of its documents at least where both are a
# word. A quarter as many pairs are left, which explain as much (`benchmarks/results/chunks`).
COHESION = 0.2

# Words counted at once; beyond that, the rarer half is dropped.
MOST_COUNTED = 2_000_000


@dataclass(frozen=True)
class FrequentWords:
    """One word for each stem, in descending order of the number of documents that hold the stem.

    Attributes:
        words: the most frequent word of each stem.
        counts: number of documents that hold the stem.
        documents: number of documents counted.
    """

    words: Sequence[str]
    counts: Sequence[int]
    documents: int

    def first(self, most: int) -> FrequentWords:
        """The `most` most frequent of them."""
        return FrequentWords(self.words[:most], self.counts[:most], self.documents)

    def without(self, words: AbstractSet[str]) -> FrequentWords:
        """All but these words."""
        kept = [(word, count) for word, count in zip(self.words, self.counts, strict=True) if word not in words]
        return FrequentWords([word for word, _ in kept], [count for _, count in kept], self.documents)


class WordCounter:
    """Counts the documents that hold each word and each stem."""

    def __init__(self) -> None:
        self.documents = 0
        self._words: Counter[str] = Counter()
        self._stems: Counter[str] = Counter()
        self._ideographs: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """Count one document."""
        words = set(words_of(text))
        self.documents += 1
        self._words.update(words)
        self._stems.update({word[:STEM_LETTERS] for word in words})
        self._ideographs.update(ideographs_of(text))
        for counter in (self._words, self._stems):
            if len(counter) > MOST_COUNTED:
                _drop_rare(counter)

    def frequent(self, most: int = MOST_WORDS) -> FrequentWords:
        """The words of the most frequent stems, without stems in one document only or in more than half of them."""
        best: dict[str, str] = {}
        for word in sorted(filter(self._is_a_word, self._words)):
            stem = word[:STEM_LETTERS]
            if stem not in best or self._words[word] > self._words[best[stem]]:
                best[stem] = word
        stems = sorted(
            (stem for stem, count in self._stems.items() if 2 <= count <= max(2, self.documents / 2) and stem in best),
            key=lambda stem: (-self._stems[stem], stem),
        )[:most]
        return FrequentWords([best[stem] for stem in stems], [self._stems[stem] for stem in stems], self.documents)

    def _is_a_word(self, word: str) -> bool:
        """False for two Chinese characters that only happen to be neighbours."""
        rarer = min(self._ideographs[letter] for letter in word) if pair_of_ideographs(word) else 0
        return self._words[word] >= COHESION * rarer

    def frequencies(self, most: int = MOST_WORDS) -> DocumentFrequencies:
        """In how many documents the most frequent stems occur, without stems in one document only."""
        known = sorted(self._stems.items(), key=lambda counted: (-counted[1], counted[0]))[:most]
        known = sorted((stem, count) for stem, count in known if count > 1)
        return DocumentFrequencies(tuple(stem for stem, _ in known), tuple(count for _, count in known), self.documents)


def _drop_rare(counter: Counter[str]) -> None:
    """Keep at most half of `MOST_COUNTED` entries, so that this is rarely needed; equal counts go together."""
    limit = sorted(counter.values())[len(counter) - MOST_COUNTED // 2 - 1]
    for word in [word for word, count in counter.items() if count <= limit]:
        del counter[word]
