"""A model whose embeddings were made before: it answers with packaged vectors, and refuses every other text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import ProviderError
from lightmigrate.providers.base import Provider, estimated_tokens
from lightmigrate.training.text_digest import text_digest
from lightmigrate.vectors import Vectors, as_vectors

# Of a digest so many bytes are kept: among ten thousand texts two share them once in 10^11 recordings.
DIGEST_BYTES = 8

# The largest number that stands for a component of a vector: 15 values, for which a compressed file takes 4 bits.
LARGEST = 7


@dataclass(frozen=True)
class Recording:
    """Embeddings of texts by one model, rounded to 15 values for each number, found by digests of the texts.

    Attributes:
        digests: of n different texts, uint8 `(n, 8)`.
        numbers: int8 `(n, d)`: each vector, divided by its scale and rounded.
        scales: float32 `(n,)`.
    """

    digests: npt.NDArray[np.uint8]
    numbers: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]

    @classmethod
    def of(cls, texts: Sequence[str], vectors: Vectors) -> Recording:
        """Record the vectors `(n, d)` of n different texts, rounded, with a scale for each."""
        digests = np.frombuffer(b"".join(map(_digest, texts)), np.uint8).reshape(len(texts), DIGEST_BYTES)
        largest = np.abs(vectors).max(axis=1, keepdims=True)
        numbers = np.rint(LARGEST * vectors / np.where(largest > 0, largest, 1)).astype(np.int8)
        lengths = np.linalg.norm(numbers.astype(np.float32), axis=1)
        scales = np.linalg.norm(vectors, axis=1) / np.where(lengths > 0, lengths, 1)  # the length is not rounded
        return cls(digests, numbers, scales.astype(np.float32))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Recording:
        """The recording with these `arrays`."""
        return cls(arrays["digests"], arrays["numbers"], arrays["scales"])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Its arrays by name, to be written to a file."""
        return {"digests": self.digests, "numbers": self.numbers, "scales": self.scales}

    @property
    def vectors(self) -> Vectors:
        """The recorded vectors, float32 `(n, d)`."""
        return as_vectors(self.numbers.astype(np.float32) * self.scales[:, None])


class ReplayedModel(Provider):
    """A model that is not there: its embeddings were recorded, and it gives these.

    Args:
        name: of the model.
        texts: texts with known vectors.
        vectors: their vectors, float32 `(n, d)`.
        recording: the vectors of more texts.

    Attributes:
        tokens: estimated tokens that it was asked to read so far.
    """

    provider = "replay"
    batch_size = 1000
    in_process = True

    def __init__(self, name: str, texts: Sequence[str], vectors: Vectors, recording: Recording) -> None:
        super().__init__(name)
        self.tokens = 0
        self._vectors = dict(zip(map(_digest, texts), vectors, strict=True))
        self.add(recording)

    def add(self, recording: Recording) -> None:
        """Give these vectors, too."""
        digests = (row.tobytes() for row in recording.digests)
        self._vectors.update(zip(digests, recording.vectors, strict=True))

    def knows(self, text: str) -> bool:
        """Whether the vector of a text is known."""
        return _digest(text) in self._vectors

    def encode(self, texts: Sequence[str], queries: bool = False) -> Vectors:
        """The recorded vectors of one batch.

        Raises:
            ProviderError: one of the texts was not recorded.
        """
        if missing := sum(not self.knows(text) for text in texts):
            raise ProviderError(
                f"{self.name} is replayed here: {missing} of {len(texts)} texts are not among the "
                f"{len(self._vectors):,} whose embeddings are packaged; embed others with the model itself:  "
                f"lightmigrate plan DATABASE --target-model {self.name}"
            )
        self.tokens += estimated_tokens(texts)
        return np.stack([self._vectors[_digest(text)] for text in texts])


def _digest(text: str) -> bytes:
    return text_digest(text)[:DIGEST_BYTES]
