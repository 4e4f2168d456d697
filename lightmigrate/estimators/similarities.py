"""What makes two documents alike: their old vectors, what bends, their words, and what the words mean.

A kernel fit adds these similarities up. Each is 1 on average between a document and itself, so that shares can
be compared, and each folds into one term of a projection when the fit is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightmigrate.estimators.arrays import Array, as_float32, as_numpy, beside, namespace
from lightmigrate.estimators.beginnings import Beginnings
from lightmigrate.estimators.words import WordVectors
from lightmigrate.projection.abridged import Abridged
from lightmigrate.projection.kernel import Kernel
from lightmigrate.projection.lexical import Lexical, Vocabulary
from lightmigrate.projection.linear import Linear
from lightmigrate.projection.term import Term, Texts

Rows = npt.NDArray[np.int64]

# Similarities that come from the stored texts.
TEXTUAL = ("words", "meanings", "beginnings")

# Ridge on the landmarks' similarities among themselves, which are nearly singular.
JITTER = 1e-6

# Pairs whose distances are looked at to learn what far apart means.
DISTANCE_PAIRS = (300, 50)


@dataclass(frozen=True)
class Shape:
    """How the similarities are mixed. The linear share is 1, the others are relative to it; 0 leaves one out.

    Attributes:
        width: of the Gaussian kernel, in the units of the sources.
        bend: share of the Gaussian kernel.
        words: share of the words two texts have in common.
        meanings: share of the products of their mean word vectors.
        beginnings: share of the products of what the new model says to their first words.
    """

    width: float
    bend: float = 0.0
    words: float = 0.0
    meanings: float = 0.0
    beginnings: float = 0.0

    def mix(self, similarities: Mapping[str, Array], features: tuple[Array, Array] | None) -> Array:
        """One similarity of all: those by name, and the Gaussian one as the product of two sets of features."""
        total = similarities["linear"] + 0.0
        for name in TEXTUAL:
            if name in similarities and (share := getattr(self, name)):
                total += share * similarities[name]
        if features is not None and self.bend:
            total += self.bend * (features[0] @ features[1].T)
        return total


class Similarities:
    """The pairs as features: centred sources, the Gaussian kernel's landmarks, words and what they mean.

    Attributes:
        distance: the median distance between two sources.
        words: TF-IDF of the texts, float32 `(K, stems)`, `None` when there are none.
        meanings: `words` times the word vectors, float32 `(K, d_out)`, `None` when there are none.
        begun: centred vectors of the first words, float32 `(K, d_out)`, `None` when there are none.
    """

    def __init__(
        self,
        source: Array,
        texts: Texts | None,
        word_vectors: WordVectors | None,
        beginnings: Beginnings | None,
        landmarks: int,
        seed: int,
    ) -> None:
        xp = namespace(source)
        self.source, self.mean = source, xp.mean(source, axis=0)
        self.centred = source - self.mean
        self.scale = _mean_square(self.centred)
        self.rng = np.random.default_rng(seed)
        self.landmarks = np.sort(self.rng.permutation(len(source))[:landmarks])
        self.distance = self._median_distance()
        self.vocabulary: Vocabulary | None = None
        self.words = self.meanings = self.word_vectors = self.begun = None
        self.beginnings = beginnings
        if texts is None:
            return
        if beginnings is not None:
            said = beside(beginnings.vectors, source)
            self.begun_mean = xp.mean(said, axis=0)
            self.begun = said - self.begun_mean
            self.begun_scale = _mean_square(self.begun)
        if word_vectors is not None:
            self.vocabulary, vectors = word_vectors.vocabulary()
            self.word_vectors = beside(vectors, source)
            self.word_vectors = self.word_vectors - xp.mean(self.word_vectors, axis=0)
        else:
            self.vocabulary = Vocabulary.of(texts)
        if self.vocabulary.stems:
            self.words = beside(self.vocabulary.dense(texts), source)
        if self.words is not None and self.word_vectors is not None:
            self.meanings = self.words @ self.word_vectors
            self.meaning_scale = _mean_square(self.meanings - xp.mean(self.meanings, axis=0))

    def between(self, rows: Rows, others: Rows) -> dict[str, Array]:
        """The similarities of some pairs to some others by name, all but the Gaussian one."""
        found = {"linear": self.centred[rows] @ self.centred[others].T / self.scale}
        if self.words is not None:
            found["words"] = self.words[rows] @ self.words[others].T
        if self.meanings is not None:
            found["meanings"] = self.meanings[rows] @ self.meanings[others].T / self.meaning_scale
        if self.begun is not None:
            found["beginnings"] = self.begun[rows] @ self.begun[others].T / self.begun_scale
        return found

    def bent(self, width: float) -> tuple[Array, Array]:
        """Features Φ `(K, m)` whose products are the Gaussian kernel as the landmarks see it, and k(Z, Z)^-½."""
        Z = self.centred[self.landmarks]
        xp = namespace(Z)
        values, Q = xp.linalg.eigh(_gaussian(Z, Z, width))
        root = Q / xp.sqrt(xp.clip(values, 0, None) + JITTER)
        return _gaussian(self.centred, Z, width) @ root, root

    def fold(
        self, coefficients: Array, basis: Rows, shape: Shape, bent: tuple[Array, Array] | None
    ) -> tuple[Array, tuple[Term, ...]]:
        """`Σ_i coefficients_i · similarity(x, basis_i)` as terms of a projection, and the bias they leave.

        Args:
            coefficients: `(M, d_out)`.
            basis: the M pairs they belong to.
            shape: how the similarities were mixed.
            bent: what `bent` gave for that width, `None` without a Gaussian kernel.
        """
        xp = namespace(coefficients)
        weights = self.centred[basis].T @ coefficients / self.scale
        terms: list[Term] = [Linear(as_float32(weights))]
        if bent is not None:
            features, root = bent
            A = shape.bend * (root @ (features[basis].T @ coefficients))
            terms.append(Kernel(as_float32(self.source[self.landmarks]), as_float32(A), shape.width))
        if self.vocabulary is not None and self.words is not None and (shape.words or shape.meanings):
            rough = xp.astype(coefficients, self.words.dtype)
            table = shape.words * (self.words[basis].T @ rough)
            if shape.meanings and self.meanings is not None and self.word_vectors is not None:
                meant = self.meanings[basis].T @ rough
                table += shape.meanings / self.meaning_scale * (self.word_vectors @ meant)
            terms.append(Lexical(self.vocabulary, as_float32(table), self.source.shape[1]))
        bias = -(self.mean @ weights)
        if self.begun is not None and self.beginnings is not None and shape.beginnings:
            rough = xp.astype(coefficients, self.begun.dtype)
            said = shape.beginnings / self.begun_scale * (self.begun[basis].T @ rough)
            own = self.beginnings
            terms.append(Abridged(as_float32(said), own.words, self.source.shape[1], own.embed))
            bias = bias - self.begun_mean @ said
        return bias, tuple(terms)

    def _median_distance(self) -> float:
        some = self.rng.permutation(len(self.source))[: DISTANCE_PAIRS[0]]
        few = some[: DISTANCE_PAIRS[1]]
        x = as_numpy(self.centred[some])
        apart = np.sum((x[:, None] - x[None, : len(few)]) ** 2, axis=2)
        return float(np.sqrt(np.median(apart[apart > 0]))) if (apart > 0).any() else 1.0


def _gaussian(x: Array, z: Array, width: float) -> Array:
    xp = namespace(x)
    squares = xp.sum(x**2, axis=1)[:, None] + xp.sum(z**2, axis=1) - 2 * (x @ z.T)
    return xp.exp(xp.clip(squares, 0, None) * (-1 / (2 * width**2)))


def _mean_square(x: Array) -> float:
    xp = namespace(x)
    return float(xp.mean(xp.sum(x**2, axis=1))) or 1.0
