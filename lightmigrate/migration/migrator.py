"""`ChromaMigrator`: the safe move of a Chroma database, as one object: of a folder, or of a client that is open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightmigrate.errors import DatabaseError
from lightmigrate.migration.backup import Backup
from lightmigrate.migration.doctor import mismatches_in
from lightmigrate.migration.folder.migration import FolderMigration
from lightmigrate.migration.folder.replacement import Route
from lightmigrate.migration.job import InvalidVectors
from lightmigrate.migration.live.migration import LiveMigration
from lightmigrate.migration.plan import Plan
from lightmigrate.migration.progress import LogProgress, OnProgress
from lightmigrate.migration.request import Asked, Request
from lightmigrate.migration.results import Check, MigrationResult, Mismatch, Rollback
from lightmigrate.migration.written import OnWritten
from lightmigrate.projection.projection import Projection
from lightmigrate.stores.base import DEFAULT_DATABASE, DEFAULT_TENANT, Address, CollectionFacts, Store

PAGE_SIZE = 1000


@dataclass(frozen=True)
class CollectionJob:
    """One collection to migrate and how.

    Attributes:
        collection_name: its name.
        projection: a `Projection`, or the path of one.
        embedding_function: the new model's Chroma embedding function (or `{"name", "config"}`), recorded
            on the collection; `None` keeps what is recorded now.
        tenant: of the collection.
        database: of the collection.
        texts: of its records by id, for a projection that reads texts and a collection that does not store them. Read
            and not written to the database; a run that is interrupted keeps them beside it until it has ended.
    """

    collection_name: str
    projection: Projection | str | Path
    embedding_function: Any = None
    tenant: str = DEFAULT_TENANT
    database: str = DEFAULT_DATABASE
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> Address:
        """Where the collection is."""
        return Address(self.collection_name, self.tenant, self.database)

    @property
    def file(self) -> Path | None:
        """Where the projection is read from, if it is."""
        return None if isinstance(self.projection, Projection) else Path(self.projection)

    def load(self) -> Projection:
        """The projection, read from its file when it is a path."""
        return self.projection if isinstance(self.projection, Projection) else Projection.load(self.projection)


class ChromaMigrator:
    """Migrates collections of a Chroma database to another embedding model.

    Given a folder, the new database is built aside, verified there, and exchanged with the old one in one step;
    the old folder is the backup. Until that step nothing is written to the database.

    Given an open client (a `PersistentClient` of this process or an `HttpClient`), a shadow collection is built
    within the database, kept up with what is written meanwhile, verified, and renamed into place; the old
    collection is the backup.

    Creating one finishes or undoes an exchange that a crash interrupted, and otherwise only reads.
    """

    def __init__(self, database: Any, *, page_size: int = PAGE_SIZE, on_progress: OnProgress | None = None) -> None:
        """Look at a database.

        Args:
            database: the folder that holds `chroma.sqlite3`, or an open Chroma client.
            page_size: records held in memory at once, 500 to 5,000 are sensible.
            on_progress: called after every page of a long step; by default the `lightmigrate` logger
                gets a line for every tenth.

        Raises:
            DatabaseError: no such folder, not a Chroma folder, or not a client.
        """
        progress = on_progress or LogProgress()
        self._way: FolderMigration | LiveMigration
        if isinstance(database, (str, Path)):
            self._way = FolderMigration(Path(database).expanduser().resolve(), page_size, progress)
        else:
            self._way = LiveMigration(database, page_size, progress)

    @property
    def path(self) -> Path:
        """The folder, or for a client the address of its server."""
        return self._way.path

    @property
    def is_folder(self) -> bool:
        """Whether it is a closed folder, and not an open client."""
        return isinstance(self._way, FolderMigration)

    @property
    def place(self) -> Path:
        """Where files about the database are kept: its own folder, or for a server one among this user's files."""
        return self._way.place

    @property
    def recovered(self) -> str | None:
        """What was found of an interrupted run and done about it, in a sentence; `None` when there was nothing."""
        return self._way.recovered

    def collections(self) -> list[CollectionFacts]:
        """All collections: of all tenants and databases of a folder, of its own database for a client. Only reads."""
        return self._way.catalog()

    def check_dimensions(self, expected_dim: int) -> list[Mismatch]:
        """The collections whose vectors have another dimension than `expected_dim`. Only reads.

        Collections without a vector yet fit every model and are not listed.
        """
        return mismatches_in(self.collections(), expected_dim)

    def plan(self, jobs: Sequence[CollectionJob]) -> Plan:
        """What `migrate_collections` would do, with every check that needs no copy. Only reads.

        Raises:
            LightmigrateError: what `migrate_collections` would raise before it begins.
        """
        return self._way.plan(_requests(jobs))

    def migrate_collection(
        self,
        collection_name: str,
        projection_path: Projection | str | Path,
        auto_backup: bool = True,
        verify: bool = True,
        *,
        embedding_function: Any = None,
        tenant: str = DEFAULT_TENANT,
        database: str = DEFAULT_DATABASE,
        invalid_vectors: InvalidVectors = "refuse",
        force: bool = False,
        index: Route = "keep",
    ) -> MigrationResult:
        """Migrate one collection. See `migrate_collections`, which does several in one go."""
        job = CollectionJob(collection_name, projection_path, embedding_function, tenant, database)
        return self.migrate_collections(
            [job], auto_backup, verify, invalid_vectors=invalid_vectors, force=force, index=index
        )[0]

    def migrate_collections(
        self,
        jobs: Sequence[CollectionJob] | Callable[[Store], Sequence[CollectionJob]],
        auto_backup: bool = True,
        verify: bool = True,
        *,
        invalid_vectors: InvalidVectors = "refuse",
        force: bool = False,
        index: Route = "keep",
        beside: Callable[[Path], None] | None = None,
    ) -> list[MigrationResult]:
        """Migrate collections: one copy, one exchange, one backup. Writes.

        Ids, documents, metadatas, uris, their order, the collection's metadata, distance function and
        index settings are kept; collections that are not named come through as they are. A collection whose
        records are rewritten (see `index`) gets a new internal id from Chroma.

        Args:
            jobs: the collections. Or a function that says which, when it is given a `Store` to read in: the copy of
                the folder that is built on afterwards, or the database of the client. Nobody else can migrate
                meanwhile. No jobs: nothing is done.
            auto_backup: keep the old folder as `chroma_backup_YYYYMMDD_HHMMSS` beside the new one. Without
                it the old folder is deleted after the exchange, and there is no rollback.
            verify: read everything back and compare it before the exchange. Without it only counts and
                dimensions are checked.
            invalid_vectors: what to do with vectors that hold NaN or infinity or are all zero.
            force: migrate even with a projection that failed the gate when it was made, or whose source model the
                stored vectors do not look like.
            index: how the new vectors get into the index of a folder. `keep`: the graph stays, its vectors are
                exchanged, if it finds as much as before then. `rebuild`: a new index, records not touched. Both are
                for databases whose tables and files are just as known, and give way to the next. `rewrite`: every
                record anew, by nothing but Chroma's public interface; through a client always.
            beside: called with the folder of the new database before it takes the old one's place; files written
                there change places with it. For a client: with `place`.

        Returns:
            One result for each job, in the same order.

        Raises:
            LightmigrateError: of the kind that says why; the database is as it was.
        """

        def decided(store: Store) -> list[Request]:
            found = jobs(store) if callable(jobs) else jobs
            return _requests(found) if found else []

        asked: Asked = decided if callable(jobs) else _requests(jobs)
        return self._way.migrate(asked, auto_backup, verify, invalid_vectors, force, index, beside)

    def wait(self) -> None:
        """Until no other lightmigrate works on the database (or, for a server, none on this machine). Only reads."""
        self._way.wait()

    @property
    def interrupted(self) -> bool:
        """Whether a migration was interrupted that `resume` can take up, or `undo` throw away."""
        return self._way.interrupted

    @property
    def interrupted_functions(self) -> list[Mapping[str, Any] | None]:
        """The embedding functions that an interrupted migration was to record, `None` where it was to keep the old."""
        return self._way.interrupted_functions

    def resume(
        self, auto_backup: bool = True, verify: bool = True, *, force: bool = False, index: Route = "keep"
    ) -> list[MigrationResult]:
        """Take up an interrupted migration where it stopped. See `migrate_collections`, which does so by itself.

        Raises:
            NothingToMigrateError: none was interrupted.
            LightmigrateError: as `migrate_collections`.
        """
        return self._way.resume(auto_backup, verify, force, index)

    def undo(self) -> bool:
        """Throw away what an interrupted migration has built; the database itself was not touched by it.

        Returns:
            Whether there was something.
        """
        return self._way.undo()

    def verify(self) -> list[Check]:
        """Compare the migrated collections with what they held right after their migration.

        Opens the database with Chroma, so nobody else may have it open; changes nothing.

        Raises:
            DatabaseError: it was never migrated, or migrated with verification switched off.
            DatabaseInUseError: somebody has it open.
        """
        return self._way.verify()

    def backups(self) -> list[Backup]:
        """The backups of this database, oldest first. Only reads."""
        return self._way.backups()

    def rollback(self, backup: str | None = None, *, written: OnWritten = "refuse") -> Rollback:
        """Put a backup back in place, exactly, by exchange. The database it replaces becomes a backup itself.

        Args:
            backup: name of the backup; the newest by default.
            written: what to do when records were written after the migration. `discard`: they stay behind in the
                database that becomes a backup. `carry`: they come along, into a copy of the backup; their texts
                exactly, their vectors through a projection fitted to the records that both databases have.

        Raises:
            BackupError: no such backup.
            WrittenSinceError: records were written after the migration, and `written` is `refuse`.
            DatabaseInUseError: somebody has the database open.
        """
        return self._way.rollback(backup, written)

    def clean(self, names: Sequence[str] | None = None) -> list[Backup]:
        """Delete backups for good. There is no rollback to them afterwards.

        Args:
            names: of the backups; all of them by default.

        Returns:
            What was deleted.

        Raises:
            BackupError: a name that is none of this database's backups; then nothing is deleted.
        """
        return self._way.clean(names)


def _requests(jobs: Sequence[CollectionJob]) -> list[Request]:
    if not jobs:
        raise DatabaseError("no collection to migrate was named")
    if len({job.address for job in jobs}) < len(jobs):
        raise DatabaseError(f"{len(jobs)} jobs name {len({job.address for job in jobs})} collections: name each once")
    return [
        Request(
            job.address,
            job.load(),
            _function_record(job.embedding_function),
            job.file,
            job.embedding_function,
            job.texts,
        )
        for job in jobs
    ]


def _function_record(embedding_function: Any) -> Mapping[str, Any] | None:
    from lightmigrate.stores.chroma import describe_function

    return None if embedding_function is None else describe_function(embedding_function)
