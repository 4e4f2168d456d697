"""A student of the new model: an embedding bag with attention over words, as a further term beside a projection.

`y = ŷ(old vector, words) + Σ_w a_w·e_w·B` with e the new model's vectors of the words (128 principal components) and
`a = softmax(ln tfidf_w·(1 + c) + u·e_w + ŷᵀ·A·e_w)`: how much a word counts depends on the word, on how often it stands
there, and on what the projection of the old vector says that the document is about. c, u, A and B start at zero and are
learned by Adam on the mean cosine to the true vectors; a seventh of the pairs decides when to stop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from corpora import Rows, Vectors

COMPONENTS, MOST_WORDS, EPOCHS, PATIENCE, BATCH = 128, 80, 60, 8, 128
RATE, DECAY = 0.01, 1e-3
JUDGES = 7

Parameters = dict[str, Vectors]


@dataclass(frozen=True)
class Student:
    """The inputs of all n documents.

    Attributes:
        words: vectors of the words, `(v, r)`.
        numbers: of each document's words, `(n, l)`.
        weights: logarithms of their TF-IDF, `(n, l)`.
        known: which of these are there, `(n, l)`.
        queries: the projections, in the components of the words, `(n, r)`.
        base: the projections `(n, d)`.
    """

    words: Vectors
    numbers: Rows
    weights: Vectors
    known: npt.NDArray[np.bool_]
    queries: Vectors
    base: Vectors

    @classmethod
    def of(cls, tfidf: Vectors, word_vectors: Vectors, base: Vectors, own: Rows) -> Student:
        """From the TF-IDF of all documents `(n, v)`, the words' vectors `(v, d)` and the projections `(n, d)`."""
        _, directions = np.linalg.eigh(word_vectors.T @ word_vectors)
        kept = directions[:, -COMPONENTS:]
        order = np.argsort(-tfidf, axis=1, kind="stable")[:, :MOST_WORDS]
        weights = np.take_along_axis(tfidf, order, axis=1)
        return cls(
            _scaled(word_vectors @ kept),
            order,
            np.log(np.where(weights > 0, weights, 1)).astype(np.float32),
            weights > 0,
            _scaled((base - base[own].mean(axis=0)) @ kept),
            base.astype(np.float32),
        )

    def learn(self, own: Rows, target: Vectors, seed: int) -> Vectors:
        """Fit to the pairs `own` and predict all documents, `(n, d)`; `target` is `(n, d)`."""
        rng = np.random.default_rng(seed)
        shuffled = rng.permutation(own)
        judges, learned = np.split(shuffled, [max(30, len(own) // JUDGES)])
        r, d = self.words.shape[1], target.shape[1]
        shapes: dict[str, tuple[int, ...]] = {"c": (1,), "u": (r,), "A": (r, r), "B": (r, d)}
        now: Parameters = {name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}
        means = {name: np.zeros_like(value) for name, value in now.items()}
        squares = {name: np.zeros_like(value) for name, value in now.items()}
        best, kept, since, step = self._loss(judges, target, now), dict(now), 0, 0
        for _ in range(EPOCHS):
            for batch in np.array_split(rng.permutation(learned), max(1, len(learned) // BATCH)):
                step += 1
                for name, gradient in self._gradients(batch, target, now).items():
                    means[name] = 0.9 * means[name] + 0.1 * gradient
                    squares[name] = 0.99 * squares[name] + 0.01 * gradient**2
                    move = means[name] / (1 - 0.9**step) / (np.sqrt(squares[name] / (1 - 0.99**step)) + 1e-8)
                    now[name] = (now[name] - (RATE / 10 if name == "B" else RATE) * move).astype(np.float32)
            loss = self._loss(judges, target, now)
            best, kept, since = (loss, dict(now), 0) if loss < best else (best, kept, since + 1)
            if since > PATIENCE:
                break
        return self._predict(np.arange(len(self.base)), kept)

    def _pooled(self, rows: Rows, now: Parameters) -> tuple[Vectors, Vectors, Vectors]:
        """The words' vectors `(m, l, r)`, their weights `(m, l)`, and the weighted sums `(m, r)`."""
        vectors = self.words[self.numbers[rows]]
        logits = self.weights[rows] * (1 + now["c"]) + vectors @ now["u"]
        logits = logits + np.einsum("mlr,mr->ml", vectors, self.queries[rows] @ now["A"])
        logits = np.where(self.known[rows], logits, -30)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
        return vectors, shares, np.einsum("ml,mlr->mr", shares, vectors)

    def _predict(self, rows: Rows, now: Parameters) -> Vectors:
        return np.asarray(self.base[rows] + self._pooled(rows, now)[2] @ now["B"])

    def _loss(self, rows: Rows, target: Vectors, now: Parameters) -> float:
        return float(1 - np.mean(np.sum(_unit(self._predict(rows, now)) * _unit(target[rows]), axis=1)))

    def _gradients(self, rows: Rows, target: Vectors, now: Parameters) -> Parameters:
        vectors, shares, pooled = self._pooled(rows, now)
        predicted = self.base[rows] + pooled @ now["B"]
        lengths = np.linalg.norm(predicted, axis=1, keepdims=True)
        directions, true = predicted / lengths, _unit(target[rows])
        cosines = np.sum(directions * true, axis=1, keepdims=True)
        of_output = (cosines * directions - true) / lengths / len(rows)
        of_pooled = of_output @ now["B"].T
        of_logits = shares * (np.einsum("mlr,mr->ml", vectors, of_pooled) - np.sum(pooled * of_pooled, axis=1)[:, None])
        of_words = np.einsum("ml,mlr->mr", of_logits, vectors)
        return {
            "c": np.array([np.sum(of_logits * self.weights[rows])], dtype=np.float32),
            "u": of_words.sum(axis=0) + DECAY * now["u"],
            "A": self.queries[rows].T @ of_words + DECAY * now["A"],
            "B": pooled.T @ of_output + DECAY * now["B"],
        }


def _scaled(rows: Vectors) -> Vectors:
    """With a mean squared length of 1."""
    return np.asarray(rows / np.sqrt(np.mean(np.sum(rows**2, axis=1))), dtype=np.float32)


def _unit(rows: Vectors) -> Vectors:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
