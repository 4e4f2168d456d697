"""The new model's embeddings of extracts: of the calibration documents, and of other documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.errors import ProjectionError
from lightmigrate.projection.terms.extract import Embed
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.vectors import Vectors, as_vectors


@dataclass(frozen=True)
class OtherExtracts:
    """Documents of which the new model embedded only the extracts.

    Attributes:
        source: `(M, d_in)`, their stored vectors.
        texts: the M stored documents.
        vectors: `(M, d_out)`, the new model's embeddings of their extracts.
    """

    source: Vectors
    texts: Sequence[str | None]
    vectors: Vectors

    def first(self, count: int) -> OtherExtracts:
        """The first `count` of them."""
        return OtherExtracts(self.source[:count], self.texts[:count], self.vectors[:count])


@dataclass(frozen=True)
class Extracts:
    """The extracts of K calibration documents, embedded by the new model.

    Attributes:
        rule: makes the extract of a text.
        vectors: `(K, d_out)`, in the order of the pairs; zeros for a pair without a text.
        embed: embeds the extracts of other documents when the projection is applied; without it the projection
            needs `reading_with` first.
        others: more documents with embedded extracts of the same kind and length.
    """

    rule: ExtractRule
    vectors: Vectors
    embed: Embed | None = None
    others: OtherExtracts | None = None

    def __post_init__(self) -> None:
        vectors = as_vectors(self.vectors)
        if vectors.ndim != 2 or not np.isfinite(vectors).all():
            raise ProjectionError(
                f"extracts of the {self.rule} with vectors of shape {vectors.shape} cannot be used: give one vector "
                "without NaN for each pair"
            )
        others = self.others
        if others is None:
            return
        if len(others.texts) != len(others.source) or others.vectors.shape != (len(others.source), vectors.shape[1]):
            raise ProjectionError(
                f"the other extracts have vectors of shape {others.vectors.shape} for {len(others.source)} documents "
                f"with {len(others.texts)} texts, those of the pairs have {vectors.shape[1]} dimensions; give one text "
                "and one vector of that dimension for each"
            )
