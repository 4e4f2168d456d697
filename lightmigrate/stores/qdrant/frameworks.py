"""LangChain's and LlamaIndex's vector stores in Qdrant: both hold an open client, and ask it for every search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.kind import FrameworkStore


def of_langchain(store: Any) -> FrameworkStore:
    """A `QdrantVectorStore`, or the older `Qdrant`."""
    return FrameworkStore(store.client, _names(store.collection_name, store.vector_name), store.embeddings)


def of_llamaindex(store: Any) -> FrameworkStore:
    """A `QdrantVectorStore` of LlamaIndex; it does not know the index's embedding model.

    Raises:
        LightmigrateError: it has an asynchronous client only.
    """
    if store._client is None:
        raise LightmigrateError(f"{type(store).__name__} has an asynchronous client only: give it a QdrantClient, too")
    return FrameworkStore(store._client, _names(store.collection_name, store.dense_vector_name))


def _names(collection: str, vector: str | None) -> Sequence[str]:
    """A collection with the name of its vector, which is left out of an address where it has no other dense one."""
    return [collection, f"{collection}.{vector}"] if vector else [collection]
