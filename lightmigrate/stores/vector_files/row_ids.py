"""The ids of many rows and the row of each id, in a few bytes a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import overload

import numpy as np

from lightmigrate.stores.ids import IdTable, hashed
from lightmigrate.stores.page import in_batches
from lightmigrate.stores.record_tables import RecordTables

# Ids that are noted at once.
_AT_ONCE = 1000


class RowNumbers(Sequence[str]):
    """The ids of rows that are known by their numbers.

    Args:
        count: number of rows.
    """

    def __init__(self, count: int) -> None:
        self._rows = range(count)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> Sequence[str]: ...

    def __getitem__(self, row: int | slice) -> str | Sequence[str]:
        return list(map(str, self._rows[row])) if isinstance(row, slice) else str(self._rows[row])

    def __iter__(self) -> Iterator[str]:
        return map(str, self._rows)


class RowOf(Mapping[str, int]):
    """The row of each of some ids that do not change: 16 bytes for each.

    Args:
        ids: of all rows, each once.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids
        try:
            self._table = IdTable(hashed(ids))
        except ValueError:  # two of them have the same hash
            self._table = IdTable(np.zeros(0, np.int64))
        self._known = {} if len(self._table) == len(ids) else {record: row for row, record in enumerate(ids)}

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __getitem__(self, record: str) -> int:
        return self.among([record])[record]

    def among(self, ids: Sequence[str]) -> dict[str, int]:
        """The rows of those of some ids that there are."""
        if self._known:
            return {record: self._known[record] for record in ids if record in self._known}
        found = zip(ids, self._table.of(ids).tolist(), strict=True)
        return {record: row for record, row in found if row >= 0 and self._ids[row] == record}


class GrowingRowOf(Mapping[str, int]):
    """The row of each of some ids, to which others are added at the end; outside of memory.

    Args:
        ids: of all rows, each once, in order.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self._table = RecordTables().table()  # whose numbers are the rows
        for some in in_batches(ids, _AT_ONCE):
            self.add(some)

    def add(self, ids: Sequence[str]) -> None:
        """Add the ids of the rows that follow."""
        self._table.put(dict.fromkeys(ids, b""))

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[str]:
        return (record for page in self._table.pages(_AT_ONCE) for record, _ in page)

    def __getitem__(self, record: str) -> int:
        return self._table.numbers([record])[record]

    def among(self, ids: Sequence[str]) -> dict[str, int]:
        """The rows of those of some ids that there are."""
        return self._table.numbers(ids)
