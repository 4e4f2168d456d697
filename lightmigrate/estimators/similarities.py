"""The similarities that a kernel is made of: linear, Gaussian, words, word vectors, and extracts.

A kernel fit adds them up, each with a share. Each is 1 on average between a document and itself, so that shares are
comparable, and each becomes one term of the projection after the fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightmigrate.estimators.arrays import Array, as_float32, as_numpy, beside, namespace
from lightmigrate.estimators.extracts import Extracts
from lightmigrate.estimators.word_vectors import WordVectors
from lightmigrate.projection.terms.base import Term, Texts
from lightmigrate.projection.terms.extract import Extract
from lightmigrate.projection.terms.kernel import Kernel
from lightmigrate.projection.terms.lexical import Lexical, Vocabulary
from lightmigrate.projection.terms.linear import Linear

Rows = npt.NDArray[np.int64]

# Similarities that come from the stored texts.
TEXTUAL = ("words", "meanings", "extracts")

# Ridge on the landmarks' similarities among themselves, which are nearly singular.
JITTER = 1e-6

# The median distance is estimated between so many rows and so many of these.
DISTANCE_PAIRS = (300, 50)


@dataclass(frozen=True)
class KernelShares:
    """The shares of the similarities in the kernel. The linear share is 1; a share of 0 leaves a similarity out.

    Attributes:
        width: of the Gaussian kernel, in the units of the sources.
        gaussian: share of the Gaussian kernel.
        words: share of the product of the TF-IDF weights of two texts.
        meanings: share of the product of their weighted sums of word vectors.
        extracts: share of the product of the embeddings of their extracts.
    """

    width: float
    gaussian: float = 0.0
    words: float = 0.0
    meanings: float = 0.0
    extracts: float = 0.0

    def mix(self, similarities: Mapping[str, Array], features: tuple[Array, Array] | None) -> Array:
        """The weighted sum of the similarities, the Gaussian one given as two sets of features to multiply."""
        total = similarities["linear"] + 0.0
        for name in TEXTUAL:
            if name in similarities and (share := getattr(self, name)):
                total += share * similarities[name]
        if features is not None and self.gaussian:
            total += self.gaussian * (features[0] @ features[1].T)
        return total


class Similarities:
    """The features of the pairs: centred sources, landmarks of the Gaussian kernel, words, word vectors, extracts.

    Attributes:
        distance: the median distance between two sources.
        words: TF-IDF of the texts, float32 `(K, stems)`, `None` when there are none.
        meanings: `words` times the word vectors, float32 `(K, d_out)`, `None` when there are none.
        extract_vectors: centred embeddings of the extracts, float32 `(K, d_out)`, `None` when there are none.
    """

    def __init__(
        self,
        source: Array,
        texts: Texts | None,
        word_vectors: WordVectors | None,
        extracts: Extracts | None,
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
        self.words = self.meanings = self.word_vectors = self.extract_vectors = None
        self.extracts = extracts
        if texts is None:
            return
        if extracts is not None:
            embedded = beside(extracts.vectors, source)
            self.extract_mean = xp.mean(embedded, axis=0)
            self.extract_vectors = embedded - self.extract_mean
            self.extract_scale = _mean_square(self.extract_vectors)
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
        """The similarities of the pairs `rows` to the pairs `others` by name, without the Gaussian one."""
        similarities = {"linear": self.centred[rows] @ self.centred[others].T / self.scale}
        if self.words is not None:
            similarities["words"] = self.words[rows] @ self.words[others].T
        if self.meanings is not None:
            similarities["meanings"] = self.meanings[rows] @ self.meanings[others].T / self.meaning_scale
        if self.extract_vectors is not None:
            similarities["extracts"] = self.extract_vectors[rows] @ self.extract_vectors[others].T / self.extract_scale
        return similarities

    def gaussian_features(self, width: float) -> tuple[Array, Array]:
        """Nyström features Φ `(K, m)` of the Gaussian kernel on the landmarks Z, and `k(Z, Z)^-½`."""
        Z = self.centred[self.landmarks]
        xp = namespace(Z)
        values, Q = xp.linalg.eigh(_gaussian(Z, Z, width))
        root = Q / xp.sqrt(xp.clip(values, 0, None) + JITTER)
        return _gaussian(self.centred, Z, width) @ root, root

    def fold(
        self, coefficients: Array, basis: Rows, shares: KernelShares, gaussian: tuple[Array, Array] | None
    ) -> tuple[Array, tuple[Term, ...]]:
        """The bias and the terms of a projection that equal `Σ_i coefficients_i · similarity(x, basis_i)`.

        Args:
            coefficients: `(M, d_out)`.
            basis: the M pairs they belong to.
            shares: how the similarities were mixed.
            gaussian: the result of `gaussian_features` for that width, `None` without a Gaussian kernel.
        """
        xp = namespace(coefficients)
        weights = self.centred[basis].T @ coefficients / self.scale
        terms: list[Term] = [Linear(as_float32(weights))]
        if gaussian is not None:
            features, root = gaussian
            A = shares.gaussian * (root @ (features[basis].T @ coefficients))
            terms.append(Kernel(as_float32(self.source[self.landmarks]), as_float32(A), shares.width))
        if self.vocabulary is not None and self.words is not None and (shares.words or shares.meanings):
            rough = xp.astype(coefficients, self.words.dtype)
            table = shares.words * (self.words[basis].T @ rough)
            if shares.meanings and self.meanings is not None and self.word_vectors is not None:
                weights_of_meanings = self.meanings[basis].T @ rough
                table += shares.meanings / self.meaning_scale * (self.word_vectors @ weights_of_meanings)
            terms.append(Lexical(self.vocabulary, as_float32(table), self.source.shape[1]))
        bias = -(self.mean @ weights)
        if self.extract_vectors is not None and self.extracts is not None and shares.extracts:
            rough = xp.astype(coefficients, self.extract_vectors.dtype)
            V = shares.extracts / self.extract_scale * (self.extract_vectors[basis].T @ rough)
            terms.append(Extract(as_float32(V), self.extracts.rule, self.source.shape[1], self.extracts.embed))
            bias = bias - self.extract_mean @ V
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
