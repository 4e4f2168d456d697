"""The new model's embeddings of single frequent words of a collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.errors import ProjectionError
from lightmigrate.projection.terms.lexical import Vocabulary, rarity
from lightmigrate.projection.terms.words import STEM_LETTERS
from lightmigrate.vectors import Vectors, as_vectors


@dataclass(frozen=True)
class WordVectors:
    """Embeddings of single words by the new model; thousands of them cost as much as some hundred documents.

    Attributes:
        words: n words, no two with the same first five letters, lower-case.
        vectors: `(n, d_out)`, the new model's embedding of each word as a document of its own.
        counts: in how many documents each word, or another word of the same stem, occurs.
        documents: how many documents were counted.
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
        unsorted = self.stems
        order = np.argsort(np.array(unsorted, dtype=str), kind="stable")
        stems = tuple(unsorted[row] for row in order)
        counts = np.asarray(self.counts, dtype=np.float64)[order]
        return Vocabulary(stems, rarity(counts, self.documents)), as_vectors(self.vectors)[order]
