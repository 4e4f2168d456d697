"""What a migration of a folder returns."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from lightmigrate.providers.careful import NONE_SHORTENED, Shortened
from lightmigrate.results import Result
from lightmigrate.scale.manifest import Done, DonePart


@dataclass(frozen=True)
class FolderMigration(Result):
    """A migrated folder.

    Attributes:
        folder: the folder.
        dataset: where the files are now: the folder, or the prefix of an object store that took its place.
        files: how many files were converted, those of earlier runs included.
        converted_now: how many of them by this run.
        vectors: how many were projected.
        previous_dim: dimension before.
        current_dim: dimension now.
        sha256: digest of all files; see `manifest.total`.
        backup_path: the old folder; `None` when no backup was wanted.
        workers: how many worked at once; 0 for a cluster that had nothing to do.
        seconds: wall time of this run.
        exact: vectors that the new model made of whole texts.
        shortened: texts that it did not take whole, counted in each file.
    """

    folder: Path
    dataset: Path
    files: int
    converted_now: int
    vectors: int
    previous_dim: int
    current_dim: int
    sha256: str
    backup_path: Path | None
    workers: int
    seconds: float
    exact: int = 0
    shortened: Shortened = NONE_SHORTENED


@dataclass(frozen=True)
class TableMigration(Result):
    """A migrated table.

    Attributes:
        table: the table.
        parts: how many parts were converted, those of earlier runs included.
        converted_now: how many of them by this run.
        vectors: how many were projected.
        previous_dim: dimension before.
        current_dim: dimension now.
        sha256: digest of the new vectors of all parts; see `manifest.total`.
        backup: name of the version that was replaced; `None` when no backup was wanted.
        workers: how many worked at once; 0 for a cluster that had nothing to do.
        seconds: wall time of this run.
        exact: see `FolderMigration`.
        shortened: likewise, of each part.
    """

    table: Path
    parts: int
    converted_now: int
    vectors: int
    previous_dim: int
    current_dim: int
    sha256: str
    backup: str | None
    workers: int
    seconds: float
    exact: int = 0
    shortened: Shortened = NONE_SHORTENED


@dataclass(frozen=True)
class FolderCheck(Result):
    """A migrated folder, or a table of parts, compared with what its migration left.

    Attributes:
        folder: the folder.
        files: how many there are now.
        files_migrated: how many the migration left.
        changed: files that are other than the migration left them, or gone.
        added: files that were not there.
        sha256: digest of all files as the migration left them.
    """

    folder: Path
    files: int
    files_migrated: int
    changed: tuple[str, ...]
    added: tuple[str, ...]
    sha256: str

    @property
    def unchanged(self) -> bool:
        """Whether every file is exactly as the migration left it."""
        return not self.changed and not self.added


@dataclass(frozen=True)
class FolderStatus(Result):
    """What is known of a folder, or of a table of parts.

    Attributes:
        folder: the folder.
        model: whose vectors it holds, as its migration says; empty for a folder that was not migrated.
        files_done: files that an interrupted migration has converted; `None` where none was interrupted.
        files: files that there are.
        backups: names of the old folders, the oldest first.
        dataset: where the files are now; see `FolderMigration`.
    """

    folder: Path
    model: str
    files_done: int | None
    files: int
    backups: tuple[str, ...]
    dataset: Path


def embedded_in(units: Collection[Done] | Collection[DonePart]) -> tuple[int, Shortened]:
    """How many vectors of some units the new model made of whole texts, and the texts that it did not take whole."""
    cut, refused = sum(each.cut for each in units), sum(each.refused for each in units)
    return sum(each.exact for each in units), Shortened(cut, refused)
