"""LangChain's and LlamaIndex's vector stores in LanceDB: both hold a connection, which says where the folder is."""

from __future__ import annotations

from typing import Any

from lightmigrate.stores.kind import FrameworkStore


def of_langchain(store: Any) -> FrameworkStore:
    """A `LanceDB` of LangChain."""
    return _held(store, store._vector_key, store.embeddings)


def of_llamaindex(store: Any) -> FrameworkStore:
    """A `LanceDBVectorStore`; it does not know the index's embedding model."""
    return _held(store, store.vector_column_name, None)


def _held(store: Any, vector: str, embedding: object) -> FrameworkStore:
    """A table of a folder, with the name of its vector, which is left out of an address where it has no other one."""
    name = store._table_name

    def reopen() -> None:
        # an open table is one version of it, until it is told
        if store._table is not None:
            store._table.checkout_latest()

    return FrameworkStore(store._connection.uri, [name, f"{name}.{vector}"], embedding, reopen=reopen)
