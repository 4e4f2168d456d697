"""What a file of vectors is read as and written from: rows, a table of rows that can be searched, and a format."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lightmigrate.stores.base import Metric, Page
from lightmigrate.vectors import Vectors

# Records that are read or written at once.
PAGE = 1000

# What needs no second look in JSON.
_PLAIN = frozenset((str, int, bool, type(None)))

# The row numbers and distances of the nearest rows, for each query.
Nearest = tuple[list[list[int]], list[list[float]]]


@dataclass(frozen=True)
class Options:
    """What the caller says about files that do not say it themselves.

    Attributes:
        vector: name of the column that holds vectors; empty to find it.
        id: name of the column that holds ids; empty to find it.
        text: name of the column that holds texts; empty to find it.
        lossy: whether indexes that store vectors inexactly may be migrated.
        numbers: type of the numbers in a column of bytes: float16, float32 or float64; empty to find it.
    """

    vector: str = ""
    id: str = ""
    text: str = ""
    lossy: bool = False
    numbers: str = ""


class Rows(Protocol):
    """Records in order, each with a row number from 0 on. Does not change while it is read."""

    @property
    def ids(self) -> Sequence[str]:
        """The id of every row, each once."""

    @property
    def dimension(self) -> int | None:
        """Length of the vectors; `None` before the first one."""

    def page(self, rows: Sequence[int], *, vectors: bool = True) -> Page:
        """Some rows, in the order given; only reads."""

    def vectors_of(self, rows: Sequence[int]) -> Vectors:
        """The vectors of some rows alone, float32 `(n, d)`, in the order given; only reads."""


class Table(Rows, Protocol):
    """The content of a file of vectors, and of the files beside it that hold ids and texts, as it was when read."""

    @property
    def metric(self) -> Metric | None:
        """The distance of its index; `None` where the file has no index: then the code that searches chooses."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What describes the file except its dimension and its rows, such as the kind of its index."""

    @property
    def lossy(self) -> str:
        """Why its vectors are not stored exactly; empty where they are."""

    def nearest(self, queries: Vectors, k: int, metric: Metric) -> Nearest:
        """The nearest rows to each of `queries` `(q, d)`, through the index where there is one; only reads."""


class Format(Protocol):
    """A kind of file that holds vectors: finds, reads and writes it.

    Attributes:
        kind: its name.
    """

    kind: str

    def names(self, folder: Path) -> list[str]:
        """Names of the collections of this kind in a folder; only reads."""

    def main(self, name: str) -> str:
        """Name of the file that holds the vectors of a collection."""

    def beside(self, folder: Path, name: str) -> list[str]:
        """Names of the existing files that hold ids, texts and payloads of a collection; only reads."""

    def read(self, folder: Path, name: str, options: Options) -> Table:
        """Read a collection.

        Raises:
            DamagedCollectionError: the files cannot be read, or do not fit each other.
            MissingExtraError: the library that reads them is not installed.
        """

    def write(
        self,
        folder: Path,
        name: str,
        rows: Rows,
        like: Table,
        metric: Metric | None,
        *,
        same: bool,
        originals: Table | None = None,
    ) -> None:
        """Write a collection with the settings of another one into a folder that has none of its files. Writes.

        Args:
            folder: the folder.
            name: of the collection.
            rows: its records.
            like: the table whose settings are copied; of this format.
            metric: the distance of its index; `None` for that of `like`.
            same: whether `rows` has the ids, texts and payloads of `like`, in its order. Then only the main file is
                written, and everything in it that is no vector is copied from `like`.
            originals: where records that `like` does not have may be as their application stored them, of which a page
                does not say all, such as the types of their fields; `None` for nowhere.
        """

    def merge(self, version: Path, live: Path, name: str) -> None:
        """Bring what other collections keep in the same files into those of a version. Writes to the version.

        Called before a version whose records differ takes the place of the live files.
        """

    def refuse(self, like: Table, dimension: int, options: Options) -> str | None:
        """Why a file like this is not made for vectors of a dimension, with what helps; `None` where it is."""


def pages_of(rows: Rows, size: int = PAGE, start: int = 0, *, vectors: bool = True) -> Iterator[Page]:
    """All rows from the `start`-th on, at most `size` at a time; only reads."""
    total = len(rows.ids)
    for first in range(start, total, size):
        yield rows.page(range(first, min(total, first + size)), vectors=vectors)


def blocks_of(rows: Rows, size: int = PAGE) -> Iterator[Vectors]:
    """The vectors of all rows, at most `size` at a time; only reads."""
    total = len(rows.ids)
    for first in range(0, total, size):
        yield rows.vectors_of(range(first, min(total, first + size)))


def same_records(one: Rows, other: Rows) -> bool:
    """Whether two have the same ids, texts and payloads in the same order; only reads."""
    if len(one.ids) != len(other.ids):
        return False
    pages = zip(pages_of(one, vectors=False), pages_of(other, vectors=False), strict=True)
    return all(_contents(a) == _contents(b) for a, b in pages)


def _contents(page: Page) -> str:
    """Ids, texts and payloads as text, in which 1, 1.0 and true differ."""
    return json.dumps([list(page.ids), list(page.texts), list(page.payloads)], sort_keys=True)


def finite(value: Any) -> Any:
    """A value as JSON has it: numbers that are not finite become texts."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [finite(each) for each in value]
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    return value
