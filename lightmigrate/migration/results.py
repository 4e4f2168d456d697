"""The results that the migrator returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightmigrate.errors import BackupError
from lightmigrate.migration.verify import Verification
from lightmigrate.providers.careful import NONE_SHORTENED, Shortened
from lightmigrate.results import Result
from lightmigrate.scores.shift import ScoreShift
from lightmigrate.stores.base import Address
from lightmigrate.stores.files import IndexRoute


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
        vector: which vector of its records; see `Address`.
        part: which of its records; see `Address`.
    """

    name: str
    tenant: str
    database: str
    current_dim: int
    expected_dim: int
    count: int
    vector: str = ""
    part: str = ""

    @property
    def address(self) -> Address:
        """Where the collection is."""
        return Address(self.name, self.tenant, self.database, self.vector, self.part)


@dataclass(frozen=True)
class MigrationResult(Result):
    """One migrated collection.

    Attributes:
        collection_name: its name.
        tenant: its tenant.
        database: its database.
        n_migrated: records that were migrated.
        previous_dim: dimension before.
        current_dim: dimension now.
        backup_path: the complete old database folder; for an open database its path joined with the old collection's
            name; `None` when no backup was wanted.
        verification: result of the verification; `None` when it was switched off.
        seconds: wall time of the whole run (all collections of one call share it).
        index: how the new vectors got into the index: `keep`, `rebuild` or `rewrite`.
        handles_moved: collection objects of this process that now point to the new collection (open databases only).
        written_late: records that clients wrote to the old collection after it was last read, and that were carried
            over after the exchange (open databases only).
        vector: which vector of its records; see `Address`.
        part: which of its records; see `Address`.
        shortened: the texts that the new model did not take whole, where it embedded some.
        lost_vectors: records whose vector could not be read and that have no text to embed: they have the centre of the
            new space.
        scores: how distances between records moved, for thresholds; `None` where there were none to measure.
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
    index: IndexRoute = "rewrite"
    handles_moved: int = 0
    written_late: int = 0
    vector: str = ""
    part: str = ""
    shortened: Shortened = NONE_SHORTENED
    lost_vectors: int = 0
    scores: ScoreShift | None = None

    @property
    def address(self) -> Address:
        """Where the collection is."""
        return Address(self.collection_name, self.tenant, self.database, self.vector, self.part)


@dataclass(frozen=True)
class ChangesSince(Result):
    """How many records of one collection were written after its migration.

    Attributes:
        collection_name: the collection.
        added: records that the backup does not have.
        changed: records whose text, metadata or vector was written again.
        deleted: records that only the backup has.
        gone: records that were deleted, and that the backup has lost, too, because versions share their records.
        was: its name in the backup, where it was renamed; else empty.
        metadata: whether the metadata of the collection differ.
        kept_dimension: of vectors that were carried over as they are, because nothing shows the way back; else `None`.
    """

    collection_name: str
    added: int
    changed: int
    deleted: int
    gone: int = 0
    was: str = ""
    metadata: bool = False
    kept_dimension: int | None = None

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.added or self.changed or self.deleted or self.gone or self.was or self.metadata)


@dataclass(frozen=True)
class Rollback(Result):
    """The result of a rollback.

    Attributes:
        restored: name of the backup that was restored.
        displaced_path: where the database that was live before the rollback is now.
        written: what had been written to that database after its migration, by collection.
        carried: whether those changes were carried to the restored database; their vectors are then approximate.
    """

    restored: str
    displaced_path: Path
    written: tuple[ChangesSince, ...]
    carried: bool


@dataclass(frozen=True)
class CollectionCheck(Result):
    """One migrated collection compared with what it held right after its migration.

    Attributes:
        collection_name: its name.
        records: how many it holds now.
        records_migrated: how many it held then.
        contents_equal: ids, documents, metadatas and uris are what they were; where versions share their records: none
            was written since.
        vectors_equal: vectors are what they were; for an open database: all are valid and of one dimension.
        settings_equal: distance, index settings and metadata are what they were.
        invalid_vectors: vectors with NaN or infinity or all zero.
        refined: rows that `refine` embedded since the migration. They, and those that it projected again, count as
            equal unless the application wrote to them.
        written: what was written since, where the database keeps a log of it; otherwise `None`.
        gone: whether there is no such collection any more: it was deleted or renamed.
    """

    collection_name: str
    records: int
    records_migrated: int
    contents_equal: bool
    vectors_equal: bool
    settings_equal: bool
    invalid_vectors: int
    refined: int = 0
    written: ChangesSince | None = None
    gone: bool = False

    @property
    def unchanged(self) -> bool:
        """Whether the collection is exactly as the migration left it."""
        return self.contents_equal and self.vectors_equal and self.settings_equal and not self.written


@dataclass(frozen=True)
class Backup(Result):
    """An earlier version of the database: a whole folder, or a collection of an open database.

    Attributes:
        name: name of the folder or the collection.
        path: path of the folder; for a collection the server's address joined with its name.
        bytes: size on disk; `None` for a collection.
        migrated_at: when the database in the backup was last migrated; `None` if it never was.
        reason_to_keep: why it may hold what is nowhere else, in words that follow its name; `None` if it does not.
    """

    name: str
    path: Path
    bytes: int | None
    migrated_at: str | None
    reason_to_keep: str | None = None


def choose_backups(backups: Sequence[Backup], names: Sequence[str] | None, database: Path) -> list[Backup]:
    """The backups with these names; all when `names` is `None`.

    Raises:
        BackupError: there is no backup of one of the names.
    """
    known = {backup.name: backup for backup in backups}
    for name in names or ():
        if name not in known:
            raise BackupError(f"{database} has no backup {name}; there are: {', '.join(known) or 'none'}")
    return [known[name] for name in (known if names is None else names)]
