"""The history of an open database: kept in the folder for files about it.

It is written before the exchanges. After a crash, the versions that the store keeps tell which of them took place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from lightmigrate.migration.history import (
    HistoryEntry,
    entry_of,
    read_history,
    readable_history,
    rollback_of,
    write_history,
)
from lightmigrate.migration.request import Request
from lightmigrate.progress import logger
from lightmigrate.stores.base import Role, Store, Version
from lightmigrate.stores.timestamp import order


class ShadowHistory:
    """The history of one open database.

    Args:
        store: the database.
        place: the folder for files about it; it need not exist.
    """

    def __init__(self, store: Store, place: Path) -> None:
        self._store, self._place = store, place

    def entries(self) -> list[HistoryEntry]:
        """What was migrated and rolled back, the oldest first. Only reads.

        Raises:
            LightmigrateError: the file is damaged.
        """
        return self._settled(read_history(self._place) or [])

    def announce(self, requests: Sequence[Request], counts: Sequence[int], key: str) -> None:
        """Note migrations that are about to take place. Writes.

        Args:
            requests: of the migration.
            counts: of the records of each collection.
            key: of the exchanges.
        """
        entries = [
            entry_of(
                request.address,
                request.projection,
                records=count,
                distance=request.distance,
                backup="",
                key=key,
                exchanged=False,
            )
            for request, count in zip(requests, counts, strict=True)
        ]
        self._write([*self._known(), *entries])

    def announce_rollback(self, restored: Iterable[Version], key: str) -> None:
        """Note that versions are about to be put back in place. Writes.

        Args:
            restored: the versions, as they are before.
            key: of the exchanges.
        """
        self._write([*self._known(), *(rollback_of(each.own, str(each.address), key) for each in restored)])

    def begun_rollback(self) -> tuple[str, set[str]]:
        """The key of the newest exchanges, and the backups that were to go back with them and did not; only reads.

        There are such where a rollback of several collections stopped half way, and nothing has happened since.
        """
        names = self._backups()
        newest = max((key for _, key in names), key=order, default="")
        left = {
            entry.restored
            for entry in readable_history(self._place) or []
            if entry.event == "rolled back" and entry.key == newest and not entry.exchanged
            if (entry.address, entry.key) not in names and entry.restored in names.values()
        }
        return newest, left

    def settle(self) -> None:
        """Note which of the announced exchanges took place, as long as their backups tell it. Writes."""
        self._write(self._known())

    def _known(self) -> list[HistoryEntry]:
        return self._settled(readable_history(self._place) or [])

    def _settled(self, entries: Sequence[HistoryEntry]) -> list[HistoryEntry]:
        """The entries of what took place."""
        if all(entry.exchanged for entry in entries):
            return list(entries)
        names = self._backups()
        return [
            entry if entry.exchanged else replace(entry, exchanged=True, backup=names[entry.address, entry.key])
            for entry in entries
            if entry.exchanged or (entry.address, entry.key) in names
        ]

    def _backups(self) -> dict[tuple[object, str], str]:
        """The names of the backups, by collection and key."""
        return {(v.own, v.key): str(v.address) for v in self._store.versions() if v.role is Role.BACKUP}

    def _write(self, entries: Sequence[HistoryEntry]) -> None:
        try:
            self._place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            logger.warning("%s: the history of migrations could not be kept: %s", self._store, error)
            return
        write_history(self._place, entries)
