"""Objects that hold one Chroma collection: Chroma's own, LangChain's and LlamaIndex's vector stores."""

from __future__ import annotations

from typing import Any

from lightmigrate.stores.chroma.client import unreferenced_client
from lightmigrate.stores.kind import FrameworkStore


def of_collection(collection: Any) -> FrameworkStore:
    """A `chromadb.Collection`: knows the engine or connection of its client, and its tenant and database."""
    client = unreferenced_client(collection._client, collection.tenant, collection.database)
    return FrameworkStore(client, [collection.name], collection._embedding_function)


def of_langchain(store: Any) -> FrameworkStore:
    """A `langchain_chroma.Chroma`."""
    return FrameworkStore(store._client, [store._collection_name], store.embeddings)


def of_llamaindex(store: Any) -> FrameworkStore:
    """A `ChromaVectorStore`. It does not know the index's embedding model; that of its collection is another one."""
    held = of_collection(store._collection)
    return FrameworkStore(held.database, held.names)
