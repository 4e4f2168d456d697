"""What the migrator gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightmigrate.migration.folder.replacement import Route
from lightmigrate.migration.verify import Verification
from lightmigrate.migration.written import Written
from lightmigrate.results import Result


@dataclass(frozen=True)
class Mismatch(Result):
    """A collection whose vectors have another dimension than the embedding model in use.

    Attributes:
        name: the collection.
        tenant: its tenant.
        database: its database.
        current_dim: dimension of the stored vectors.
        expected_dim: dimension the model in use produces.
        count: records in it.
    """

    name: str
    tenant: str
    database: str
    current_dim: int
    expected_dim: int
    count: int


@dataclass(frozen=True)
class MigrationResult(Result):
    """One migrated collection.

    Attributes:
        collection_name: its name.
        tenant: its tenant.
        database: its database.
        n_migrated: records that were moved.
        previous_dim: dimension before.
        current_dim: dimension now.
        backup_path: the old database folder, whole, or with an open client the old collection's name below the
            server's; `None` when no backup was wanted.
        verification: what was compared and found right; `None` when it was switched off.
        seconds: wall time of the whole run (all collections of one call share it).
        index: how the new vectors got into the index: `keep`, `rebuild` or `rewrite`.
        handles_moved: collection objects of this process that were pointed to the new rows (with an open client).
        written_late: records found written to when all was read again after the exchange, and carried over (likewise).
    """

    collection_name: str
    tenant: str
    database: str
    n_migrated: int
    previous_dim: int
    current_dim: int
    backup_path: Path | None
    verification: Verification | None
    seconds: float
    index: Route = "rewrite"
    handles_moved: int = 0
    written_late: int = 0


@dataclass(frozen=True)
class Rollback(Result):
    """A database that was put back.

    Attributes:
        restored: name of the backup that is the database again.
        displaced_path: where the database that was live before stands now.
        written: what had been written to it after its migration, by collection.
        carried: whether that is in the restored one too; its vectors are then close, not exact.
    """

    restored: str
    displaced_path: Path
    written: tuple[Written, ...]
    carried: bool


@dataclass(frozen=True)
class Check(Result):
    """One migrated collection compared with what it held right after its migration.

    Attributes:
        collection_name: its name.
        records: how many it holds now.
        records_migrated: how many it held then.
        contents_equal: ids, documents, metadatas and uris are what they were.
        vectors_equal: vectors are what they were.
        settings_equal: distance, index settings and metadata are what they were.
        invalid_vectors: vectors with NaN or infinity or all zero.
    """

    collection_name: str
    records: int
    records_migrated: int
    contents_equal: bool
    vectors_equal: bool
    settings_equal: bool
    invalid_vectors: int

    @property
    def unchanged(self) -> bool:
        """Whether it is exactly what the migration left."""
        return self.contents_equal and self.vectors_equal and self.settings_equal
