"""Collections by their names, also in the instant of an exchange in which nothing has the name of the collection.

Chroma renames one collection at a time, and refuses a name that is taken. So between two renames the collection has no
name: for some milliseconds, longer on a machine that has more to do than it can (`benchmarks/results/exchange.md`). The
version that is about to get it shows by its own name that this is so, and whoever asks then asks again. Applications
ask through the client of `steady`.
"""

from __future__ import annotations

import time
from typing import Any

from chromadb.errors import NotFoundError

from lightmigrate.stores.chroma.claim import LOCK
from lightmigrate.stores.chroma.names import State, VersionName

# How long the name is waited for. It comes in milliseconds, on a machine with twenty times as much to do as it can in a
# second; if whoever exchanges was killed, it comes with the next run.
SECONDS = 3.0

_PAUSE = 0.001


def get_collection(client: Any, name: str, **options: Any) -> Any:
    """`client.get_collection(name, ...)`, which does not fail because the collection is just being exchanged.

    Args:
        client: of a Chroma database.
        name: of the collection.
        options: of Chroma's `get_collection`, such as `embedding_function`.

    Raises:
        NotFoundError: Chroma's own: there is no such collection.
    """
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return client.get_collection(name, **options)
        except NotFoundError:
            exchanging = name in _nameless(all_names(client))
            if not exchanging or time.monotonic() > deadline:
                return client.get_collection(name, **options)  # the exchange may have ended in between
            time.sleep(_PAUSE)


def all_names(client: Any) -> list[str]:
    """The names of all collections, those of lightmigrate's versions included; only reads."""
    names = (collection.name for collection in client.list_collections())
    return sorted(name for name in names if not name.startswith(LOCK))


def settled_names(client: Any) -> list[str]:
    """The same, when no collection is without its name, as far as that comes soon; only reads."""
    deadline = time.monotonic() + SECONDS
    while _nameless(names := all_names(client)) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    return names


def _nameless(names: list[str]) -> set[str]:
    """Names that no collection has, and that a version is about to get."""
    versions = map(VersionName.parse, names)
    return {version.own for version in versions if version.state is State.READY} - set(names)
