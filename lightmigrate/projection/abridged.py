"""The abridged term: what the new model says to the first words of the stored text.

When it has read the beginning of a document, a model has said most of what it has to say of it, at a fraction of the
price. The term is the only one that needs the new model when it is applied.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from lightmigrate.errors import ProjectionError, ProjectionFileError
from lightmigrate.projection.term import Array, Scale, Texts, matrix, times
from lightmigrate.projection.vectors import Vectors

# What embeds n texts as documents with the new model: float32 `(n, d_new)`.
Embed = Callable[[Sequence[str]], Vectors]

# What stands between white space; in scripts that are written without any, about every letter is a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\s\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


def abridge(text: str, words: int) -> str:
    """The beginning of a text to the end of its so-manieth word, as it stands there; all of it when it has no more.

    Args:
        text: a document.
        words: at least 1. What stands between white space, or a single letter of Chinese or Japanese.
    """
    for count, word in enumerate(_WORD.finditer(text), 1):
        if count == words:
            return text[: word.end()]
    return text


@dataclass(frozen=True)
class Abridged:
    """`a·V` with a the new model's vector of the first words of the stored text.

    Attributes:
        weights: V, float32 `(d_new, d_out)`.
        words: how many words are read.
        source_dimension: d_in, which this term does not look at.
        embed: asks the new model; `None` after a file was read, until the model is at hand.
    """

    weights: Vectors
    words: int
    source_dimension: int
    embed: Embed | None = field(default=None, repr=False, compare=False)
    kind: ClassVar[str] = "abridged"

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or self.words < 1:
            raise ValueError(f"weights of shape {self.weights.shape} and {self.words} words do not fit")

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""
        return self.source_dimension, self.weights.shape[1]

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """The share of the first words; zero for records without a text.

        Raises:
            ProjectionError: the new model is not at hand, or gives vectors of another dimension.
        """
        output = np.zeros((len(vectors), self.shape[1]), dtype=np.float32)
        rows = [row for row, text in enumerate(texts or ()) if text and text.strip()]
        if rows and texts is not None:
            output[rows] = self._embedded([abridge(texts[row] or "", self.words) for row in rows]) @ self.weights
        return output

    def _embedded(self, beginnings: Sequence[str]) -> Vectors:
        if self.embed is None:
            raise ProjectionError(
                f"this projection reads the first {self.words} words of every text with the new model: give it the "
                "model, projection.reading_with(provider.embed)"
            )
        found = self.embed(beginnings)
        if found.shape != (len(beginnings), len(self.weights)):
            raise ProjectionError(
                f"the model gave vectors of shape {found.shape} for {len(beginnings)} texts, the projection was made "
                f"with one of {len(self.weights)} dimensions; use that"
            )
        return found

    def scaled(self, by: Scale) -> Abridged:
        """The same term with all it gives multiplied by a number, or from the right by a matrix `(d_out, d_out)`."""
        return Abridged(times(self.weights, by), self.words, self.source_dimension, self.embed)

    def arrays(self) -> Mapping[str, Array]:
        """`weights`, `words`, `source_dimension`."""
        return {
            "weights": self.weights,
            "words": np.array([self.words]),
            "source_dimension": np.array([self.source_dimension]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Abridged:
        """From what `arrays` gave; `ProjectionFileError` when they do not fit together."""
        weights = matrix(arrays, "weights", cls.kind)
        try:
            return cls(weights, int(arrays["words"][0]), int(arrays["source_dimension"][0]))
        except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
            raise ProjectionFileError(f"its abridged term contradicts itself: {error}; train it again") from None
