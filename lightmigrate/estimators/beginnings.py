"""What the new model says to the first words of the calibration documents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lightmigrate.errors import ProjectionError
from lightmigrate.projection.abridged import Embed
from lightmigrate.projection.vectors import Vectors, as_vectors


@dataclass(frozen=True)
class Beginnings:
    """The first words of K calibration documents as the new model embeds them.

    Attributes:
        words: how many words of each document; see `abridge`.
        vectors: `(K, d_out)`, in the order of the pairs; zeros for a pair without a text.
        embed: asks the new model for those of other documents when the projection is applied; without it the
            projection needs `reading_with` first.
    """

    words: int
    vectors: Vectors
    embed: Embed | None = None

    def __post_init__(self) -> None:
        vectors = as_vectors(self.vectors)
        if vectors.ndim != 2 or not np.isfinite(vectors).all() or self.words < 1:
            raise ProjectionError(
                f"beginnings of {self.words} words with vectors of shape {vectors.shape} cannot be used: at least one "
                "word, and one vector without NaN for each pair"
            )
