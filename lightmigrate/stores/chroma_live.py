"""A Chroma database through a client that somebody else has opened: of this process, or of a server."""

from __future__ import annotations

import gc
from typing import Any

from lightmigrate.errors import CollectionNotFoundError, DatabaseError
from lightmigrate.stores.base import Address, CollectionFacts
from lightmigrate.stores.chroma import ChromaCollection, ChromaStore


class LiveChromaStore(ChromaStore):
    """The client's own tenant and database. See `stores.base.Store`. Never closes the client."""

    def __init__(self, client: Any) -> None:
        if not all(hasattr(client, name) for name in ("list_collections", "get_collection", "tenant", "database")):
            raise DatabaseError(f"{type(client).__name__} is neither a folder nor an open Chroma client")
        self._live = client

    def close(self) -> None:
        """Nothing: the client is somebody else's."""

    def __str__(self) -> str:
        settings = self._live.get_settings()
        if settings.chroma_server_host:
            return f"{settings.chroma_server_host}:{settings.chroma_server_http_port}"
        return str(settings.persist_directory)

    def address(self, name: str) -> Address:
        """Of a collection of this client's database."""
        return Address(name, self._live.tenant, self._live.database)

    def catalog(self) -> list[CollectionFacts]:
        """All collections of the client's database, by name; only reads."""
        return [self.collection(self.address(name)).facts() for name in self.names()]

    def names(self) -> list[str]:
        """Of all collections of the client's database; only reads."""
        return sorted(collection.name for collection in self._live.list_collections())

    def move_handles(self, old: ChromaCollection, new: ChromaCollection, embedding_function: Any) -> int:
        """Point every collection object of this process that stands for `old` to `new`; returns how many.

        Such objects go by the collection's id, not by its name: after a change of names they would go on answering from
        the old rows, and silently write to them.

        Args:
            old: what they stand for.
            new: what they are to stand for.
            embedding_function: what they are to embed texts with from now on; `None` leaves theirs.
        """
        moved = 0
        handle = type(old.handle)
        for found in gc.get_objects():
            if type(found) is handle and found is not old.handle and found.id == old.handle.id:
                found._model = new.fresh_model()  # there is no public way
                if callable(embedding_function):
                    found._embedding_function = embedding_function
                moved += 1
        return moved

    def _client(self, address: Address) -> Any:
        if (address.tenant, address.database) != (self._live.tenant, self._live.database):
            raise CollectionNotFoundError(
                f"{address} is in another database than the client's, {self._live.tenant}/{self._live.database}: "
                "open a client for that one"
            )
        return self._live
