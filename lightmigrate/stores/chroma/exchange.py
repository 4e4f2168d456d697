"""The exchange of a version for its collection: three renames, each of which is one transaction.

The version gets its `ready` name, which says what it replaces; the collection gets its backup's name; the version gets
the collection's name. So after a crash the `ready` name shows what to do: undo the exchange where the collection still
has its name, else finish it.

Between the second and the third rename an application that asks for the name with `get_or_create_collection` is given a
new, empty collection. It is renamed out of the way, and deleted if nothing was written to it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

import numpy as np
from chromadb.errors import ChromaError

from lightmigrate.errors import CollectionNotFoundError
from lightmigrate.progress import logger
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.names import State, VersionName

# How often a name is freed of what an application creates under it, again and again.
_TRIES = 20

# The record that closes a collection which is about to be deleted.
_FIRST = "lightmigrate"

Opener = Callable[[Address], ChromaCollection]


def exchange(open_one: Opener, incoming: ChromaCollection, live: ChromaCollection, key: str) -> list[ChromaCollection]:
    """Put a version in the place of its collection, which becomes backup `key`. Writes.

    Returns:
        What applications created under the collection's name meanwhile; set aside, or deleted.
    """
    address = live.address
    incoming.rename(VersionName.parse(incoming.address.name).ready(live.id).name)
    live.rename(VersionName(address.name, State.OLD, key).name)
    return _take_name(open_one, incoming, address)


def recover(open_one: Opener, addresses: Sequence[Address]) -> str | None:
    """Finish or undo every exchange that a crash interrupted. Writes only when there is something to do.

    Args:
        open_one: opens a collection.
        addresses: of all collections, versions included.

    Returns:
        What was done, in a sentence; `None` when nothing was.
    """
    done = None
    for address in addresses:
        name = VersionName.parse(address.name)
        if name.state is not State.READY:
            continue
        own = Address(name.own, address.tenant, address.database)
        if own in addresses and name.replaces(open_one(own).id):
            open_one(address).rename(name.undone().name)
            done = "an interrupted exchange was undone: the old collection is in place"
        else:
            _take_name(open_one, open_one(address), own)
            done = "an interrupted exchange was finished: the new collection is in place"
    return done


def _take_name(open_one: Opener, incoming: ChromaCollection, address: Address) -> list[ChromaCollection]:
    """Give a version the name of its collection, which nothing has that lightmigrate knows. Writes."""
    created = []
    for left in reversed(range(_TRIES)):
        try:
            incoming.rename(address.name)
            break
        except ChromaError:
            if not left:
                raise
            try:
                other = open_one(address)
            except CollectionNotFoundError:
                continue
            created.append(other)
            other.rename(VersionName(address.name, State.LATE, secrets.token_hex(6)).name)
    for other in created:
        _delete_if_empty(other)
    return created


def _delete_if_empty(created: ChromaCollection) -> None:
    if _is_closed_empty(created):
        created.delete()
        return
    logger.warning(
        "%s: in the instant of the exchange an application created a collection of this name, and wrote %d records to "
        "it: they are in  %s", VersionName.parse(created.address.name).own, created.count(), created.address.name,
    )  # fmt: skip


def _is_closed_empty(created: ChromaCollection) -> bool:
    """Whether nothing was written to a collection, and nothing can be any more. Writes.

    An application could write between a look at it and its deletion, and would never know that this was lost. The first
    vector decides the length of all others: after one of a single number the application's own are refused.
    """
    first = Page([_FIRST], np.ones((1, 1), np.float32), [None], [None])
    try:
        created.add(first)
    except ChromaError:  # it holds others already
        return False
    if created.count() == 1:
        return True
    created.remove([_FIRST])
    return False
