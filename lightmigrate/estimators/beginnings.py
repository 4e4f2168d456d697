"""What the new model says to the first words of the calibration documents, and of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.errors import ProjectionError
from lightmigrate.projection.abridged import Embed
from lightmigrate.projection.vectors import Vectors, as_vectors


@dataclass(frozen=True)
class Others:
    """Documents of which the new model has read only the first words.

    Attributes:
        source: `(M, d_in)`, their stored vectors.
        texts: the M stored documents.
        vectors: `(M, d_out)`, what the new model says to their first words.
    """

    source: Vectors
    texts: Sequence[str | None]
    vectors: Vectors


@dataclass(frozen=True)
class Beginnings:
    """The first words of K calibration documents as the new model embeds them.

    Attributes:
        words: how many words of each document; see `abridge`.
        vectors: `(K, d_out)`, in the order of the pairs; zeros for a pair without a text.
        embed: asks the new model for those of other documents when the projection is applied; without it the
            projection needs `reading_with` first.
        others: more documents of which the first words are known, as many of them.
    """

    words: int
    vectors: Vectors
    embed: Embed | None = None
    others: Others | None = None

    def __post_init__(self) -> None:
        vectors = as_vectors(self.vectors)
        if vectors.ndim != 2 or not np.isfinite(vectors).all() or self.words < 1:
            raise ProjectionError(
                f"beginnings of {self.words} words with vectors of shape {vectors.shape} cannot be used: at least one "
                "word, and one vector without NaN for each pair"
            )
        others = self.others
        if others is None:
            return
        if len(others.texts) != len(others.source) or others.vectors.shape != (len(others.source), vectors.shape[1]):
            raise ProjectionError(
                f"other beginnings have vectors of shape {others.vectors.shape} for {len(others.source)} documents "
                f"with {len(others.texts)} texts, those of the pairs have {vectors.shape[1]} dimensions"
            )
