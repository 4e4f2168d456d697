"""Tables of many collections: equal ones in one row, so that the exceptions are seen. `--json` lists all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

# Up to so many collections are listed one by one.
LISTED = 20

# Up to so many collections get several lines each.
DESCRIBED = 5

# Names that a line lists; of more their number.
NAMED = 5


@dataclass(frozen=True)
class TableRow:
    """A row about one collection.

    Attributes:
        name: of the collection.
        records: their number; `None` where they could not be counted.
        cells: everything else; collections with equal cells can share a row.
    """

    name: str
    records: int | None
    cells: tuple[str, ...]


def rows_to_show(rows: Sequence[TableRow]) -> list[tuple[str, ...]]:
    """The rows of a table, name and records first: one for each collection, or for each kind of many collections."""
    if len(rows) <= LISTED:
        return [(row.name, _total([row]), *row.cells) for row in rows]
    kinds: dict[tuple[str, ...], list[TableRow]] = defaultdict(list)
    for row in rows:
        kinds[row.cells].append(row)
    return [
        (
            equal[0].name if len(equal) == 1 else f"{len(equal)} collections",
            _total(equal),
            *cells,
        )
        for cells, equal in sorted(kinds.items(), key=lambda kind: -len(kind[1]))
    ]


def _total(rows: Sequence[TableRow]) -> str:
    counted = [row.records for row in rows if row.records is not None]
    return f"{sum(counted):,}" if counted else "–"


def names(named: Sequence[str]) -> str:
    """Some names in a line; the first of many, and how many more there are."""
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(named[:NAMED]) + more
