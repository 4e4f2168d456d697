"""Single words of a collection as the new model embeds them: the cheapest thing it can be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.errors import ProjectionError
from lightmigrate.projection.lexical import STEM_LETTERS, Vocabulary, rarity
from lightmigrate.projection.vectors import Vectors, as_vectors


@dataclass(frozen=True)
class WordVectors:
    """What the new model says to single words; thousands of them cost it as much as some hundred documents.

    Attributes:
        words: n words, no two with the same first five letters, lower-case.
        vectors: `(n, d_out)`, the new model's embedding of each word as a document of its own.
        counts: in how many of the collection's documents each word, or one of its kin, stands.
        documents: how many documents were looked at.
    """

    words: Sequence[str]
    vectors: Vectors
    counts: Sequence[int]
    documents: int

    def __post_init__(self) -> None:
        vectors = as_vectors(self.vectors)
        if not len(self.words) == len(vectors) == len(self.counts) or vectors.ndim != 2:
            raise ProjectionError(
                f"{len(self.words)} words, {len(self.counts)} counts and vectors of shape {vectors.shape}: "
                "give one vector and one count for each word"
            )
        if not np.isfinite(vectors).all():
            raise ProjectionError("some of the word vectors hold NaN or infinity; leave those words out")
        if len(set(self.stems)) != len(self.words):
            raise ProjectionError("two of the words share their first five letters; keep the more frequent one")

    @property
    def stems(self) -> tuple[str, ...]:
        """The first five letters of each word."""
        return tuple(word[:STEM_LETTERS].lower() for word in self.words)

    def vocabulary(self) -> tuple[Vocabulary, Vectors]:
        """The stems in alphabetical order, and the vectors `(n, d_out)` in the same order."""
        found = self.stems
        order = np.argsort(np.array(found, dtype=str), kind="stable")
        stems = tuple(found[row] for row in order)
        counts = np.asarray(self.counts, dtype=np.float64)[order]
        return Vocabulary(stems, rarity(counts, self.documents)), as_vectors(self.vectors)[order]
