"""The vector stores of LangChain and LlamaIndex in Milvus: their client, and the collection that they use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightmigrate.stores.kind import FrameworkStore


def of_langchain(store: Any) -> FrameworkStore:
    """A `Milvus` of LangChain; of several embeddings and vectors, the first."""
    embeddings, fields = _all(store.embedding_func), _all(store._vector_field)
    return FrameworkStore(store.client, _names(store.collection_name, fields), next(iter(embeddings), None))


def of_llamaindex(store: Any) -> FrameworkStore:
    """A `MilvusVectorStore` of LlamaIndex; it does not know the index's embedding model."""
    return FrameworkStore(store.client, _names(store.collection_name, [store.embedding_field]))


def _names(collection: str, fields: Sequence[str]) -> list[str]:
    """A collection with and without its vector, which an address names only where there are several."""
    return [collection, *(f"{collection}.{field}" for field in fields)]


def _all(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
