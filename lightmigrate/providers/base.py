"""The base class of all providers: one embedding model, ready to be called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightmigrate.errors import ProviderError
from lightmigrate.projection.model import Model
from lightmigrate.vectors import Vectors, as_vectors

# Called with the number of texts embedded so far and the number of all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Bill:
    """The cost of embedding.

    Attributes:
        tokens: an estimate, about four bytes of text each, before a call; what the server counted after it.
        dollars: `None` when no price is known, 0 for a model that runs here.
    """

    tokens: int
    dollars: float | None


class Provider(ABC):
    """One embedding model. Subclasses implement how a batch of texts is embedded.

    Attributes:
        provider: the kind of provider.
        name: the model's name.
        revision: version of the weights; empty when unknown.
        prefix: put before every document.
        query_prefix: put before every query.
        batch_size: texts embedded in one call, at most.
        batch_characters: their characters in all, at most, where more than one text is embedded.
    """

    provider: str
    batch_size: int = 64
    batch_characters: int = 1_000_000

    def __init__(self, name: str, *, revision: str = "", prefix: str = "", query_prefix: str = "") -> None:
        self.name = name
        self.revision = revision
        self.prefix = prefix
        self.query_prefix = query_prefix
        self._shape: tuple[int, bool] | None = None  # dimension, and whether vectors have length 1

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def key(self) -> str:
        """The identity of the model: providers with equal keys give equal vectors. Costs nothing."""
        return "/".join((self.provider, self.name, self.revision))

    @property
    def model(self) -> Model:
        """The identity of the model. Embeds one word to learn its dimension when nothing was embedded yet."""
        if self._shape is None:
            self.embed(["dimension"])
        dimension, normalised = self._shape or (0, False)
        return Model(self.name, dimension, self.provider, self.revision, self.prefix, self.query_prefix, normalised)

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed documents, `prefix` before each: float32 `(n, d)`, row i for text i.

        Raises:
            ProviderError: the model cannot be reached or loaded, or its answer is invalid.
            CostError: the next call would exceed the allowed cost.
        """
        return self._all(self.worded(texts), False, progress)

    def embed_queries(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Embed queries, `query_prefix` before each: float32 `(n, d)`. Raises as `embed` does."""
        return self._all(self.worded(texts, queries=True), True, progress)

    def bill(self, texts: Sequence[str], queries: Sequence[str] = ()) -> Bill:
        """The estimated cost of embedding these documents and queries; calls no model."""
        return self.priced(estimated_tokens(self.worded(texts)) + estimated_tokens(self.worded(queries, queries=True)))

    def seconds_per_token(self) -> float | None:
        """How long the model takes for a token, by what is remembered of earlier calls; `None` when nothing is."""
        return None

    def priced(self, tokens: int) -> Bill:
        """The cost of so many tokens."""
        return Bill(tokens, 0.0)

    def worded(self, texts: Sequence[str], queries: bool = False) -> list[str]:
        """The input of the model: prefix and text, broken characters (lone surrogates) replaced by `?`."""
        prefix = self.query_prefix if queries else self.prefix
        return [(prefix + text).encode("utf-8", "replace").decode("utf-8") for text in texts]

    @abstractmethod
    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        """Embed one batch, its prefixes in place: numbers `(n, d)`. Most models treat queries like documents."""

    def checked(self, answer: Any, expected: int) -> Vectors:
        """An answer of `encode` as float32 `(expected, d)`; `ProviderError` when it is invalid."""
        try:
            vectors = as_vectors(answer)
        except ValueError:
            raise ProviderError(f"{self.name} did not answer with vectors; is it an embedding model?") from None
        if not vectors.size:
            raise ProviderError(f"{self.name} answered without vectors; is it an embedding model?")
        if vectors.ndim != 2 or len(vectors) != expected:
            raise ProviderError(
                f"{self.name} gave {len(vectors)} vectors for {expected} texts: the answer was cut short; try again"
            )
        if not np.isfinite(vectors).all():
            raise ProviderError(f"{self.name} answered with NaN or infinity; check the model")
        if self._shape is None:
            lengths = np.linalg.norm(vectors, axis=1)
            self._shape = vectors.shape[1], bool(np.all(np.abs(lengths - 1) < 0.01))
        elif vectors.shape[1] != self._shape[0]:
            raise ProviderError(
                f"{self.name} gave vectors of {vectors.shape[1]} dimensions, before it was {self._shape[0]}; "
                "was the model exchanged?"
            )
        return vectors

    def _all(self, texts: list[str], queries: bool, progress: Progress | None) -> Vectors:
        output: Vectors | None = None
        done = 0
        for rows in self._batches(texts):
            vectors = self.checked(self.encode([texts[row] for row in rows], queries), len(rows))
            if output is None:
                output = np.empty((len(texts), vectors.shape[1]), dtype=np.float32)
            output[rows] = vectors
            done += len(rows)
            if progress is not None:
                progress(done, len(texts))
        return np.empty((0, self.model.dimension), dtype=np.float32) if output is None else output

    def _batches(self, texts: list[str]) -> Iterator[list[int]]:
        """Row numbers, texts of like length together, because a batch is padded to its longest."""
        batch: list[int] = []
        characters = 0
        for row in sorted(range(len(texts)), key=lambda row: -len(texts[row])):
            full = len(batch) == self.batch_size or characters + len(texts[row]) > self.batch_characters
            if batch and full:
                yield batch
                batch, characters = [], 0
            batch.append(row)
            characters += len(texts[row])
        if batch:
            yield batch


def estimated_tokens(texts: Sequence[str]) -> int:
    """About how many tokens some texts have: one for every four bytes, so that Chinese counts for more than Latin."""
    return sum(len(text.encode("utf-8", "replace")) // 4 + 1 for text in texts)
