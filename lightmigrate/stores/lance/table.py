"""One Lance table on disk: its versions, the branches that keep some of them, and commits that may be refused."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import lance
import numpy as np
import numpy.typing as npt

from lightmigrate.errors import CollectionNotFoundError, LightmigrateError
from lightmigrate.stores.lance.indexes import IndexSpec, create_index
from lightmigrate.stores.lance.layout import Layout, quoted
from lightmigrate.stores.lance.values import ids_of

# A version of a table, opened; `lance.LanceDataset`, which has no usable types.
Dataset: TypeAlias = Any

SUFFIX = ".lance"


class Table:
    """See the module. Several threads may use it at once.

    Args:
        path: its folder, `NAME.lance`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name.removesuffix(SUFFIX)
        self._lock = threading.Lock()
        self._opened: Dataset = None
        self._nulls: dict[tuple[int, str], int] = {}
        self._rows: tuple[int, IdIndex] | None = None

    def latest(self) -> Dataset:
        """Its newest version; only reads.

        Raises:
            CollectionNotFoundError: there is no such table any more.
        """
        with self._lock:
            try:
                if self._opened is None or self._opened.latest_version != self._opened.version:
                    self._opened = lance.dataset(self.path)
            except (ValueError, OSError) as error:
                self._opened = None
                raise CollectionNotFoundError(f"no table {self.name} in {self.path.parent}") from error
            return self._opened

    def at(self, version: int) -> Dataset:
        """One of its versions; only reads.

        Raises:
            ValueError, OSError: the version was deleted.
        """
        return lance.dataset(self.path, version=version)

    def layout(self, dataset: Dataset) -> Layout:
        """The columns of one of its versions."""
        return Layout(self.name, dataset.schema)

    def nulls(self, dataset: Dataset, column: str) -> int:
        """Number of rows without a vector in a version; only reads."""
        key = (dataset.version, column)
        if key not in self._nulls:
            field = dataset.schema.field(column)
            missing = int(dataset.count_rows(filter=f"{quoted(column)} IS NULL")) if field.nullable else 0
            self._nulls = {key: missing, **dict(list(self._nulls.items())[:20])}
        return self._nulls[key]

    def index_of_ids(self, dataset: Dataset) -> IdIndex:
        """Where each id is in a version; the newest one read is kept. Only reads."""
        known = self._rows
        if known is None or known[0] != dataset.version:
            known = self._rows = dataset.version, IdIndex.of(dataset, self.layout(dataset).id.name)
        return known[1]

    def branches(self) -> Mapping[str, int]:
        """The branches that lightmigrate keeps, with the version that each keeps from being deleted; only reads."""
        found = self.latest().branches.list()
        return {name: int(branch["parent_version"]) for name, branch in found.items() if name.startswith(PREFIX)}

    def keep(self, name: str, version: int) -> None:
        """Keep a version from being deleted, with its files. Writes."""
        self.latest().create_branch(name, version)

    def release(self, name: str) -> None:
        """Let a version be deleted when the application cleans up. Writes."""
        self.latest().branches.delete(name)

    def commit(self, operation: Any, version: int, message: str) -> Dataset:
        """Commit a new version. Writes.

        Args:
            operation: a `lance.LanceOperation`.
            version: that the operation was made for.
            message: kept with the version.

        Raises:
            OSError: refused, because another commit came first.
        """
        return lance.LanceDataset.commit(
            self.path, operation, read_version=version, commit_message=message, max_retries=0
        )

    def committed(self, message: str, after: int) -> int | None:
        """The version that was committed with a message; `None` when there is none. Only reads."""
        latest = self.latest()
        for version in range(after + 1, latest.version + 1):
            try:
                properties = latest.read_transaction(version).transaction_properties
            except (ValueError, OSError, AttributeError):
                continue  # deleted
            if message in properties.values():
                return version
        return None

    def oldest_after(self, version: int) -> int:
        """The oldest version after another one that was not deleted; only reads."""
        return min(int(each["version"]) for each in self.latest().versions() if each["version"] > version)

    def index(self, column: str, spec: IndexSpec) -> None:
        """Build an index on the newest version; readers and writers need not wait. Writes."""
        create_index(self.latest(), column, spec)


def require_unique(table: Table) -> None:
    """Raise `LightmigrateError` when rows of the newest version have the same id, or none. Reads all ids."""
    dataset = table.latest()
    field = table.layout(dataset).id
    missing = int(dataset.count_rows(filter=f"{quoted(field.name)} IS NULL")) if field.nullable else 0
    repeated = 0
    if table.index_of_ids(dataset).repeated:
        seen: set[str] = set()
        for batch in dataset.scanner(columns=[field.name]).to_batches():
            seen.update(ids_of(batch.column(0).drop_null()))
        repeated = int(dataset.count_rows()) - missing - len(seen)
    if missing or repeated:
        raise LightmigrateError(
            f"table {table.name}: of its {dataset.count_rows()} rows {repeated} have an id in column {field.name} that "
            f"another row has, and {missing} have none: give each row an id of its own first"
        )


# Names of the branches that lightmigrate keeps.
PREFIX = "lightmigrate-"


class IdIndex:
    """Which row holds an id: 16 bytes for each row, because a hash stands for the id.

    Args:
        hashes: of the ids, int64 `(n,)`, sorted.
        rows: number of the row of each.
    """

    def __init__(self, hashes: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> None:
        self._hashes, self._rows = hashes, rows

    @classmethod
    def of(cls, dataset: Dataset, column: str) -> IdIndex:
        """Read the ids of a version; only reads."""
        parts = [np.zeros(0, np.int64)]
        for batch in dataset.scanner(columns=[column], scan_in_order=True).to_batches():
            ids = ids_of(batch.column(0))
            parts.append(np.fromiter(map(hash, ids), np.int64, len(ids)))
        hashes = np.concatenate(parts)
        order = np.argsort(hashes, kind="stable")
        return cls(hashes[order], order)

    def rows(self, ids: Sequence[str]) -> list[int]:
        """The rows that may hold some ids, in order; others of the same hash are among them."""
        wanted = np.fromiter(map(hash, ids), np.int64, len(ids))
        first = np.searchsorted(self._hashes, wanted, "left")
        last = np.searchsorted(self._hashes, wanted, "right")
        found = {int(row) for start, end in zip(first, last, strict=True) for row in self._rows[start:end]}
        return sorted(found)

    @property
    def repeated(self) -> int:
        """Number of hashes that more than one row has."""
        return int(np.count_nonzero(self._hashes[1:] == self._hashes[:-1]))
