"""The half of `Migrator` that only reads: none of it writes to the database or ends an interrupted exchange."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lightmigrate.bridge import fit_bridge
from lightmigrate.budget.curve import CostQualityCurve, measure_curve
from lightmigrate.budget.curve_data import read_curve_data
from lightmigrate.doctor import Diagnosis, diagnose_files, diagnose_store, mismatches_in
from lightmigrate.engine import engine_for, requests_of
from lightmigrate.errors import DamagedCollectionError, DatabaseError, LightmigrateError
from lightmigrate.migration.aside.migration import AsideMigration
from lightmigrate.migration.aside.reading import open_copy
from lightmigrate.migration.aside.record import Record
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.migration.embed_again import embed_again_command
from lightmigrate.migration.plan import Plan
from lightmigrate.migration.results import Backup, CollectionCheck, Mismatch
from lightmigrate.progress import LogProgress, OnProgress
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import cached
from lightmigrate.refinement.checks import check_with_refinement, refined_rows
from lightmigrate.refinement.provenance import Provenance
from lightmigrate.refinement.status import (
    RefinementInputs,
    RefinementStatus,
    refinable,
    refinement_inputs,
    refinement_status,
)
from lightmigrate.stores.base import Address, CollectionFacts, Store
from lightmigrate.stores.external_texts import WithTexts
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.stores.open import argument_of, open_database
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.grouping import only_group
from lightmigrate.training.sources import FEWEST_DOCUMENTS, data_from_readable
from lightmigrate.training.train import Training, train

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
        self._engine = engine_for(self._database, page_size, self._on_progress)

    @property
    def path(self) -> Path:
        """The folder, or the address of the server."""
        return self._engine.path

    @property
    def place(self) -> Path:
        """The folder for files about the database: its own, or for a server one among the user's files."""
        return self._engine.place

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
    def interrupted(self) -> bool:
        """Whether there is an interrupted migration that `resume` can continue or `undo` discard. Only reads."""
        return self._engine.interrupted

    @property
    def interrupted_functions(self) -> list[Mapping[str, object] | None]:
        """The embedding functions that an interrupted migration was to record; `None` where it keeps the record."""
        return self._engine.interrupted_functions

    def collections(self) -> list[CollectionFacts]:
        """All collections: of all tenants and databases of a folder, of its own database for a client. Only reads."""
        with self._explaining():
            return self._engine.catalog()

    def damaged(self, *, thorough: bool = True) -> Mapping[Address, str]:
        """The collections whose vectors cannot be read, with what is wrong and the command that helps. Only reads.

        Args:
            thorough: also look into the files of a folder; otherwise only at their presence and sizes.
        """
        if not isinstance(self._database, FileDatabase):
            return {}
        with self._explaining():
            faults = self._database.damaged(thorough=thorough)
        return {
            address: f"{fault}; embed its documents again:  {embed_again_command(self._argument, address)}"
            for address, fault in faults.items()
        }

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
                return diagnose_files(self._database, self.unfinished, expected_dim, self.damaged())
            return diagnose_store(self._database, self.collections(), self.backups(), self.unfinished, expected_dim)

    def calibration_data(
        self,
        collection: str | Address | None = None,
        samples: int = 1000,
        *,
        texts: Mapping[str, str] | None = None,
        reads_texts: bool | None = None,
        seed: int = 0,
    ) -> CalibrationData:
        """Sample documents and their vectors to train on. Only reads. See `data_from_readable`.

        Args:
            collection: name or address of the collection; `None` for all collections of the database, which must be of
                one model, as one.
            samples: documents to calibrate on; fewer when all collections together have fewer.
            texts: by id, for records of one collection that does not store them.
            reads_texts: whether the projection may read texts; by default only if no `texts` are given.
            seed: of every random choice.

        Raises:
            CollectionNotFoundError: the database holds vectors of several models, or none.
            LightmigrateError: as `data_from_readable`.
        """
        damaged = self._require_readable(collection)
        with self._reading() as store:
            read = self._as_one(store, collection, texts or {}, damaged)
            return data_from_readable(
                read,
                samples,
                fewest=FEWEST_DOCUMENTS if len(read.members) > 1 else None,
                reads_texts=not texts if reads_texts is None else reads_texts,
                seed=seed,
                on_progress=self._on_progress,
            )

    def train(
        self,
        collection: str | Address | None,
        provider: Provider,
        previous: Provider | None = None,
        *,
        samples: int = 1000,
        source_model: Model | None = None,
        texts: Mapping[str, str] | None = None,
        seed: int = 0,
    ) -> Training:
        """Train and judge a projection on a collection's own documents. Calls the model; only reads the database.

        `train` of `lightmigrate` takes `calibration_data` and has more options.

        Args:
            collection: name or address of the collection; `None` for all, see `calibration_data`.
            provider: the new model. Without a cache it gets the default one.
            previous: the old model, where it is available: then doing nothing is measured, too.
            samples: documents to calibrate on.
            source_model: the model of the stored vectors; unnamed by default.
            texts: by id, for records whose text the collection does not store.
            seed: of every random choice.

        Raises:
            LightmigrateError: as `data_from_collection` and `train`.
        """
        data = self.calibration_data(collection, samples, texts=texts, seed=seed)
        return train(
            data, cached(provider), previous, source_model=source_model, seed=seed, on_progress=self._on_progress
        )

    def cost_quality_curve(
        self,
        collection: str | Address | None,
        provider: Provider,
        previous: Provider | None = None,
        *,
        samples: int | None = None,
        lengths: Sequence[int] | None = None,
        tokens: float | None = None,
        token_share: float | None = None,
        queries: Sequence[str] = (),
        texts: Mapping[str, str] | None = None,
        source_model: Model | None = None,
        seed: int = 0,
    ) -> CostQualityCurve:
        """Measure what each budget setting costs and keeps for a collection. Calls the model; only reads the database.

        `collection` is a name or an address; `None` stands for all collections of the database, which must be of one
        model: see `calibration_data`. See `read_curve_data` and `measure_curve` for the arguments and errors;
        `provider` without a cache gets the default one.
        """
        model = cached(provider)
        damaged = self._require_readable(collection)
        with self._reading() as store:
            read = read_curve_data(
                self._as_one(store, collection, texts or {}, damaged),
                model,
                samples=samples,
                lengths=lengths,
                tokens=tokens,
                token_share=token_share,
                queries=queries,
                seed=seed,
                on_progress=self._on_progress,
            )
        return measure_curve(
            read.data,
            read.size,
            model,
            previous,
            lengths=read.lengths,
            source_model=source_model,
            sampled=read.sampled,
            seed=seed,
            on_progress=self._on_progress,
        )

    def bridge(
        self,
        collection: str | Address,
        provider: Provider,
        *,
        samples: int = 1000,
        source_model: Model | None = None,
        seed: int = 0,
    ) -> Projection:
        """Fit a projection from the new model's space to a collection's. Calls the model; only reads the database.

        See `fit_bridge` for the arguments and errors; `provider` without a cache gets the default one.
        """
        self._require_readable(collection)
        with self._reading() as store:
            return fit_bridge(
                store.collection(address_of(collection)),
                cached(provider),
                samples=samples,
                source_model=source_model,
                seed=seed,
                on_progress=self._on_progress,
            )

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
            ids = self._engine.ids(addresses)
            return [refinement_status(address, ids[address], provenance) for address in addresses]

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
                checks = self._engine.verify()
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

    def wait(self) -> None:
        """Wait until no other run works on it; for a server, none on this machine. Only reads."""
        self._engine.wait()

    def _as_one(
        self, store: Store, collection: str | Address | None, texts: Mapping[str, str], damaged: Collection[Address]
    ) -> JoinedCollections:
        """One collection with its texts by id, or all readable collections of the database as one."""
        if collection is not None:
            opened = store.collection(address_of(collection))
            return JoinedCollections([WithTexts(opened, texts) if texts else opened])
        catalog = [facts for facts in self._engine.catalog() if facts.count and facts.address not in damaged]
        return only_group(store, [facts for facts in catalog if facts.dimension], self._argument).open(store, texts)

    def _require_readable(self, collection: str | Address | None) -> Mapping[Address, str]:
        """The collections whose vectors cannot be read; raises `DamagedCollectionError` when the named one is."""
        damaged = self.damaged()
        if collection is not None and (fault := damaged.get(address_of(collection))) is not None:
            raise DamagedCollectionError(f"collection {address_of(collection)} cannot be read: {fault}")
        return damaged

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

    def _named(self, message: str) -> str:
        return re.sub(r"(?<!/)\bDATABASE\b(?!/)", lambda _: self._argument, message)


def address_of(collection: str | Address) -> Address:
    """The address of a collection that is named or already an address."""
    return Address(collection) if isinstance(collection, str) else collection
