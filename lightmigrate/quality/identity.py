"""Is it the same model? Stored vectors are compared with those that the model makes of the same documents today."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lightmigrate.errors import DimensionError
from lightmigrate.projection.vectors import Vectors, meaningful
from lightmigrate.results import Result

Likeness = Literal["same", "variant", "other", "mixed", "unknown"]

# Cosine of two models' vectors of one text is near 0, of the same model with another prefix, precision or cut of the
# text .6 and more, of the very same .999 and more. Read off the WordNet texts; how often it is wrong on other texts
# stands in benchmarks/results/identity.md.
AGREES, IDENTICAL = 0.5, 0.995

# Fewer documents say nothing. So many may disagree by accident, because their text was edited and not embedded again.
FEWEST = 8
ACCIDENTS = 0.03


@dataclass(frozen=True)
class Identity(Result):
    """Whose vectors some stored ones are.

    Attributes:
        verdict: `same` model; a `variant` of it (another prefix, precision, or part of the text), which searches can
            go on with; an `other` model; `mixed`: some rows are this model's and some are not; `unknown`: too few.
        documents: compared.
        agreeing: of them whose stored vector is this model's or a variant's.
        share: 95 % interval of the share of the collection that is, by Wilson's score.
        cosine: median of stored and recomputed vectors.
        left_out: documents whose stored vector means nothing.
    """

    verdict: Likeness
    documents: int
    agreeing: int
    share: tuple[float, float]
    cosine: float
    left_out: int

    @property
    def reason(self) -> str:
        """In a sentence."""
        said = {
            "same": "its vectors are this model's",
            "variant": "its vectors are a variant of this model's (another prefix, precision or part of the text)",
            "other": "its vectors are of another model",
            "mixed": f"{self.agreeing} of {self.documents} vectors compared are this model's, the others are not",
            "unknown": "too few documents to compare",
        }[self.verdict]
        return (
            f"{said}: median cosine {self.cosine:.3f} of {self.documents} documents, {self.share[0]:.0%} to "
            f"{self.share[1]:.0%} of the collection agree"
        )


def identify(stored: Vectors, recomputed: Vectors) -> Identity:
    """Compare stored vectors with the model's own of the same documents, row by row. Lengths do not matter.

    Args:
        stored: float32 `(n, d)`.
        recomputed: float32 `(n, d)`, of the same documents in the same order.

    Raises:
        DimensionError: they differ in dimension, so that it is another model, or in number.
    """
    if stored.shape != recomputed.shape:
        raise DimensionError(
            f"stored vectors {stored.shape} and recomputed ones {recomputed.shape} cannot be compared row by row",
            expected=recomputed.shape[-1],
            found=stored.shape[-1],
        )
    usable = meaningful(stored) & meaningful(recomputed)
    old, new = stored[usable].astype(np.float64), recomputed[usable].astype(np.float64)
    cosines = np.sum(old * new, axis=1) / (np.linalg.norm(old, axis=1) * np.linalg.norm(new, axis=1))
    n, agreeing = len(cosines), int((cosines >= AGREES).sum())
    median = float(np.median(cosines)) if n else 0.0
    return Identity(_verdict(n, agreeing, median), n, agreeing, wilson(agreeing, n), median, len(stored) - n)


def _verdict(n: int, agreeing: int, median: float) -> Likeness:
    if n < FEWEST:
        return "unknown"
    accidents = max(1, int(ACCIDENTS * n))
    if agreeing <= accidents:
        return "other"
    if agreeing < n - accidents:
        return "mixed"
    return "same" if median >= IDENTICAL else "variant"


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share by Wilson's score (1927); (0, 1) of nothing."""
    if not n:
        return 0.0, 1.0
    z, share = 1.959964, hits / n
    middle = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, (middle - spread) / (1 + z * z / n)), min(1.0, (middle + spread) / (1 + z * z / n))
