"""Objects that hold one Chroma collection: Chroma's own, LangChain's and LlamaIndex's vector stores."""

from __future__ import annotations

from typing import Any

from chromadb.errors import NotFoundError

from lightmigrate.stores.chroma.by_name import get_collection
from lightmigrate.stores.chroma.client import unreferenced_client
from lightmigrate.stores.kind import FrameworkStore


def of_collection(collection: Any) -> FrameworkStore:
    """A `chromadb.Collection`: knows the engine or connection of its client, and its tenant and database."""
    client = unreferenced_client(collection._client, collection.tenant, collection.database)
    return _held(client, collection.name, collection, collection._embedding_function)


def of_langchain(store: Any) -> FrameworkStore:
    """A `langchain_chroma.Chroma`."""
    return _held(store._client, store._collection_name, store._chroma_collection, store.embeddings)


def of_llamaindex(store: Any) -> FrameworkStore:
    """A `ChromaVectorStore`. It does not know the index's embedding model; that of its collection is another one."""
    held = of_collection(store._collection)
    return FrameworkStore(held.database, held.names, reopen=held.reopen)


def _held(client: Any, name: str, handle: Any, embedding: object) -> FrameworkStore:
    """A collection by its name and by Chroma's own object for it, which goes by an id; `None` after it was deleted."""

    def reopen() -> None:
        # Another process may have exchanged the collection since, or the object was made in the instant of an exchange
        # and holds an empty one, which is gone. It would search and write a backup, or nothing.
        try:
            now = get_collection(client, name, embedding_function=None)
        except NotFoundError:
            return
        if now.id != handle.id:
            handle._model = now.get_model()  # Chroma has no public method for this

    return FrameworkStore(client, [name], embedding, reopen=None if handle is None else reopen)
