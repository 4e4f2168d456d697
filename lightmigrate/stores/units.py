"""A folder of files that together are one collection, converted file by file: the seam between `scale/` and a format.

A unit is one file, by its path below the folder. Units do not depend on each other, so any number of processes may
convert them at once; the folder that they came from is only read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


@dataclass(frozen=True)
class Made:
    """The new vectors of a part of a table, written and not yet in place.

    Attributes:
        vectors: how many there are.
        bytes: of the file.
        sha256: of the file.
        description: what puts it in place; JSON, which only the store reads.
    """

    vectors: int
    bytes: int
    sha256: str
    description: str


@runtime_checkable
class UnitTable(Protocol):
    """A table whose parts can be given new vectors one by one, in any process, and which takes all in one commit.

    Readers see the old vectors until then. A unit is a part, by a name that the store gives.
    """

    @property
    def path(self) -> Path:
        """The table."""

    @property
    def work(self) -> Path:
        """A folder for files of ours, which no reader looks at; need not exist."""

    def units(self) -> dict[str, str]:
        """The parts as they are now, each with its state, which changes when its rows are written; only reads."""

    def rows(self) -> int:
        """Number of rows; only reads."""

    def sample(self, n: int, seed: int = 0) -> Page:
        """About n vectors, without ids and texts, from parts all over the table; only reads those.

        Parts that cannot be read are left out: `convert` refuses them.

        Raises:
            DamagedCollectionError: none of the parts can be read.
        """

    def convert(
        self, unit: str, state: str, dimension: int, new_vectors: Callable[[Page], Vectors], *, texts: bool
    ) -> Made:
        """Write the new vectors of a part, read them back and compare them; nobody sees them yet. Writes.

        Args:
            unit: name of the part.
            state: that it had when it was listed.
            dimension: of the new vectors.
            new_vectors: see `UnitFolder.convert`.
            texts: whether the pages have texts.

        Raises:
            DatabaseChangedError: it was written to since.
            DamagedCollectionError: it cannot be read.
            VerificationError: what was read back is not what was written.
        """

    def put_in_place(
        self, made: Mapping[str, str], states: Mapping[str, str], dimension: int, token: str
    ) -> str | None:
        """Put new vectors in the place of the old ones in one commit, and build the indexes. Writes.

        Args:
            made: the descriptions of all parts.
            states: of all parts when they were converted.
            dimension: of the new vectors.
            token: of the exchange, 16 hexadecimal digits.

        Returns:
            Key of the backup; `None`, and nothing done, when somebody wrote to the table since.
        """

    def exchanged(self, token: str) -> str | None:
        """Key of the backup of an exchange that happened; only reads."""

    def live_token(self) -> str:
        """The exchange that put the present vectors in place; empty for the application's own. Only reads."""

    def backups(self) -> list[str]:
        """Keys of the backups that there are, the oldest first; only reads."""

    def forget(self, token: str) -> None:
        """Let the backup of an exchange be deleted. Writes."""

    def recover(self, token: str) -> None:
        """Complete what a crash left beside an exchange, which itself is one commit, such as indexes. Writes."""

    def made_bytes(self, description: str) -> int | None:
        """The size of a file that was written; `None` where it is gone. Only reads."""

    def digests(self) -> dict[str, str | None]:
        """The SHA-256 of the file that holds the vectors of each part now; `None` where it cannot be read."""


@runtime_checkable
class OfUnits(Protocol):
    """A `Store` that is a folder of files which are one collection; it is only read, and `scale/` converts it."""

    @property
    def units(self) -> UnitFolder:
        """The folder."""


@runtime_checkable
class UnitFolder(Protocol):
    """A folder whose files hold the vectors of one collection, such as Parquet files with the same columns.

    Can be pickled, for workers.
    """

    @property
    def path(self) -> Path:
        """The folder."""

    @property
    def name(self) -> str:
        """Of the collection."""

    def units(self) -> list[str]:
        """Paths of the files with vectors, relative to the folder, with `/`, sorted; only reads.

        Raises:
            RefusedError: the folder holds something that would not fit the new vectors, or that is outside of it.
        """

    def others(self) -> list[str]:
        """Paths of all other files, which stay as they are; only reads."""

    def state(self, unit: str) -> tuple[int, int] | None:
        """The size of a file, and a number that is another one after it was written to; `None` where there is none.

        That is the time of its last change in nanoseconds since 1970, and of an object a number of its version.
        """

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
