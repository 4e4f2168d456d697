"""What files held when they were read last, used again as long as nobody wrote them."""

from __future__ import annotations

from pathlib import Path

from lightmigrate.stores.vector_files.places import Place, Stamp
from lightmigrate.stores.vector_files.row_ids import RowOf
from lightmigrate.stores.vector_files.table import Table

# How many are kept: those of a collection, and of a backup that it is compared with.
_MOST = 2


class Snapshot:
    """A table with what finding records in it takes.

    Attributes:
        table: the content.
        stamp: the state of the files that it was read from.
        row_of: the row of every id.
    """

    def __init__(self, table: Table, stamp: Stamp) -> None:
        self.table = table
        self.stamp = stamp
        self.row_of = RowOf(table.ids)


class Snapshots:
    """The last snapshots that an open store has read. Several threads may use it at once."""

    def __init__(self) -> None:
        self._kept: dict[Path, Snapshot] = {}
        self._stamps: dict[Path, Stamp] = {}

    def at(self, place: Place, stamp: Stamp) -> Snapshot | None:
        """That of files in this state; `None` where there is none."""
        kept = self._kept.get(place.main)
        return kept if kept is not None and kept.stamp == stamp else None

    def keep(self, place: Place, snapshot: Snapshot) -> None:
        """Keep one, in the place of the oldest."""
        others = {path: kept for path, kept in self._kept.items() if path != place.main}
        self._kept = {**dict(list(others.items())[-(_MOST - 1) :]), place.main: snapshot}
        self._stamps[place.main] = snapshot.stamp

    def last_read(self, place: Place) -> Stamp | None:
        """The state of files when any of them was last read; `None` where they were not, or were written here since."""
        return self._stamps.get(place.main)

    def forget(self, place: Place) -> None:
        """Say that this store has written files itself, so that their last state is no longer to be expected."""
        self._stamps.pop(place.main, None)

    def clear(self) -> None:
        """Let go of all of them."""
        self._kept, self._stamps = {}, {}
