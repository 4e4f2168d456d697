"""The extract term: the new model's embedding of an extract of the stored text, some of its words.

The embedding of an extract is close to that of the whole text, and costs a fraction of it. This is the only term that
needs the new model when it is applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from lightmigrate.errors import ProjectionError, ProjectionFileError
from lightmigrate.projection.terms.base import Array, Scale, Texts, matrix, times
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.vectors import Vectors, finite_rows

# Embeds n texts as documents with the new model: float32 `(n, d_new)`, NaN for a text that the model refuses.
Embed = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True)
class Extract:
    """`a·V` with a the new model's embedding of the extract of the stored text.

    Attributes:
        weights: V, float32 `(d_new, d_out)`.
        rule: makes the extract of a text.
        source_dimension: d_in; the vectors themselves are not used.
        embed: embeds with the new model; `None` in a projection from a file, until `reading_with` is called.
    """

    weights: Vectors
    rule: ExtractRule
    source_dimension: int
    embed: Embed | None = field(default=None, repr=False, compare=False)
    kind: ClassVar[str] = "extract"

    def __post_init__(self) -> None:
        if self.weights.ndim != 2:
            raise ValueError(f"weights of shape {self.weights.shape} are no matrix")

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""
        return self.source_dimension, self.weights.shape[1]

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """The term's value for each text; zero for records without a text, or whose extract the model refuses.

        Raises:
            ProjectionError: no `embed` is set, or it returns vectors of another dimension.
        """
        output = np.zeros((len(vectors), self.shape[1]), dtype=np.float32)
        rows = [row for row, text in enumerate(texts or ()) if text and text.strip()]
        if rows and texts is not None:
            output[rows] = self._embedded([self.rule.of(texts[row] or "") for row in rows]) @ self.weights
        return output

    def _embedded(self, extracts: Sequence[str]) -> Vectors:
        if self.embed is None:
            raise ProjectionError(
                f"this projection embeds an extract (the {self.rule}) of every text with the new model: "
                "give it the model with projection.reading_with(provider.embed_each)"
            )
        vectors = self.embed(extracts)
        if vectors.shape != (len(extracts), len(self.weights)):
            raise ProjectionError(
                f"the model returned vectors of shape {vectors.shape} for {len(extracts)} texts, the projection was "
                f"fitted with a model of {len(self.weights)} dimensions; use that model"
            )
        return np.where(finite_rows(vectors)[:, None], vectors, np.float32(0))

    def scaled(self, by: Scale) -> Extract:
        """The same term with its output multiplied by a number, or from the right by a matrix `(d_out, d_out)`."""
        return Extract(times(self.weights, by), self.rule, self.source_dimension, self.embed)

    def arrays(self) -> Mapping[str, Array]:
        """`weights`, `source_dimension`, and those of the rule."""
        return {
            "weights": self.weights,
            "source_dimension": np.array([self.source_dimension]),
            **self.rule.arrays(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Extract:
        """The term with these `arrays`; `ProjectionFileError` when they are inconsistent."""
        weights = matrix(arrays, "weights", cls.kind)
        try:
            return cls(weights, ExtractRule.from_arrays(arrays), int(arrays["source_dimension"][0]))
        except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
            raise ProjectionFileError(
                f"the extract term is inconsistent: {error}; train the projection again"
            ) from None
