"""Put a version in the place of a collection, and finish or undo that after a crash.

Where the application uses an alias, one request changes all of its aliases, and makes the old collection the backup.
The same request removes the mark that says that the version is unfinished.

Where it opens the collection by its own name, only an alias of that name can lead to the new collection, and the name
must be free for it:

1. the old collection is copied to one with a mark, which is kept up until a pass over the old one finds no change;
2. one request adds three aliases, `ready` to the new collection, `old` to the copy and `leaving` to the old collection,
   and removes the mark of the copy;
3. the old collection is deleted, and with it `leaving`;
4. one request makes the name an alias of the new collection and removes `ready` and the version's mark.

An application that does not find aliases gets a new collection of this name: instead of 4, one request makes `ready` a
`moving`, the points are copied to a new collection, and the version is deleted.

From 3 on, new and old are both complete, and `ready` says what is left to do. Before that it is undone: as long as
`leaving` leads to it, a collection of the name is the old one, whatever was written to it since. That is not believed
of one without any point of the copy: in a folder, a client that is killed while it deletes a collection leaves it
empty, with its aliases. And where it lacks some of them, the copy is kept, as the backup.

Points that lack the vector are no records, so nobody else carries what is written to them until the exchange.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from lightmigrate.errors import DatabaseChangedError, DatabaseError, LightmigrateError
from lightmigrate.progress import logger
from lightmigrate.stores.aliased.exchange import FINISHED, UNDONE, remove_intruder
from lightmigrate.stores.aliased.names import State
from lightmigrate.stores.base import Address
from lightmigrate.stores.qdrant.calls import QdrantCalls
from lightmigrate.stores.qdrant.collection import QdrantCollection
from lightmigrate.stores.qdrant.exact_copy import OtherPoints, copy_missing, copy_points, count_held
from lightmigrate.stores.qdrant.names import NAMES
from lightmigrate.stores.qdrant.points import needs_own_name

# How often a server is asked whether it has built its indexes.
_SECONDS_BETWEEN = 1.0

# Points that are looked at to see whose they are.
_LOOKED_AT = 20


def exchange(calls: QdrantCalls, incoming: QdrantCollection, live: QdrantCollection, key: str) -> None:
    """See `Store.exchange`. Writes.

    Args:
        calls: the client.
        incoming: the version.
        live: the collection.
        key: of the backup.
    """
    own, before = live.address, calls.aliases()
    new = before.get(incoming.address.name, incoming.address.name)
    require_indexed(calls, new)
    others = OtherPoints(calls, live.vector)
    others.copy(own.name, new)
    aliases = calls.aliases()  # again: an application may have got one meanwhile
    DatabaseChangedError.require_same(own, before.get(own.name, own.name), aliases.get(own.name, own.name))
    if own.name in aliases:
        _switch(calls, own, aliases, new, key)
    else:
        _take_name(calls, own, new, key)
    others.copy_late(NAMES.of(own, State.OLD, key), own.name)


def delete_with_aliases(calls: QdrantCalls, name: str) -> None:
    """Delete a collection, and the aliases that lead to it where Qdrant leaves them. Writes."""
    calls.delete(name)
    if left := [alias for alias, to in calls.aliases().items() if to == name]:
        calls.change_aliases(remove=left, add={})


def require_indexed(calls: QdrantCalls, name: str) -> None:
    """Wait until the server has built the indexes of a collection, so that searches are not slower afterwards.

    Raises:
        DatabaseError: the server says that something is wrong with it.
    """
    while (status := calls.configuration(name).info.status.value) == "yellow":
        time.sleep(_SECONDS_BETWEEN)
    if status == "red":
        raise DatabaseError(
            f"Qdrant could not optimise the new version {name} (status red), and nothing was exchanged: see its log, "
            "and run this again"
        )


def _switch(calls: QdrantCalls, own: Address, aliases: Mapping[str, str], new: str, key: str) -> None:
    old = aliases[own.name]
    ours = NAMES.application_aliases(aliases, old)
    roles = [alias for alias, to in aliases.items() if to == new]
    # those of a backup that somebody made the collection again, without lightmigrate
    roles += [alias for alias, to in NAMES.saying(aliases, State.OLD).items() if to == old]
    calls.change_aliases(remove=[*ours, *roles], add=dict.fromkeys(ours, new) | {NAMES.of(own, State.OLD, key): old})


def _take_name(calls: QdrantCalls, own: Address, new: str, key: str) -> None:
    calls.read_anew()
    like = calls.configuration(own.name)
    vector = like.vector(own.vector, own)
    copy = NAMES.unused(own, State.COPY, key)
    creation = like.creation(vector, like.dense[vector].size, None)
    calls.create(copy, creation, like, NAMES.mark_of(copy))
    try:
        copy_points(calls, own.name, copy)
    except LightmigrateError:
        delete_with_aliases(calls, copy)
        raise
    by_name = _by_name(calls, new)
    logger.warning("%s: for a moment there is no collection of this name", own)
    roles = {State.READY: new, State.OLD: copy, State.LEAVING: own.name}
    calls.change_aliases(
        remove=[NAMES.mark_of(copy)], add={NAMES.of(own, state, key): to for state, to in roles.items()}
    )
    calls.delete(own.name)
    _finish(calls, own, new, key, by_name=by_name)


def _by_name(calls: QdrantCalls, new: str) -> bool:
    """Whether the application needs a collection of its name, because it finds no alias."""
    looked_at = calls.scroll(new, calls.configuration(new).largest(_LOOKED_AT), None, None, vectors=False)
    return needs_own_name([point.payload or {} for point in looked_at])


def _finish(calls: QdrantCalls, own: Address, new: str, key: str, *, by_name: bool) -> None:
    if own.name in calls.collections():
        remove_intruder(calls, own, NAMES.of(own, State.OLD, key))
    if by_name:
        calls.change_aliases(remove=[NAMES.of(own, State.READY, key)], add={NAMES.of(own, State.MOVING, key): new})
        _move(calls, own, new, key)
        return
    roles = [alias for alias, to in calls.aliases().items() if to == new]
    calls.change_aliases(remove=roles, add={own.name: new})


def _move(calls: QdrantCalls, own: Address, new: str, key: str) -> None:
    """Give the points of a version to a new collection of the own name; can be interrupted and called again."""
    like = calls.configuration(new)
    vector = like.vector(own.vector, own)
    dimension = like.dense[vector].size
    if own.name in calls.collections() and calls.configuration(own.name).dense[vector].size != dimension:
        remove_intruder(calls, own, NAMES.of(own, State.OLD, key))
    if own.name not in calls.collections():
        calls.create(own.name, like.creation(vector, dimension, None), like)
    copy_missing(calls, new, own.name)
    require_indexed(calls, own.name)
    delete_with_aliases(calls, new)


def interrupted(aliases: Mapping[str, str]) -> bool:
    """Whether there is an exchange that `recover` finishes or undoes, by where each alias leads."""
    return bool(NAMES.saying(aliases, State.READY, State.MOVING) or _unfinished_copies(aliases))


def recover(calls: QdrantCalls) -> str | None:
    """Finish or undo interrupted exchanges; see `Store.recover`. Writes."""
    done = None
    for alias, new in NAMES.saying(calls.aliases(), State.MOVING).items():
        name = NAMES.parse(alias)
        _move(calls, name.address, new, name.key)
        done = FINISHED
    for alias in NAMES.saying(calls.aliases(), State.READY):
        name = NAMES.parse(alias)
        done = _recover(calls, name.address, name.key)
    for copy in _unfinished_copies(calls.aliases()):
        delete_with_aliases(calls, copy)
        done = done or UNDONE
    return done


def _recover(calls: QdrantCalls, own: Address, key: str) -> str:
    aliases = calls.aliases()
    ready, backup, leaving = (NAMES.of(own, state, key) for state in (State.READY, State.OLD, State.LEAVING))
    new = aliases[ready]
    roles = NAMES.saying(aliases, State.OLD, State.UNFINISHED)
    marks = {NAMES.mark_of(new): new} if NAMES.state(new) is State.NEW and new not in roles.values() else {}
    if own.name in calls.collections():
        wanted = calls.count(backup) if backup in aliases else 0
        held = count_held(calls, own.name, backup) if wanted else 0
        leads = [leaving] if aliases.get(leaving) == own.name else []
        if leads and held == wanted:
            marks |= {NAMES.mark_of(copy): copy for alias, copy in aliases.items() if alias == backup}
            calls.change_aliases(remove=[ready, backup, *leads], add=marks)
            return UNDONE
        if held == wanted or (leads and held):  # an earlier lightmigrate did not say which one is the old one
            calls.change_aliases(remove=[ready, *leads], add=marks)
            return UNDONE
    _finish(calls, own, new, key, by_name=_by_name(calls, new))
    return FINISHED


def _unfinished_copies(aliases: Mapping[str, str]) -> list[str]:
    """Copies that were not complete, or are not needed, as their marks say."""
    return sorted(name for name in NAMES.unfinished(aliases) if NAMES.state(name) is State.COPY)
