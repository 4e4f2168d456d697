"""The half of `Migrator` that only reads: none of it writes to the database or ends an interrupted exchange."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lightmigrate.budget.late_rows import record_carried
from lightmigrate.doctor import Diagnosis, diagnose_files, diagnose_store, mismatches_in
from lightmigrate.engine import engine_for, requests_of
from lightmigrate.errors import DatabaseError, LightmigrateError
from lightmigrate.files import tree_bytes
from lightmigrate.migration.aside.location import Location
from lightmigrate.migration.aside.migration import AsideMigration
from lightmigrate.migration.aside.reading import open_copy
from lightmigrate.migration.aside.record import Record
from lightmigrate.migration.collection_job import CollectionJob, address_named
from lightmigrate.migration.distance import distance_command
from lightmigrate.migration.embed_again import embed_again_command
from lightmigrate.migration.history import HistoryEntry
from lightmigrate.migration.plan import Plan
from lightmigrate.migration.results import Backup, CollectionCheck, Mismatch
from lightmigrate.progress import LogProgress, OnProgress
from lightmigrate.refinement.checks import ProvenVectors, check_with_refinement, refined_rows, shares_when_migrated
from lightmigrate.refinement.provenance import Provenance
from lightmigrate.refinement.status import (
    RefinementInputs,
    RefinementStatus,
    refinable,
    refinement_inputs,
    refinement_status,
)
from lightmigrate.scores.shift import ScoreShift
from lightmigrate.scores.stored import read_scores
from lightmigrate.stores.base import Address, CollectionFacts, Refusing, Store
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.open import Database, argument_of, open_database, with_database
from lightmigrate.stores.promises import Promises, promises_of, promises_of_files
from lightmigrate.stores.users import may_be_open
from lightmigrate.vectors import METRICS

PAGE_SIZE = 1000


class DatabaseReader:
    """One database, read. Its records are read in the open database, or in a temporary copy of one that is files.

    Args:
        database: a folder, a URL, an open client, or an opened `Store`.
        page_size: records held in memory at once; 500 to 5,000 are sensible.
        on_progress: receives the progress of every long step; by default the `lightmigrate` logger does.

    Raises:
        DatabaseError: there is no database.
    """

    def __init__(self, database: object, *, page_size: int = PAGE_SIZE, on_progress: OnProgress | None = None) -> None:
        self._database = open_database(database)
        self._page_size = page_size
        self._on_progress = on_progress or LogProgress()
        self._engine = engine_for(self._database, page_size, self._on_progress, record_carried)

    @property
    def path(self) -> Path:
        """The folder, or the address of the server."""
        return self._engine.path

    @property
    def place(self) -> Path:
        """The folder for files about the database: its own, or for a server one among the user's files."""
        return self._engine.place

    @property
    def stored_bytes(self) -> int:
        """Bytes of the folder that a migration copies; 0 for an open database. Only reads."""
        if not isinstance(self._database, FileDatabase):
            return 0
        return tree_bytes(self._database.folder, Location.of(self._database).belongs)

    @property
    def database(self) -> Database:
        """The database, opened or not; see `open_database`."""
        return self._database

    @property
    def _argument(self) -> str:
        """The database as a command that a message proposes is given it."""
        return argument_of(self._database)

    @property
    def unfinished(self) -> str | None:
        """What an interrupted run left, in a sentence; `None` when there is nothing. Only reads."""
        unfinished = self._engine.unfinished
        return None if unfinished is None else self._named(unfinished)

    @property
    def upgrade_notice(self) -> str | None:
        """That an older version of the store wrote the folder, and cannot use it once it is migrated. Only reads.

        A sentence with the way out; `None` for an open database, or when there is nothing to say.
        """
        if not isinstance(self._database, FileDatabase):
            return None
        notice = self._database.upgrade_notice()
        return None if notice is None else f"{notice}, and this puts it back:  lightmigrate rollback {self._argument}"

    @property
    def promises(self) -> Promises:
        """What the database promises about migrations, and what not. Reads."""
        if isinstance(self._database, FileDatabase):
            return promises_of_files(may_be_open(self._database.folder / self._database.main))
        return promises_of(self._database.capabilities)

    @property
    def exchange_notice(self) -> str | None:
        """What an application has to know of an exchange; see `Capabilities.notice`. `None` for nothing. Reads."""
        if isinstance(self._database, FileDatabase):
            return Location.of(self._database).mounted_elsewhere
        return self._named(self._database.capabilities.notice) or None

    @property
    def interrupted(self) -> bool:
        """Whether there is an interrupted migration that can be continued, or that `undo` discards. Only reads."""
        return self._engine.interrupted

    @property
    def resumable(self) -> bool:
        """Whether `resume` continues it; an open database keeps no projection: the same migration continues it."""
        return isinstance(self._engine, AsideMigration) and self._engine.interrupted

    @property
    def interrupted_functions(self) -> list[Mapping[str, object] | None]:
        """The embedding functions that an interrupted migration was to record; `None` where it keeps the record."""
        return self._engine.interrupted_functions

    @property
    def interrupted_distances(self) -> list[str | None]:
        """The distances that an interrupted migration was to give; `None` where it keeps the distance."""
        return self._engine.interrupted_distances

    def collections(self) -> list[CollectionFacts]:
        """All collections: of all tenants and databases of a folder, of its own database for a client. Only reads."""
        with self._explaining():
            return self._engine.catalog()

    def damaged(
        self, *, thorough: bool = True, catalog: Sequence[CollectionFacts] | None = None
    ) -> Mapping[Address, str]:
        """The collections whose vectors cannot be read, with what is wrong and the command that helps. Only reads.

        Args:
            thorough: also look into the files of a folder; otherwise only at their presence and sizes. Of a server, a
                client, or other files, ask each collection for vectors; otherwise those that look as if they had none.
            catalog: the collections, where they were just listed.
        """
        if not isinstance(self._database, FileDatabase):
            with self._explaining():
                asked = [
                    facts.address
                    for facts in (self.collections() if catalog is None else catalog)
                    if facts.dimension is None or (thorough and facts.count)
                ]
                return self._database.damaged(asked) if asked else {}
        with self._explaining():
            faults = self._database.damaged(thorough=thorough)
        return {
            address: f"{fault}; embed its documents again:  {embed_again_command(self._argument, address)}"
            for address, fault in faults.items()
        }

    def refused(self, catalog: Iterable[CollectionFacts], dimension: int | None) -> Mapping[Address, str]:
        """Those of some collections that cannot get vectors of a dimension here, with what helps. Only reads.

        Args:
            catalog: the collections.
            dimension: of the new vectors; `None` if it is not known yet.
        """
        store = self._database
        if isinstance(store, FileDatabase) or not isinstance(store, Refusing):
            return {}
        with self._explaining():
            reasons = {facts.address: store.refusal(facts.address, dimension) for facts in catalog}
        return {address: reason for address, reason in reasons.items() if reason is not None}

    def check_dimensions(self, expected_dim: int) -> list[Mismatch]:
        """The collections whose vectors have another dimension than `expected_dim`. Only reads.

        Collections without vectors fit every model and are not listed.
        """
        return mismatches_in(self.collections(), expected_dim)

    def diagnose(self, expected_dim: int | None = None) -> Diagnosis:
        """The state of the database. Only reads, also while others write.

        Args:
            expected_dim: dimension of the embedding model in use, if it is known.
        """
        with self._explaining():
            if isinstance(self._database, FileDatabase):
                found = diagnose_files(self._database, self.unfinished, expected_dim, self.damaged())
            else:
                found = diagnose_store(
                    self._database, self.collections(), self.backups(), self.unfinished, expected_dim, self.damaged()
                )
        wrong = self.stated_distances(found.collections)
        refused = self.refused(found.collections, None) if found.unsupported is None else {}
        return replace(
            found,
            distances={str(address): line for address, line in wrong.items()},
            refused={str(address): reason for address, reason in refused.items()},
            upgrade_notice=self.upgrade_notice,
            exchange_notice=self.exchange_notice,
        )

    def stated_distances(self, catalog: Sequence[CollectionFacts]) -> dict[Address, str]:
        """The collections whose metadata state another distance than their index has, with the command that helps.

        Args:
            catalog: the collections to look at.
        """
        return {
            facts.address: f"its metadata state {facts.stated_space}, its index computes {facts.space}; to get "
            f"{facts.stated_space}:  {distance_command(self._argument, facts.address, facts.stated_space)}"
            for facts in catalog
            if facts.stated_space in METRICS
        }

    def fixed_distances(self, catalog: Sequence[CollectionFacts], distance: str) -> dict[Address, str]:
        """The collections that have another distance and cannot get this one, each with the reason. Only reads.

        Args:
            catalog: the collections to look at.
            distance: that they would get.
        """
        if isinstance(self._database, FileDatabase):
            return {}
        others = [facts.address for facts in catalog if facts.space != distance]
        reasons = {address: self._database.fixed_distance(address) for address in others}
        return {
            address: f"the distance of {address} cannot be changed to {distance}: {reason}"
            for address, reason in reasons.items()
            if reason is not None
        }

    def plan(self, jobs: Sequence[CollectionJob]) -> Plan:
        """What `migrate` would do, with every check that needs no copy. Only reads.

        Raises:
            LightmigrateError: what `migrate` would raise before it begins.
        """
        with self._explaining():
            return self._engine.plan(requests_of(jobs, self._engine))

    def status(self) -> list[RefinementStatus]:
        """Where the vectors come from, for the collections migrated by a plan. Only reads, also while others write.

        Raises:
            LightmigrateError: no collection was migrated by a plan, or none of those is there any more.
        """
        with self._explaining(), Provenance.existing(self.place, self._argument) as provenance:
            addresses = refinable(provenance, self._engine.catalog(), self._argument)
            return [refinement_status(address, self._engine.ids(address), provenance) for address in addresses]

    def scores(self, thresholds: Sequence[float] = ()) -> list[ScoreShift]:
        """How distances moved in the newest migration of each collection. Only reads, also while others write.

        Args:
            thresholds: distances by which results were cut off before, as the database reported them; the result says
                what corresponds to each now.

        Raises:
            LightmigrateError: nothing was measured: no collection was migrated, or an older lightmigrate did it.
        """
        with self._explaining():
            kept, catalog = read_scores(self.place), self._engine.catalog()
            if not any(facts.id in kept for facts in catalog):
                raise LightmigrateError(
                    f"{self.path} holds no distances of before and after a migration: none was made, or by an older "
                    "lightmigrate, or it was rolled back; while there is a backup of before, they can be measured:  "
                    "lightmigrate status DATABASE --queries FILE --source-model OLD --target-model NEW"
                )
            exact = self._exact_when_migrated(catalog)
            return [
                replace(
                    kept[facts.id].at(facts.address).with_thresholds(thresholds), share_exact=exact.get(facts.address)
                )
                for facts in catalog
                if facts.id in kept
            ]

    def _exact_when_migrated(self, catalog: Sequence[CollectionFacts]) -> dict[Address, float]:
        """The share of rows that were exact right after the migration, where it is known."""
        with self._provenance() as provenance:
            return {} if provenance is None else shares_when_migrated(provenance, catalog)

    def refinement_inputs(self) -> dict[Address, RefinementInputs]:
        """What `refine` needs, for each collection migrated by a plan; empty when there is none. Only reads."""
        if not Provenance.file_in(self.place).exists():
            return {}
        with Provenance.existing(self.place) as provenance:
            return refinement_inputs(provenance)

    def verify(self) -> list[CollectionCheck]:
        """Compare the migrated collections with what they held after their migration. Only reads.

        What `refine` wrote since is known and counts as unchanged. Of a folder a temporary copy is read.

        Raises:
            DatabaseError: nothing was migrated, or without verification; or another process has the folder open.
        """
        with self._explaining(), self._provenance() as provenance:
            if not isinstance(self._engine, AsideMigration):
                checks = self._engine.verify(ProvenVectors(self.place))
                by_name = {str(facts.address): facts.address for facts in self._engine.catalog()}
                refined = [refined_rows(provenance, by_name[check.collection_name]) for check in checks]
                return [replace(check, refined=rows) for check, rows in zip(checks, refined, strict=True)]
            record = Record.read(self.path)
            if record is None or not record.collections:
                raise DatabaseError(
                    f"{self.path} holds no verified migration to compare with; plan one:  lightmigrate plan DATABASE "
                    "--target-model MODEL"
                )
            with self._reading() as store:
                return [check_with_refinement(store, one, provenance, self._page_size) for one in record.collections]

    def backups(self) -> list[Backup]:
        """The backups of this database, oldest first. Only reads."""
        return self._engine.backups()

    def history(self, collection: str | Address | None = None) -> list[HistoryEntry]:
        """What was migrated and rolled back here, and what was expected of it, the oldest first. Only reads.

        It lies beside the database (`place`): of a server, only what was done with this user's files is known.

        Args:
            collection: name or address of a collection; all by default.

        Raises:
            LightmigrateError: the file that keeps it is damaged.
        """
        with self._naming():
            entries = self._engine.history()
        own = None if collection is None else self._address_of(collection)
        return [entry for entry in entries if own is None or entry.address == own]

    def wait(self) -> None:
        """Wait until no other run works on it; for a server, none on this machine. Only reads."""
        self._engine.wait()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Store]:
        """The open database, or a copy of one that is files: opening that one itself would write to it."""
        with self._explaining():
            if not isinstance(self._database, FileDatabase):
                yield self._database
                return
            with open_copy(self._database, self._on_progress) as store:
                yield store

    @contextlib.contextmanager
    def _provenance(self) -> Iterator[Provenance | None]:
        """The provenance file, if there is one."""
        if not Provenance.file_in(self.place).exists():
            yield None
            return
        with Provenance.existing(self.place) as provenance:
            yield provenance

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        """Add to a `DatabaseError` that an exchange was interrupted, which may be why the database cannot be read."""
        try:
            with self._naming():
                yield
        except DatabaseError as error:
            unfinished = self.unfinished
            if unfinished is None or type(error) is not DatabaseError:
                raise
            raise DatabaseError(f"{error}; {unfinished}") from None

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Name this database in the commands that an error proposes: below this room they say DATABASE."""
        try:
            yield
        except LightmigrateError as error:
            error.args = (self._named(str(error)), *error.args[1:])
            raise

    def _address_of(self, collection: str | Address) -> Address:
        """The address of a collection that is named as it is listed, or is an address already. Only reads."""
        return address_named(collection, [] if isinstance(collection, Address) else self._engine.catalog())

    def _named(self, message: str) -> str:
        return with_database(message, self._argument)
