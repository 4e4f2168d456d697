"""Put a version in the place of a collection, and finish or undo that after a crash.

Where the application uses an alias, one request makes it lead to the version, and the old collection gets an alias that
makes it the backup. Where it opens the collection by its own name, the old collection is renamed, and then the version.
Milvus changes one name per request, so an alias says before the first of them what is being done:

1. alias `ready` leads to the version;
2. alias `old` leads to the old collection;        or: the old collection is renamed to `old`;
3. the application's alias leads to the version;   or: the version is renamed to the name of the old collection;
4. aliases that had made the version a backup, and `ready`, are dropped.

After 3 what is left is finished. Before, with an alias, it is undone; after 2 of the renames, it is finished.
"""

from __future__ import annotations

from lightmigrate.errors import DatabaseChangedError
from lightmigrate.progress import logger
from lightmigrate.stores.base import Address
from lightmigrate.stores.milvus.calls import MilvusCalls
from lightmigrate.stores.milvus.names import State, VersionName, backup_name, ready_alias

_FINISHED = "an interrupted exchange was finished: the new collection is in place"
_UNDONE = "an interrupted exchange was undone: the old collection is in place"


def exchange(calls: MilvusCalls, own: Address, new: str, key: str) -> None:
    """See `Store.exchange`. Writes.

    Args:
        calls: the client.
        own: the application's collection.
        new: the own name of the version, not of an alias.
        key: of the backup.
    """
    aliases = calls.aliases()
    calls.create_alias(ready_alias(own, key), new)
    if own.name in aliases:
        calls.create_alias(backup_name(own, key), aliases[own.name])
        calls.alter_alias(own.name, new)
    else:
        logger.warning("%s: for a moment there is no collection of this name", own)
        calls.rename(own.name, backup_name(own, key))
        calls.rename(new, own.name)
    _tidy(calls, own, key)


def application_aliases(aliases: dict[str, str], physical: str) -> list[str]:
    """The aliases by which applications open a collection."""
    return sorted(
        alias for alias, to in aliases.items() if to == physical and VersionName.parse(alias).state is State.OWN
    )


def interrupted(aliases: dict[str, str]) -> bool:
    """Whether there is an exchange that `recover` finishes or undoes."""
    return any(VersionName.parse(alias).state is State.READY for alias in aliases)


def recover(calls: MilvusCalls) -> str | None:
    """Finish or undo interrupted exchanges; see `Store.recover`. Writes."""
    done = None
    for alias in calls.aliases():
        name = VersionName.parse(alias)
        if name.state is State.READY:
            done = _recover(calls, name.address, name.key)
    return done


def _recover(calls: MilvusCalls, own: Address, key: str) -> str:
    aliases, collections = calls.aliases(), calls.collections()
    ready, backup = ready_alias(own, key), backup_name(own, key)
    new = aliases[ready]
    if own.name in aliases:
        if aliases[own.name] != new:
            if backup in aliases:
                calls.drop_alias(backup)
            calls.drop_alias(ready)
            return _UNDONE
    elif backup not in collections:
        calls.drop_alias(ready)
        return _UNDONE
    elif new in collections and new != own.name:
        if own.name in collections:
            _remove_intruder(calls, own, backup)
        calls.rename(new, own.name)
    _tidy(calls, own, key)
    return _FINISHED


def _tidy(calls: MilvusCalls, own: Address, key: str) -> None:
    """After the exchange: move the application's other aliases, and drop those that have done their work."""
    aliases = calls.aliases()
    if own.name in aliases:
        new, old = aliases[own.name], aliases.get(backup_name(own, key))
        for alias in [] if old is None else application_aliases(aliases, old):
            calls.alter_alias(alias, new)
        for alias, to in aliases.items():
            if to == new and VersionName.parse(alias).state is State.OLD:
                calls.drop_alias(alias)
    calls.drop_alias(ready_alias(own, key))


def _remove_intruder(calls: MilvusCalls, own: Address, backup: str) -> None:
    """Drop an empty collection that an application created when it missed its own one."""
    number = calls.count(own.name)
    if number:
        raise DatabaseChangedError(
            f"an application created a new collection {own.name} ({number} rows) during the exchange; the old one is "
            f"complete as {backup}: move those rows elsewhere, drop {own.name} in Milvus, and run  lightmigrate resume "
            "DATABASE"
        )
    calls.drop(own.name)
