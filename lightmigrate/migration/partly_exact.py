"""A step of a projection that gives some documents their exact vectors, and projects the others."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

import numpy as np

from lightmigrate.projection.projection import Projection
from lightmigrate.projection.steps import Step
from lightmigrate.projection.terms.base import Texts
from lightmigrate.projection.terms.extract import Embed
from lightmigrate.training.text_digest import text_digest
from lightmigrate.vectors import Vectors, finite_rows


@dataclass(frozen=True)
class PartlyExact:
    """Embeds some texts with the new model, and projects the records of all others and of texts that it refuses.

    Attributes:
        steps: the projection of the others, applied in order.
        digests: of the texts to embed; see `text_digest`.
        embed: embeds texts with the new model; with a cache, because verifying the result embeds them again.
        refused: digests of the texts among them that the model has refused so far.
    """

    steps: Sequence[Step]
    digests: Container[bytes]
    embed: Embed
    refused: set[bytes] = field(default_factory=set, repr=False, compare=False)

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""
        return self.steps[0].shape[0], self.steps[-1].shape[1]

    @classmethod
    def of(cls, projection: Projection, digests: Container[bytes], embed: Embed) -> Projection:
        """A projection that gives some documents their exact vectors. It cannot be saved."""
        return Projection((cls(projection.steps, digests, embed),), projection.info, spaces=projection.spaces)

    def embeds(self, text: str | None) -> bool:
        """Whether the record of a text gets the model's own vector: not where the model has refused it."""
        return bool(text) and (digest := text_digest(text or "")) in self.digests and digest not in self.refused

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """Project `(n, d_in)` to a new float32 array `(n, d_out)`; calls the model for the texts in `digests`."""
        if texts is None:
            return self._project(vectors, None)
        exact = np.array([self.embeds(text) for text in texts], dtype=bool)
        output = np.empty((len(vectors), self.shape[1]), dtype=np.float32)
        if exact.any():
            rows = np.flatnonzero(exact)
            output[rows] = self.embed([texts[row] or "" for row in rows.tolist()])
            left = rows[~finite_rows(output[rows])]
            self.refused.update(text_digest(texts[row] or "") for row in left.tolist())
            exact[left] = False
        if not exact.all():
            others = [text for text, own in zip(texts, exact, strict=True) if not own]
            output[~exact] = self._project(vectors[~exact], others)
        return output

    def _project(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        for step in self.steps:  # only the first one reads texts of the source space, but all may read the same texts
            vectors = step.apply(vectors, texts)
        return vectors


def projected_rows(projection: Projection, texts: Sequence[str | None]) -> list[int]:
    """The rows of some texts that a projection projects: all but those that it embeds. Calls no model."""
    first = projection.steps[0] if projection.steps else None
    embeds = first.embeds if isinstance(first, PartlyExact) else lambda text: False
    return [row for row, text in enumerate(texts) if not embeds(text)]


def without_exact(projection: Projection) -> Projection:
    """What a projection does with the records that it does not embed: of `PartlyExact.of` the other half."""
    (first, *rest) = projection.steps
    if rest or not isinstance(first, PartlyExact):
        return projection
    return Projection(tuple(first.steps), projection.info, spaces=projection.spaces)
