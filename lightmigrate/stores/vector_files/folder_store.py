"""A folder whose files are one collection as a `Store` that is only read; `scale/` converts it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from lightmigrate.errors import CollectionNotFoundError, DamagedCollectionError, RefusedError
from lightmigrate.objects.path import ObjectPath
from lightmigrate.stores.base import (
    Address,
    Capabilities,
    Collection,
    CollectionFacts,
    Cursor,
    Metric,
    Page,
    Version,
)
from lightmigrate.stores.defaults import CollectionDefaults, StoreDefaults, facts_at
from lightmigrate.stores.distance import all_distances
from lightmigrate.stores.vector_files.collection import DEFAULT_METRIC
from lightmigrate.stores.vector_files.unit_folder import FolderOfUnits
from lightmigrate.vectors import Vectors, as_vectors

# Vectors that are looked at to know their length, and rows that are compared with a query at once.
_FEW, _COMPARED = 100, 1_000


class FolderStore(StoreDefaults):
    """See `stores.base.Store`. It has one collection, with the name of the folder.

    Args:
        units: the folder.
        address: as it was given, with the options of its columns.

    Attributes:
        units: the folder, for `scale/`; see `units.OfUnits`.
    """

    records_model = False

    def __init__(self, units: FolderOfUnits, address: str) -> None:
        self.units = units
        self._given = address
        self._own = Address(units.name)

    @property
    def capabilities(self) -> Capabilities:
        """What it can promise."""
        return self.units.capabilities

    @property
    def folder(self) -> Path | None:
        """The folder; `None` for one in an object store."""
        return None if isinstance(self.units.path, ObjectPath) else self.units.path

    def __str__(self) -> str:
        return self._given

    def collections(self) -> list[CollectionFacts]:
        """The only one; only reads."""
        return [self.collection(self._own).facts()]

    def collection(self, address: Address) -> FolderCollection:
        """Open it; `CollectionNotFoundError` for another name. Only reads."""
        if address != self._own:
            raise CollectionNotFoundError(
                f"{self.units.path} is one collection, {self._own.name}, and has no other: name a file of it alone to "
                "work on that, as a path"
            )
        return FolderCollection(self.units, self._own)

    def damaged(self, addresses: Sequence[Address]) -> Mapping[Address, str]:
        """The only one, where none of its files can be read."""
        try:
            self.units.sample(_FEW)
        except DamagedCollectionError as error:
            return {self._own: str(error)}
        return {}

    def versions(self) -> list[Version]:
        """None: `scale/` keeps its backups."""
        return []

    def refusal(self, address: Address, dimension: int | None) -> str | None:
        """See `Refusing`."""
        return str(_refusal(self.units.path))

    def create(
        self,
        address: Address,
        like: Collection,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> NoReturn:
        """Refuse."""
        raise _refusal(self.units.path)

    def create_version(
        self,
        source: Collection,
        key: str,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> NoReturn:
        """Refuse."""
        raise _refusal(self.units.path)

    def exchange(
        self,
        incoming: Collection,
        live: Collection,
        key: str,
        *,
        function: object = None,
        settle: Callable[[], None] = lambda: None,
    ) -> NoReturn:
        """Refuse."""
        raise _refusal(self.units.path)

    def delete(self, address: Address) -> NoReturn:
        """Refuse."""
        raise _refusal(self.units.path)


class FolderCollection(CollectionDefaults):
    """See `stores.base.Collection`. A record is known by its id; where files have none, by its file and its row.

    Args:
        units: the folder.
        address: where it is.

    Attributes:
        reads_parts: see `excerpt.ReadInParts`.
    """

    reads_parts = True

    def __init__(self, units: FolderOfUnits, address: Address) -> None:
        self._units = units
        self._address = address

    @property
    def address(self) -> Address:
        """Where it is."""
        return self._address

    def facts(self) -> CollectionFacts:
        """The number of rows that the footers say, and the length of vectors of a few files; only reads."""
        counts = [self._rows(unit) for unit in self._units.units()]
        try:
            dimension = self._units.sample(_FEW).vectors.shape[1] if any(counts) else None
        except DamagedCollectionError:
            dimension = None
        return facts_at(self._address, sum(counts) if dimension else 0, dimension, DEFAULT_METRIC)

    def _rows(self, unit: str) -> int:
        try:
            return self._units.rows(unit)
        except DamagedCollectionError:
            return 0  # its conversion will say so

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records, file after file, in the order of their paths; only reads. Raises where one cannot be read."""
        unit_before, row_before = json.loads(after) if after else ("", -1)
        for unit in self._units.units():
            if unit < unit_before:
                continue
            first = row_before + 1 if unit == unit_before else 0
            for last, page in self._units.scan(unit, size, first, vectors=vectors):
                yield Page(page.ids, page.vectors, page.texts, page.payloads, json.dumps([unit, last]))

    def sample(self, n: int, seed: int = 0) -> Page:
        """About n records, from row groups of files all over the folder; only reads those."""
        return self._units.sample(n, seed)

    def records(self, ids: Sequence[str]) -> Page:
        """The existing records among these ids, in the order of `ids`; reads everything."""
        wanted, found = set(ids), []
        for page in self.scan(_COMPARED):
            found.append(page.rows([row for row, record in enumerate(page.ids) if record in wanted]))
        joined = Page.joined(found)
        place = {record: row for row, record in enumerate(joined.ids)}
        return joined.rows([place[record] for record in ids if record in place])

    def nearest(self, vectors: Vectors, k: int) -> tuple[list[list[str]], list[list[float]]]:
        """The nearest records, by comparing with all."""
        queries = as_vectors(vectors).astype(np.float64)
        best: list[list[tuple[float, int, str]]] = [[] for _ in queries]
        start = 0
        for page in self.scan(_COMPARED):
            measured = all_distances(queries, page.vectors.astype(np.float64), DEFAULT_METRIC)
            for number, row in enumerate(measured):
                here = [(float(row[place]), start + place, page.ids[place]) for place in np.argsort(row)[:k].tolist()]
                best[number] = sorted(best[number] + here)[:k]
            start += len(page)
        return [[one[2] for one in each] for each in best], [[one[0] for one in each] for each in best]

    def settings(self, distance: Metric | None = None) -> Mapping[str, Any]:
        """The format of its files."""
        return {"format": self._units.suffix, "distance": distance or DEFAULT_METRIC}

    def put(self, page: Page) -> NoReturn:
        """Refuse."""
        raise _refusal(self._units.path)

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> NoReturn:
        """Refuse."""
        raise _refusal(self._units.path)

    def remove(self, ids: Sequence[str]) -> NoReturn:
        """Refuse."""
        raise _refusal(self._units.path)


def _refusal(path: Path) -> RefusedError:
    return RefusedError(
        f"{path} is one collection of many files, which workers convert:  lightmigrate train --from DATABASE "
        "--target-model NEW_MODEL,  then  lightmigrate migrate DATABASE --projection FILE --workers 2"
    )
