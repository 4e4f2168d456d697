"""A version that is being built: rows go to a draft; the files are written from it, read back and compared."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.errors import CollectionNotFoundError, DamagedCollectionError, VerificationError
from lightmigrate.progress import logger
from lightmigrate.stores.base import Address, CollectionFacts, Cursor, Metric, Page
from lightmigrate.stores.checks import require_dimension
from lightmigrate.stores.defaults import CollectionDefaults, facts_at
from lightmigrate.stores.vector_files import edits
from lightmigrate.stores.vector_files.collection import DEFAULT_METRIC, FileCollection, sample_rows, scan_rows
from lightmigrate.stores.vector_files.draft import Draft
from lightmigrate.stores.vector_files.edits import Edited
from lightmigrate.stores.vector_files.places import Home, Place, Stamp, read_version
from lightmigrate.stores.vector_files.snapshots import Snapshot, Snapshots
from lightmigrate.stores.vector_files.table import Options, Table, blocks_of, same_records
from lightmigrate.system import delete, rename
from lightmigrate.vectors import Vectors, as_vectors

# Beyond this relative difference vectors that were read back are not those that were written; half precision is within.
ROUNDING = 1e-3


class BuildingVersion(CollectionDefaults):
    """See `stores.base.Collection`.

    Records are read from the draft. What depends on the files, such as a search, has them written first.

    Args:
        home: of the collection.
        folder: of the version.
        address: where it is.
        options: how the files are read.
        snapshots: of the store.
    """

    def __init__(self, home: Home, folder: Path, address: Address, options: Options, snapshots: Snapshots) -> None:
        fields = read_version(folder)
        if not fields:
            raise CollectionNotFoundError(f"there is no version {address}")
        self.home, self.folder, self.options = home, folder, options
        self.opened_id = str(fields["id"])
        self._address = address
        self._distance: Metric | None = fields["distance"]
        self._changes_distance = bool(fields["changes_distance"])
        like = home.live.folder if fields["like"] is None else home.inside(fields["like"])
        self._like = Place(like, home.live.name, home.live.format)
        self._draft = Draft(folder, int(fields["dimension"]))
        self._table: Table | None = None
        self._copied_from: Stamp | None = None
        self._snapshots = snapshots
        self._followed = FileCollection(home, self._like, address, options, self.opened_id, snapshots)

    @property
    def address(self) -> Address:
        """Where it is."""
        return self._address

    @property
    def place(self) -> Place:
        """The files of the version, once they are written."""
        return self.home.place(self.folder)

    @property
    def distance(self) -> Metric:
        """Its distance."""
        return self._distance or DEFAULT_METRIC

    @property
    def copied_from(self) -> Stamp | None:
        """The state of the live files that the written ones have everything else from; `None` if from a backup."""
        return self._copied_from if self._like == self.home.live else None

    def source(self) -> Snapshot:
        """The files, as they are now, whose settings and records it follows; only reads."""
        return self._followed.snapshot()

    def facts(self) -> CollectionFacts:
        """What is known of it; only reads."""
        draft = self._draft
        return facts_at(self._address, len(draft.ids), draft.dimension, self.distance, None, self.opened_id)

    def count(self) -> int:
        """Number of records."""
        return len(self._draft.ids)

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records in the order in which they were added; only reads."""
        yield from scan_rows(self._draft, self._draft.row_of, size, after, vectors=vectors)

    def sample(self, n: int, seed: int = 0) -> Page:
        """About n records from all over it; only reads."""
        return sample_rows(self._draft, n, seed)

    def ids(self) -> Iterator[str]:
        """All ids; only reads."""
        return iter(self._draft.ids)

    def records(self, ids: Sequence[str]) -> Page:
        """The existing records among these ids, in the order of `ids`; only reads."""
        rows = self._draft.row_of.among(ids)
        return self._draft.page([rows[record] for record in ids if record in rows])

    def add(self, page: Page) -> None:
        """Write new records at the end of the draft."""
        self._discard_files()
        self._draft.append(page)

    def put(self, page: Page) -> None:
        """Write records, in the place of those of the same ids."""
        if page.ids and not self._draft.row_of.among(page.ids):
            self.add(page)
        else:
            self._rewrite(edits.put(self._draft, page, self._draft.row_of))

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Replace the vectors `(n, d)` of existing records."""
        require_dimension(as_vectors(vectors), self._draft.dimension)
        self._discard_files()
        row_of = self._draft.row_of.among(ids)
        known = {row_of[record]: number for number, record in enumerate(ids) if record in row_of}
        self._draft.set_vectors(list(known), as_vectors(vectors)[list(known.values())])

    def remove(self, ids: Sequence[str]) -> None:
        """Delete the existing records among these ids."""
        if self._draft.row_of.among(ids):
            self._rewrite(edits.without(self._draft, ids))

    def _rewrite(self, edited: Edited) -> None:
        self._discard_files()
        self._draft = self._draft.rewritten(edited)

    def _discard_files(self) -> None:
        self._table = None
        delete(self.place.main)

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """Ids and distances of the k nearest records, through the index where there is one."""
        table, queries = self._table or self.written(), as_vectors(vectors)
        rows, measured = table.nearest(queries, min(k, len(table.ids)), self.distance)
        return [[table.ids[row] for row in each] for each in rows], measured

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        """The kind of file, its index, and the distance. Only reads."""
        table = self.source().table if self._table is None else self._table
        return {**table.settings, "distance": distance or self.distance}

    def written(self) -> Table:
        """The files, written from the draft where they are not yet, and compared with it. Writes.

        They are written again where somebody wrote those that they follow: what is no record, such as a row without a
        vector, is copied from there.

        Raises:
            VerificationError: what was read back is not what was written; the files were deleted.
        """
        source = self.source()
        if self._table is None or self._copied_from != source.stamp:
            self._discard_files()
            same = same_records(self._draft, source.table)
            self._write(source.table, same=same)
            table = self.place.format.read(self.folder, self.place.name, self.options)
            try:
                self._compare(table)
            except VerificationError:
                self._discard_files()
                raise
            self._table, self._copied_from = table, source.stamp
        return self._table

    def _write(self, source: Table, *, same: bool) -> None:
        aside = self.folder / "writing"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        place = Place(aside, self.place.name, self.place.format)
        changed = self._distance if self._changes_distance else None
        place.format.write(aside, place.name, self._draft, source, changed, same=same, originals=self._originals())
        for name in self._like.beside():
            if same or name == self._like.statement.name:
                shutil.copy2(self._like.folder / name, aside / name)
        if changed is not None:
            place.state(changed)
        for name in self.place.beside():
            delete(self.folder / name)
        for path in sorted(aside.iterdir(), key=lambda path: path == place.main):  # the main file last
            rename(path, self.folder / path.name)
        aside.rmdir()

    def _originals(self) -> Table | None:
        """The live files where others are followed, as when what was written since goes with a backup."""
        if self._like == self.home.live:
            return None
        live = FileCollection(
            self.home, self.home.live, self._address, self.options, self.home.live_id(), self._snapshots
        )
        with contextlib.suppress(CollectionNotFoundError, DamagedCollectionError):
            return live.snapshot().table
        return None

    def _compare(self, table: Table) -> None:
        """Compare the files with the draft; a lossy kind of index is measured instead of compared."""
        if not same_records(self._draft, table):
            raise VerificationError(f"the files of {self._address} were not read back as they were written")
        largest, total = 0.0, 0.0
        for expected, stored in zip(blocks_of(self._draft), blocks_of(table), strict=True):
            errors = relative_errors(expected, stored)
            largest, total = max(largest, float(errors.max())), total + float(errors.sum())
        if table.lossy:
            mean = total / max(1, len(table.ids))
            logger.warning(
                "%s: its index stores vectors inexactly (%s): on average %.2g off, at most %.2g, relative to their "
                "length", self.home.live.name, table.lossy, mean, largest,
            )  # fmt: skip
        elif largest > ROUNDING:
            raise VerificationError(
                f"vectors of {self._address} were read back up to {largest:.2g} off, and {ROUNDING:.2g} is rounding"
            )


def relative_errors(expected: Vectors, stored: Vectors) -> Any:
    """How far each vector is from the expected one, relative to its length, float64 `(n,)`; infinite for NaN."""
    wide = expected.astype(np.float64)
    lengths = np.maximum(np.linalg.norm(wide, axis=1), np.finfo(np.float64).tiny)
    errors = np.linalg.norm(wide - stored, axis=1) / lengths
    same = (expected == stored).all(axis=1)
    return np.where(same, 0.0, np.nan_to_num(errors, nan=np.inf))
