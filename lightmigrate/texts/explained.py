"""How well texts explain stored vectors, without any model: ridge regression from the texts' words to the vectors.

Each vector is predicted from the words of its text by a fit to the other records (leave-one-out in closed form), with
TF-IDF features and a penalty chosen by the same error. Several sets of texts are compared record by record, so that
what is common to them does not count.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightmigrate.results import Result
from lightmigrate.vectors import Vectors

Array = npt.NDArray[np.float64]

# Penalties that are tried; the kernel of TF-IDF features of length 1 has a diagonal of 1.
_PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)

# With fewer records nothing is concluded.
FEWEST = 40

# Standard errors from which a difference counts.
CLEAR = 3.0

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Explanation(Result):
    """How well texts explain vectors.

    Attributes:
        share: of the variance of the vectors, explained in records that the fit has not seen; below 0 where the texts
            predict worse than the mean does.
        low: end of its 95 % interval.
        high: end of its 95 % interval.
    """

    share: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the texts explain anything at all."""
        return self.low > 0


@dataclass(frozen=True)
class Errors:
    """The error of each record, as a share of the mean squared distance of the vectors to their centre."""

    each: Array

    def explanation(self) -> Explanation:
        """The share of the variance that is explained."""
        share, half = 1 - float(self.each.mean()), 1.96 * _standard_error(self.each)
        return Explanation(share, share - half, share + half)

    def clearly_below(self, other: Errors) -> bool:
        """Whether these errors are smaller than the others of the same records, by more than chance."""
        difference = other.each - self.each
        return bool(difference.mean() > CLEAR * _standard_error(difference))


def errors_of(texts: Sequence[str], vectors: Vectors) -> Errors:
    """The leave-one-out error of each vector `(n, d)`, predicted from the words of its text. Calls no model.

    The formula is that of linear smoothers (Allen 1974): the residual over one minus the leverage.
    """
    target = np.asarray(vectors, np.float64)
    target = target / np.maximum(np.linalg.norm(target, axis=1, keepdims=True), 1e-12)
    n = len(target)
    centred = target - target.mean(axis=0)
    variance = max(float(np.mean(np.sum(centred**2, axis=1))), 1e-12)
    kernel = _kernel(texts)
    middle = np.eye(n) - 1 / n
    values, axes = np.linalg.eigh(middle @ kernel @ middle)
    values, rotated = np.maximum(values, 0), axes.T @ centred
    best: Array | None = None
    for penalty in _PENALTIES:
        shrunk = values / (values + penalty)
        residual = centred - (axes * shrunk) @ rotated
        leverage = 1 / n + np.sum(axes**2 * shrunk, axis=1)
        errors = np.sum(residual**2, axis=1) / np.maximum(1 - leverage, 1e-6) ** 2 / variance
        if best is None or errors.mean() < best.mean():
            best = errors
    assert best is not None  # noqa: S101  # there are penalties
    return Errors(best)


def _kernel(texts: Sequence[str]) -> Array:
    """The cosines of the TF-IDF vectors of texts, `(n, n)`."""
    counts = [Counter(_WORD.findall(text.lower())) for text in texts]
    found_in = Counter(word for count in counts for word in count)
    places = {word: place for place, word in enumerate(word for word, number in found_in.items() if number > 1)}
    features = np.zeros((len(texts), max(1, len(places))), np.float32)
    for row, count in enumerate(counts):
        for word, number in count.items():
            if word in places:
                features[row, places[word]] = (1 + math.log(number)) * math.log(1 + len(texts) / found_in[word])
    features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return np.asarray(features @ features.T, np.float64)


def _standard_error(values: Array) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.inf
