"""A folder of files that together are one collection, converted file by file: the seam between `scale/` and a format.

A unit is one file, by its path below the folder. Units do not depend on each other, so any number of processes may
convert them at once; the folder that they came from is only read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from lightmigrate.stores.page import Page
from lightmigrate.vectors import Vectors


@dataclass(frozen=True)
class Converted:
    """A file that was converted.

    Attributes:
        vectors: how many it holds.
        sha256: of the whole file, as it was read back.
    """

    vectors: int
    sha256: str


@runtime_checkable
class OfUnits(Protocol):
    """A `Store` that is a folder of files which are one collection; it is only read, and `scale/` converts it."""

    @property
    def units(self) -> UnitFolder:
        """The folder."""


class UnitFolder(Protocol):
    """A folder whose files hold the vectors of one collection, such as Parquet files with the same columns."""

    @property
    def path(self) -> Path:
        """The folder."""

    def units(self) -> list[str]:
        """Paths of the files with vectors, relative to the folder, with `/`, sorted; only reads.

        Raises:
            RefusedError: the folder holds something that would not fit the new vectors, or that is outside of it.
        """

    def others(self) -> list[str]:
        """Paths of all other files, which stay as they are; only reads."""

    def rows(self, unit: str) -> int:
        """Number of rows of a unit, from its footer; only reads.

        Raises:
            DamagedCollectionError: it cannot be read.
        """

    def sample(self, n: int, seed: int = 0) -> Page:
        """About n records, from files all over the folder; reads a few row groups of each; only reads.

        Files that cannot be read, or whose vectors have another length than most, are left out: `convert` refuses them.

        Raises:
            DamagedCollectionError: none of the files can be read.
        """

    def convert(
        self, unit: str, target: Path, dimension: int, new_vectors: Callable[[Page], Vectors], *, texts: bool
    ) -> Converted:
        """Write a file like a unit, with other vectors, read it back and compare it. Writes.

        Everything but the vectors stays: the order of the rows, all other columns to the bit, the type of the vectors,
        row groups, compression and metadata. Rows without a vector stay without one.

        Args:
            unit: path of the file.
            target: the file to write; must not exist.
            dimension: of the new vectors.
            new_vectors: called with pages of some thousand vectors at most, without ids and payloads, in order; returns
                the new vectors, float32 `(n, dimension)`.
            texts: whether the pages have texts.

        Raises:
            VerificationError: what was read back is not what was written.
            DamagedCollectionError: the unit cannot be read.
        """
