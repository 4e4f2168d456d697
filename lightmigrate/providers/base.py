"""What every provider of embeddings must do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lightmigrate.projection.model import Model
from lightmigrate.projection.vectors import Vectors


class Provider(Protocol):
    """One embedding model, ready to be called.

    What a provider raises is a `ProviderError`, in one line that says the way out.
    """

    @property
    def model(self) -> Model:
        """Who it is: name, dimension, provider, revision, prefixes. May load the model or make one tiny call."""

    @property
    def key(self) -> str:
        """What makes two providers give the same vectors, as one line of text; costs nothing to ask."""

    @property
    def batch_size(self) -> int:
        """How many texts to give at once."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed documents, `model.prefix` before each: float32 `(n, d)`, row i for text i."""

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed queries, `model.query_prefix` before each: float32 `(n, d)`."""
