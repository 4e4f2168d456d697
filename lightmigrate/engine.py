"""The two ways to migrate a database: a copy built aside for one that is files, a shadow collection for an open one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from lightmigrate.errors import DatabaseError
from lightmigrate.migration.aside.migration import AsideMigration
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.migration.embed_again import EmbedAgain
from lightmigrate.migration.request import Request
from lightmigrate.migration.shadow.late_writes import OnCarried
from lightmigrate.migration.shadow.migration import ShadowMigration
from lightmigrate.progress import OnProgress
from lightmigrate.stores.files import FileDatabase
from lightmigrate.stores.open import Database

Engine: TypeAlias = AsideMigration | ShadowMigration


def engine_for(database: Database, page_size: int, on_progress: OnProgress, on_carried: OnCarried) -> Engine:
    """The way to migrate a database. Only reads. See `LateWrites` for `on_carried`."""
    if isinstance(database, FileDatabase):
        return AsideMigration(database, page_size, on_progress)
    return ShadowMigration(database, page_size, on_progress, on_carried)


def requests_of(jobs: Sequence[CollectionJob], engine: Engine) -> list[Request]:
    """The jobs as an engine takes them, their projections loaded. Only reads.

    Raises:
        DatabaseError: there are no jobs, or two for one collection.
        LightmigrateError: a projection cannot be loaded.
    """
    if not jobs:
        raise DatabaseError("no collection to migrate was named")
    needed = any(job.needs_dimension or isinstance(job.collection_name, str) for job in jobs)
    catalog = engine.catalog() if needed else []
    jobs = [job.named_in(catalog) for job in jobs]
    if len({job.address for job in jobs}) < len(jobs):
        names = len({job.address for job in jobs})
        raise DatabaseError(f"{len(jobs)} jobs name {names} collections: name each once")
    dimensions = {facts.address: facts.dimension or 0 for facts in catalog}
    return [
        Request(
            job.address,
            job.load(dimensions.get(job.address, 0)),
            engine.describe_model(job.embedding_function),
            job.file,
            job.embedding_function,
            job.texts,
            isinstance(job.projection, EmbedAgain),
            job.distance,
            soon_exact=job.soon_exact,
        )
        for job in jobs
    ]
