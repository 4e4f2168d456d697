"""The half of `Migrator` that only reads: none of it writes to the database or ends an interrupted exchange."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lightmigrate.bridge import fit_bridge
from lightmigrate.budget.curve import CostQualityCurve, measure_curve
from lightmigrate.budget.curve_data import read_curve_data
from lightmigrate.doctor import Diagnosis, diagnose_files, diagnose_store, mismatches_in
from lightmigrate.engine import engine_for
from lightmigrate.errors import DatabaseError
from lightmigrate.migration.aside.migration import AsideMigration
from lightmigrate.migration.aside.reading import open_copy
from lightmigrate.migration.aside.record import Record
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.migration.plan import Plan
from lightmigrate.migration.request import Request
from lightmigrate.migration.results import Backup, CollectionCheck, Mismatch
from lightmigrate.progress import LogProgress, OnProgress
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.chroma import ChromaProvider
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
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.open import open_database
from lightmigrate.texts.chosen import chosen_texts, with_texts
from lightmigrate.texts.find import FoundTexts, find_texts
from lightmigrate.texts.source import Texts, TextSource
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.sources import data_from_collection
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
    def is_folder(self) -> bool:
        """Whether the database is files on this machine, and not an open one."""
        return isinstance(self._database, FileDatabase)

    @property
    def place(self) -> Path:
        """The folder for files about the database: its own, or for a server one among the user's files."""
        return self._engine.place

    @property
    def _argument(self) -> str:
        """The database as a command that a message proposes is given it; a server takes options instead."""
        return shlex.quote(str(self.path)) if self.is_folder else "DATABASE"

    @property
    def unfinished(self) -> str | None:
        """What an interrupted run left, in a sentence; `None` when there is nothing. Only reads."""
        return self._engine.unfinished

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
                return diagnose_files(self._database, self.unfinished, expected_dim)
            return diagnose_store(self._database, self.collections(), self.backups(), self.unfinished, expected_dim)

    def calibration_data(
        self,
        collection: str | Address,
        samples: int = 1000,
        *,
        texts: Texts = None,
        reads_texts: bool | None = None,
        seed: int = 0,
    ) -> CalibrationData:
        """Sample documents and their vectors to train on. Only reads. See `data_from_collection`."""
        with self._reading() as store:
            return data_from_collection(
                store.collection(address_of(collection)),
                samples,
                texts=texts,
                reads_texts=reads_texts,
                seed=seed,
                on_progress=self._on_progress,
            )

    def train(
        self,
        collection: str | Address,
        provider: Provider | object,
        previous: Provider | object | None = None,
        *,
        samples: int = 1000,
        source_model: Model | None = None,
        texts: Texts = None,
        seed: int = 0,
    ) -> Training:
        """Train and judge a projection on a collection's own documents. Calls the model; only reads the database.

        `train` of `lightmigrate` takes `calibration_data` and has more options.

        Args:
            collection: name or address of the collection.
            provider: the new model: a `Provider`, or an embedding function of any kind (`providers.functions`). Without
                a cache it gets the default one.
            previous: likewise the old model, where it is available: then doing nothing is measured, too.
            samples: documents to calibrate on.
            source_model: the model of the stored vectors; unnamed by default.
            texts: where the embedded texts come from (`TextSource`), or texts by id for records that store none; by
                default what the records tell.
            seed: of every random choice.

        Raises:
            LightmigrateError: as `data_from_collection` and `train`.
        """
        data = self.calibration_data(collection, samples, texts=texts, seed=seed)
        return train(
            data,
            cached(provider),
            None if previous is None else provider_of(previous),
            source_model=source_model,
            seed=seed,
            on_progress=self._on_progress,
        )

    def cost_quality_curve(
        self,
        collection: str | Address,
        provider: Provider | object,
        previous: Provider | object | None = None,
        *,
        samples: int | None = None,
        lengths: Sequence[int] | None = None,
        tokens: float | None = None,
        token_share: float | None = None,
        queries: Sequence[str] = (),
        texts: Texts = None,
        source_model: Model | None = None,
        seed: int = 0,
    ) -> CostQualityCurve:
        """Measure what each budget setting costs and keeps for a collection. Calls the model; only reads the database.

        See `read_curve_data` and `measure_curve` for the arguments and errors; `provider` without a cache gets the
        default one.
        """
        model, old_model = cached(provider), None if previous is None else provider_of(previous)
        with self._reading() as store:
            read = read_curve_data(
                with_texts(store.collection(address_of(collection)), texts, old_model),
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
            old_model,
            lengths=read.lengths,
            source_model=source_model,
            sampled=read.sampled,
            seed=seed,
            on_progress=self._on_progress,
        )

    def bridge(
        self,
        collection: str | Address,
        provider: Provider | object,
        *,
        samples: int = 1000,
        texts: Texts = None,
        source_model: Model | None = None,
        seed: int = 0,
    ) -> Projection:
        """Fit a projection from the new model's space to a collection's. Calls the model; only reads the database.

        See `fit_bridge` for the arguments and errors; `provider` without a cache gets the default one.
        """
        with self._reading() as store:
            return fit_bridge(
                store.collection(address_of(collection)),
                cached(provider),
                samples=samples,
                texts=texts,
                source_model=source_model,
                seed=seed,
                on_progress=self._on_progress,
            )

    def find_texts(self, collection: str | Address, model: Provider | object | None = None) -> FoundTexts:
        """Find where a collection's embedded texts come from: proposed from its records, and checked. Only reads.

        Args:
            collection: name or address of the collection.
            model: the model of the stored vectors, where it is at hand: then it embeds a few of each candidate.
        """
        with self._reading() as store:
            opened = store.collection(address_of(collection))
            return find_texts(opened, None if model is None else provider_of(model), beside_documents=True)

    def text_source(
        self, collection: str | Address, texts: Texts = None, model: Provider | object | None = None
    ) -> TextSource:
        """Where a collection's embedded texts come from: as given, or as found. Only reads. See `chosen_texts`."""
        with self._reading() as store:
            opened = store.collection(address_of(collection))
            return chosen_texts(opened, texts, None if model is None else provider_of(model))

    def plan(self, jobs: Sequence[CollectionJob]) -> Plan:
        """What `migrate` would do, with every check that needs no copy. Only reads.

        Raises:
            LightmigrateError: what `migrate` would raise before it begins.
        """
        with self._explaining():
            return self._engine.plan(self._requests(jobs))

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
            DatabaseError: nothing was migrated, or it was migrated without verification.
            DatabaseInUseError: another process has the folder open.
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
                    f"{self.path} holds no verified migration to compare with; run  lightmigrate migrate {self.path}"
                )
            with self._reading() as store:
                return [check_with_refinement(store, one, provenance, self._page_size) for one in record.collections]

    def backups(self) -> list[Backup]:
        """The backups of this database, oldest first. Only reads."""
        return self._engine.backups()

    def wait(self) -> None:
        """Wait until no other run works on the database; for a server, none on this machine. Only reads."""
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
            yield
        except DatabaseError as error:
            unfinished = self.unfinished
            if unfinished is None or type(error) is not DatabaseError:
                raise
            raise DatabaseError(f"{error}; {unfinished}") from None

    def _requests(self, jobs: Sequence[CollectionJob]) -> list[Request]:
        if not jobs:
            raise DatabaseError("no collection to migrate was named")
        if len({job.address for job in jobs}) < len(jobs):
            names = len({job.address for job in jobs})
            raise DatabaseError(f"{len(jobs)} jobs name {names} collections: name each once")
        return [
            Request(
                job.address,
                job.load(),
                self._engine.describe_model(job.embedding_function),
                job.file,
                job.embedding_function,
                job.texts,
            )
            for job in jobs
        ]


def address_of(collection: str | Address) -> Address:
    """The address of a collection that is named or already an address."""
    return collection if isinstance(collection, Address) else Address(collection)


def provider_of(function: Provider | object) -> Provider:
    """The provider of an embedding function of any kind (see `providers.functions`), or the provider itself.

    Raises:
        LightmigrateError: the object cannot embed texts.
    """
    return function if isinstance(function, Provider) else ChromaProvider(function)


def cached(function: Provider | object) -> Provider:
    """The provider with a cache: the default one unless it has one. See `provider_of`."""
    provider = provider_of(function)
    return provider if isinstance(provider, Cached) else Cached(provider)
