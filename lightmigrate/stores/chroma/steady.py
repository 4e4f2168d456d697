"""A client for applications that open collections by name while another process exchanges them; see `by_name`.

Between two renames of an exchange `get_collection` is refused, and `get_or_create_collection` makes a new, empty
collection. Frameworks call the one or the other of the client that they are given.
"""

from __future__ import annotations

import inspect
from typing import Any

from chromadb.api.client import Client
from chromadb.errors import NotFoundError

from lightmigrate.errors import DatabaseError
from lightmigrate.stores.chroma.by_name import get_collection

# What both of Chroma's methods take.
_OF_BOTH = ("embedding_function", "data_loader")


def steady(client: Any) -> Any:
    """The same client, for which a collection has its name also in the instant of an exchange. Writes nothing.

        store = Chroma("notes", embeddings, client=steady(chromadb.HttpClient("localhost", 8000)))
        store = ChromaVectorStore(steady(client).get_or_create_collection("notes"))

    Both clients have one connection, which closing either of them closes.

    Args:
        client: Chroma's own, such as `chromadb.HttpClient`; not an asynchronous one.

    Raises:
        DatabaseError: it is something else.
    """
    if not isinstance(client, Client):
        raise DatabaseError(f"a {type(client).__name__} is no client of Chroma, such as chromadb.HttpClient(...)")
    found = _SteadyClient.__new__(_SteadyClient)  # its __init__ would open another connection
    vars(found).update(vars(client), _opened=client)
    return found


class _SteadyClient(Client):
    """Another client of the same engine or connection."""

    _opened: Client

    def close(self) -> None:
        """Close the client that it was made of."""
        self._opened.close()

    def get_collection(self, name: str, *arguments: Any, **options: Any) -> Any:
        """As Chroma's."""
        given = inspect.signature(Client.get_collection).bind(self, name, *arguments, **options).arguments
        return get_collection(self._opened, **_without_self(given))

    def create_collection(self, name: str, *arguments: Any, **options: Any) -> Any:
        """As Chroma's."""
        given = inspect.signature(Client.create_collection).bind(self, name, *arguments, **options).arguments
        if given.pop("get_or_create", False):
            return self.get_or_create_collection(**_without_self(given))
        return self._opened.create_collection(**_without_self(given))

    def get_or_create_collection(self, name: str, *arguments: Any, **options: Any) -> Any:
        """As Chroma's, which takes nothing of what is asked for where there is a collection."""
        given = inspect.signature(Client.get_or_create_collection).bind(self, name, *arguments, **options).arguments
        try:
            return self.get_collection(name, **{key: given[key] for key in _OF_BOTH if key in given})
        except NotFoundError:
            return self._opened.get_or_create_collection(**_without_self(given))


def _without_self(given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key != "self"}
