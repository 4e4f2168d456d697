"""Documents that the new model has read whole keep what it said of them; the others are mapped."""

from __future__ import annotations

import hashlib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from lightmigrate.projection.abridged import Embed
from lightmigrate.projection.steps import Step
from lightmigrate.projection.term import Texts
from lightmigrate.projection.vectors import Vectors


@dataclass(frozen=True)
class Known:
    """A step of a projection that asks the new model for some texts, and maps the records of all others.

    Attributes:
        step: maps.
        digests: of the texts that the new model is asked for.
        embed: asks it; with a cache, because it is asked again when the result is verified.
    """

    step: Step
    digests: AbstractSet[bytes]
    embed: Embed

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""
        return self.step.shape

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """Map `(n, d_in)` to a new float32 array `(n, d_out)`."""
        if texts is None:
            return self.step.apply(vectors, None)
        known = np.array([bool(text) and digest_of_text(text or "") in self.digests for text in texts], dtype=bool)
        output = np.empty((len(vectors), self.shape[1]), dtype=np.float32)
        if known.any():
            output[known] = self.embed([text or "" for text, own in zip(texts, known, strict=True) if own])
        if not known.all():
            others = [text for text, own in zip(texts, known, strict=True) if not own]
            output[~known] = self.step.apply(vectors[~known], others)
        return output


def digest_of_text(text: str) -> bytes:
    """Sixteen bytes that stand for a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
