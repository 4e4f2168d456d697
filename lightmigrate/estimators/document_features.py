"""Features of a whole document: its old vector, and the new model's vectors of its words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lightmigrate.estimators.arrays import Array, as_float32, beside, namespace
from lightmigrate.estimators.word_vectors import WordVectors
from lightmigrate.projection.terms.base import Term, Texts
from lightmigrate.projection.terms.lexical import Lexical, Vocabulary
from lightmigrate.projection.terms.linear import Linear
from lightmigrate.vectors import Vectors


@dataclass(frozen=True)
class DocumentFeatures:
    """Features of documents, and the terms that a linear regression on them becomes.

    Attributes:
        scales: of the old vectors and of the sums of word vectors, so that one penalty suits both.
        vocabulary: the stems and their weights; `None` when only old vectors are features.
        word_vectors: the new model's vectors of the stems, centred, float32 `(stems, d_new)`.
    """

    scales: tuple[float, float]
    vocabulary: Vocabulary | None
    word_vectors: Vectors | None

    @classmethod
    def of(cls, source: Array, texts: Texts | None, words: WordVectors | None) -> DocumentFeatures:
        """Scales from old vectors `(K, d_old)`, their texts, and the word vectors if there are any."""
        own = _length(as_float32(source))
        if words is None or texts is None or not words.words:
            return cls((own, 1.0), None, None)
        vocabulary, vectors = words.vocabulary()
        centred = (vectors - vectors.mean(axis=0)).astype(np.float32)
        return cls((own, _length(vocabulary.dense(texts) @ centred)), vocabulary, centred)

    def features(self, source: Array, texts: Texts | None) -> Array:
        """`(n, d_old)`, or `(n, d_old + d_new)` with word vectors, in the library of `source`."""
        vectors = source / self.scales[0]
        if self.vocabulary is None or self.word_vectors is None or texts is None:
            return vectors
        meanings = (self.vocabulary.dense(texts) @ self.word_vectors).astype(np.float64) / self.scales[1]
        return namespace(vectors).concat([vectors, beside(meanings, vectors)], axis=1)

    def terms(self, weights: Array) -> tuple[Term, ...]:
        """The terms that equal `features @ weights`, for weights `(features, d_out)`."""
        dimension = len(weights) - (0 if self.word_vectors is None else self.word_vectors.shape[1])
        linear = Linear(as_float32(weights[:dimension] / self.scales[0]))
        if self.vocabulary is None or self.word_vectors is None:
            return (linear,)
        table = self.word_vectors @ as_float32(weights[dimension:] / self.scales[1])
        return linear, Lexical(self.vocabulary, table, dimension)


def _length(vectors: Vectors) -> float:
    """The root mean square distance from the mean."""
    return float(np.sqrt(np.mean(np.sum((vectors - vectors.mean(axis=0)) ** 2, axis=1)))) or 1.0
