"""Put a version in the place of a collection, and finish or undo that after a crash.

Where the application uses an alias, one request makes it lead to the version, and the old collection gets an alias that
makes it the backup. Where it opens the collection by its own name, the old collection is renamed, and then the version.
Milvus changes one name per request, so an alias says before the first of them what is being done:

1. alias `ready` leads to the version, and its mark, which says that it is unfinished, is dropped;
2. alias `old` leads to the old collection;        or: the old collection is renamed to `old`;
3. the application's alias leads to the version;   or: the version is renamed to the name of the old collection;
4. aliases that had made the version a backup, and `ready`, are dropped.

After 3 what is left is finished. Before, with an alias, it is undone; after 2 of the renames, it is finished. What is
undone gets its mark again. So no collection that applications could ever open has one.
"""

from __future__ import annotations

from collections.abc import Mapping

from lightmigrate.progress import logger
from lightmigrate.stores.aliased.exchange import FINISHED, UNDONE, remove_intruder
from lightmigrate.stores.aliased.names import State
from lightmigrate.stores.base import Address
from lightmigrate.stores.milvus.calls import MilvusCalls
from lightmigrate.stores.milvus.names import NAMES


def exchange(calls: MilvusCalls, own: Address, new: str, key: str) -> None:
    """See `Store.exchange`. Writes.

    Args:
        calls: the client.
        own: the application's collection.
        new: the own name of the version, not of an alias.
        key: of the backup.
    """
    aliases = calls.aliases()
    calls.create_alias(NAMES.of(own, State.READY, key), new)
    if (mark := NAMES.mark_of(new)) in aliases:
        calls.drop_alias(mark)
    if own.name in aliases:
        for alias, to in NAMES.saying(aliases, State.OLD).items():
            if to == aliases[own.name]:  # a backup that somebody made the collection again, without lightmigrate
                calls.drop_alias(alias)
        calls.create_alias(NAMES.of(own, State.OLD, key), aliases[own.name])
        calls.alter_alias(own.name, new)
    else:
        logger.warning("%s: for a moment there is no collection of this name", own)
        calls.rename(own.name, NAMES.of(own, State.OLD, key))
        calls.rename(new, own.name)
    _tidy(calls, own, key)


def recover(calls: MilvusCalls) -> str | None:
    """Finish or undo interrupted exchanges; see `Store.recover`. Writes."""
    done = None
    for alias in NAMES.saying(calls.aliases(), State.READY):
        name = NAMES.parse(alias)
        done = _recover(calls, name.address, name.key)
    return done


def _recover(calls: MilvusCalls, own: Address, key: str) -> str:
    aliases, collections = calls.aliases(), calls.collections()
    ready, backup = NAMES.of(own, State.READY, key), NAMES.of(own, State.OLD, key)
    new = aliases[ready]
    if own.name in aliases:
        if aliases[own.name] != new:
            _mark_again(calls, aliases, new)
            if backup in aliases:
                calls.drop_alias(backup)
            calls.drop_alias(ready)
            return UNDONE
    elif backup not in collections:
        if own.name in collections:  # else an alias was dropped, and nothing says whether it led to the version
            _mark_again(calls, aliases, new)
        calls.drop_alias(ready)
        return UNDONE
    elif new in collections and new != own.name:
        if own.name in collections:
            remove_intruder(calls, own, backup)
        calls.rename(new, own.name)
    _tidy(calls, own, key)
    return FINISHED


def _mark_again(calls: MilvusCalls, aliases: Mapping[str, str], new: str) -> None:
    """Say that a version is unfinished, unless it is a backup, or has its mark still."""
    roles = NAMES.saying(aliases, State.OLD, State.UNFINISHED)
    if NAMES.state(new) is State.NEW and new not in roles.values():
        calls.create_alias(NAMES.mark_of(new), new)


def _tidy(calls: MilvusCalls, own: Address, key: str) -> None:
    """After the exchange: move the application's other aliases, and drop those that have done their work."""
    aliases = calls.aliases()
    if own.name in aliases:
        new, old = aliases[own.name], aliases.get(NAMES.of(own, State.OLD, key))
        for alias in [] if old is None else NAMES.application_aliases(aliases, old):
            calls.alter_alias(alias, new)
        for alias, to in NAMES.saying(aliases, State.OLD).items():
            if to == new:
                calls.drop_alias(alias)
    calls.drop_alias(NAMES.of(own, State.READY, key))
