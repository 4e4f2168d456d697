"""A collection in files, or a backup of one: read as a snapshot, written by writing the files anew."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lightmigrate.errors import CollectionNotFoundError, DatabaseChangedError
from lightmigrate.stores.base import Address, CollectionFacts, Cursor, Metric, Page
from lightmigrate.stores.defaults import CollectionDefaults, facts_at
from lightmigrate.stores.page import sample_ranges
from lightmigrate.stores.vector_files import edits
from lightmigrate.stores.vector_files.edits import Edited
from lightmigrate.stores.vector_files.exchange import replace_live
from lightmigrate.stores.vector_files.places import Home, Place, Stamp
from lightmigrate.stores.vector_files.snapshots import Snapshot, Snapshots
from lightmigrate.stores.vector_files.table import Options, Rows, pages_of
from lightmigrate.vectors import Vectors, as_vectors

# The distance of files that state none: what most code that searches them computes.
DEFAULT_METRIC: Metric = "cosine"

# How often a file is read again that its writer replaced while it was read.
_ATTEMPTS = 5

# More than a tick of the clock that a file system takes the time of a change from: two seconds in the coarsest, FAT.
_CLOCK_TICK_NS = 3 * 10**9


class FileCollection(CollectionDefaults):
    """See `stores.base.Collection`.

    Args:
        home: of the collection.
        place: its files, or those of a backup.
        address: where it is.
        options: how the files are read.
        opened_id: its id.
        snapshots: of the store.
    """

    def __init__(
        self, home: Home, place: Place, address: Address, options: Options, opened_id: str, snapshots: Snapshots
    ) -> None:
        self.home = home
        self.place = place
        self.options = options
        self.opened_id = opened_id
        self._address = address
        self._snapshots = snapshots
        self._read: Snapshot | None = None
        self._lock = threading.Lock()

    @property
    def address(self) -> Address:
        """Where it is."""
        return self._address

    @property
    def last_read(self) -> Stamp | None:
        """The state of the files when they were last read through this object; `None` before."""
        return self._read.stamp if self._read else None

    def snapshot(self) -> Snapshot:
        """The content of the files now; reads them when they were written since.

        Raises:
            CollectionNotFoundError: there are no such files, or an exchange of them was interrupted.
            DamagedCollectionError: they cannot be read.
        """
        with self.home.shared():
            return self._snapshot()

    def _snapshot(self) -> Snapshot:
        with self._lock:
            for _ in range(_ATTEMPTS):
                before = self._stamp()
                if self._read is None or self._read.stamp != before:
                    self._read = self._snapshots.at(self.place, before)
                if self._read is None:
                    table = self.place.format.read(self.place.folder, self.place.name, self.options)
                    if self._stamp() != before:
                        continue
                    self._read = Snapshot(table, before)
                self._snapshots.keep(self.place, self._read)
                return self._read
            raise DatabaseChangedError(
                f"{self.place.main} was written to each of {_ATTEMPTS} times that it was read; stop the writer, and "
                "run this again"
            )

    def _stamp(self) -> Stamp:
        if self.home.journal():
            raise CollectionNotFoundError(
                f"an exchange of {self.place.main} was interrupted:  lightmigrate resume DATABASE  finishes it"
            )
        stamp = self.place.stamp()
        if self.place.main.name not in stamp:
            raise CollectionNotFoundError(f"there is no collection {self._address} any more: {self.place.main} is gone")
        return stamp

    def stamp(self) -> str | None:
        """See `while_written.Stamped`: names, sizes and times of the files, unless one was written a moment ago."""
        now = time.time_ns()
        with self.home.shared():
            stamp = self._stamp()
        # within one tick of the file system's clock a file can be written twice
        told = all(changed < now - _CLOCK_TICK_NS for _, changed, _ in stamp.values())
        return json.dumps(stamp, sort_keys=True) if told else None

    def metric(self) -> Metric:
        """Its distance: as a file beside states it, else that of its index, else the default."""
        return self.place.stated() or self.snapshot().table.metric or DEFAULT_METRIC

    def facts(self) -> CollectionFacts:
        """What the files say about it; only reads."""
        table = self.snapshot().table
        identity = self.home.live_id() if self.place == self.home.live else self.opened_id
        return facts_at(self._address, len(table.ids), table.dimension, self.metric(), None, identity)

    def count(self) -> int:
        """Number of records."""
        return len(self.snapshot().table.ids)

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records in the order of the file, as it is when the scan begins; only reads."""
        snapshot = self.snapshot()
        yield from scan_rows(snapshot.table, snapshot.row_of, size, after, vectors=vectors)

    def sample(self, n: int, seed: int = 0) -> Page:
        """About n records from all over the file; only reads."""
        return sample_rows(self.snapshot().table, n, seed)

    def ids(self) -> Iterator[str]:
        """All ids; only reads."""
        return iter(self.snapshot().table.ids)

    def records(self, ids: Sequence[str]) -> Page:
        """The existing records among these ids, in the order of `ids`; only reads."""
        snapshot = self.snapshot()
        rows = snapshot.row_of.among(ids)
        return snapshot.table.page([rows[record] for record in ids if record in rows])

    def add(self, page: Page) -> None:
        """Write the files anew, with new records at the end. Raises `LightmigrateError` when an id exists already."""
        self._rewrite(lambda now: edits.added(now.table, page))

    def put(self, page: Page) -> None:
        """Write the files anew, with these records in the place of those of the same ids."""
        self._rewrite(lambda now: edits.put(now.table, page, now.row_of))

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Write the file of vectors anew, with other vectors `(n, d)` of existing records."""
        self._rewrite(lambda now: edits.with_vectors(now.table, ids, as_vectors(vectors), now.row_of))

    def remove(self, ids: Sequence[str]) -> None:
        """Write the files anew, without these records."""
        self._rewrite(lambda now: edits.without(now.table, ids) if now.row_of.keys() & set(ids) else None)

    def _rewrite(self, edit: Callable[[Snapshot], Edited | None]) -> None:
        with self.home.locked():
            now = self._snapshot()
            edited = edit(now)
            if edited is None:
                return
            written = self.home.scratch()
            place = self.place
            place.format.write(written, place.name, edited, now.table, None, same=edited.same_records)
            replace_live(self.home, written, [path.name for path in sorted(written.iterdir())], now.stamp)
            self._read = None
            self._snapshots.forget(self.place)

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Ids and distances of the k nearest records, through the index where there is one."""
        table, queries = self.snapshot().table, as_vectors(vectors)
        rows, measured = table.nearest(queries, min(k, len(table.ids)), self.metric())
        return [[table.ids[row] for row in each] for each in rows], measured

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        """The kind of file, its index, and the distance. Only reads."""
        return {**self.snapshot().table.settings, "distance": distance or self.metric()}


def scan_rows(
    rows: Rows, row_of: Mapping[str, int], size: int, after: Cursor | None, *, vectors: bool
) -> Iterator[Page]:
    """All rows after a cursor, which names a row and its record: others may have gone before it since."""
    start = 0
    if after is not None:
        number, record = json.loads(after)
        start = row_of.get(record, number - 1) + 1
    for page in pages_of(rows, size, start, vectors=vectors):
        start += len(page)
        yield Page(page.ids, page.vectors, page.texts, page.payloads, json.dumps([start - 1, page.ids[-1]]))


def sample_rows(rows: Rows, n: int, seed: int) -> Page:
    """About n rows from all over."""
    total = len(rows.ids)
    starts, each = sample_ranges(total, n, seed)
    chosen = [row for start in starts for row in range(start, min(total, start + each))]
    return rows.page(chosen) if chosen else Page([], np.zeros((0, rows.dimension or 0), np.float32), [], [])
