"""Migrations that record where each row's vector comes from, so that `status`, `verify` and `refine` know it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lightmigrate.engine import Engine
from lightmigrate.errors import AnotherRunError, RefusedError
from lightmigrate.migration.aside.compare import records_in_files
from lightmigrate.migration.aside.migration import AsideMigration
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.migration.job import project
from lightmigrate.migration.options import MigrationOptions, Verify
from lightmigrate.migration.partly_exact import PartlyExact
from lightmigrate.migration.request import Request
from lightmigrate.migration.results import MigrationResult
from lightmigrate.progress import Report
from lightmigrate.projection.projection import Projection
from lightmigrate.refinement.checks import EXACT_WHEN_MIGRATED
from lightmigrate.refinement.lock import only_run
from lightmigrate.refinement.provenance import Provenance, Row, VectorOrigin
from lightmigrate.refinement.vector_fingerprint import fingerprints_of
from lightmigrate.stores.base import Address, Collection, Page, Role, Store
from lightmigrate.texts.chosen import texts_for
from lightmigrate.texts.collection import WithTexts
from lightmigrate.texts.source import STORED, TextSource, form_to_json
from lightmigrate.training.collection_sample import PAGE_ROWS
from lightmigrate.training.text_digest import text_digest

# A background refinement of another process holds the database's lock for a batch of rows at a time.
SECONDS_OF_BACKGROUND = 10.0


@dataclass(frozen=True)
class Recorded:
    """A collection whose rows are recorded.

    Attributes:
        address: the collection.
        projection: that the migration applies.
        extract_words: length of the extracts that it embeds; 0 for none.
        texts: where its texts come from.
    """

    address: Address
    projection: Projection
    extract_words: int
    texts: TextSource


def migrate_recorded(
    engine: Engine,
    decide: Callable[[Store], Sequence[CollectionJob]],
    requests_of: Callable[[Sequence[CollectionJob]], Sequence[Request]],
    options: MigrationOptions,
    report: Report,
) -> list[MigrationResult]:
    """Migrate collections, and record the rows of those for which the new model embedded texts. Writes.

    Args:
        engine: of the database.
        decide: gives the jobs, from the open database (or an open copy), which it only reads.
        requests_of: the requests of some jobs, in the same order.
        options: how to migrate.
        report: receives the progress of recording.

    Raises:
        AnotherRunError: another migration is working on the database.
        RefusedError: `refine` is working on it.
        LightmigrateError: as `Migrator.migrate`; the database is unchanged.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as held:
        draft = Path(folder) / "provenance.sqlite3"
        recorded: list[Recorded] = []
        stores: list[Store] = []

        def requests(store: Store) -> Sequence[Request]:
            jobs = decide(store)
            plain = requests_of(jobs) if jobs else []
            if not any(job.embedded is not None for job in jobs):
                return plain
            stores.append(store)
            try:
                held.enter_context(only_run(engine.place, SECONDS_OF_BACKGROUND))
            except AnotherRunError as error:
                raise RefusedError(str(error)) from None  # a start waits for migrations, not for hours of `refine`
            total = sum(store.collection(job.address).count() for job in jobs if job.embedded is not None)
            made, done = [], 0
            with Provenance(draft) as provenance, provenance.together():
                for job, request in zip(jobs, plain, strict=True):
                    made.append(_recorded(store, job, request))
                    for page in _pages(store, job, made[-1], provenance, options.verify):
                        report("embed", done := done + page, total)
            recorded.extend(
                Recorded(
                    job.address,
                    request.projection,
                    job.embedded.extract_words,
                    request.texts if isinstance(request.texts, TextSource) else STORED,
                )
                for job, request in zip(jobs, made, strict=True)
                if job.embedded is not None
            )
            return made

        def beside(place: Path) -> None:
            if recorded:
                keep_beside(place, draft)

        results = engine.migrate(
            requests,
            options.auto_backup,
            options.verify,
            options.invalid_vectors,
            options.force,
            options.index,
            beside,
        )
        if recorded and not isinstance(engine, AsideMigration) and options.auto_backup:
            add_late_rows(engine.place, stores[0], recorded)
    return results


def _recorded(store: Store, job: CollectionJob, request: Request) -> Request:
    """The request, with the exact rows of the job's embedded texts if it has any."""
    embedded = job.embedded
    if embedded is None:
        return request
    stored = store.collection(job.address)
    source = job.texts if isinstance(job.texts, TextSource) else texts_for(request.projection, stored, job.texts)
    projection = PartlyExact.of(request.projection, embedded.digests, embedded.provider.embed_each)
    return replace(request, projection=projection, texts=source)


def _pages(
    store: Store, job: CollectionJob, recorded: Request, provenance: Provenance, verify: Verify
) -> Iterator[int]:
    """Record the rows of a job page by page; yields the number of records of each.

    Embeds what the projection needs, extracts among them, so that the cache holds it when the rows are written.
    """
    embedded, source = job.embedded, recorded.texts
    if embedded is None or not isinstance(source, TextSource):
        return
    learned = job.load()
    provenance.start(job.address, {**embedded.facts, "text_form": form_to_json(source.form)}, learned)
    stored = records_in_files(store, job.address, verify) or store.collection(job.address)
    for page in map(source.applied, stored.scan(PAGE_ROWS)):
        rows = rows_of(page, recorded.projection, embedded.extract_words, embedded.digests, embedded.fitted)
        provenance.add(job.address, rows)
        yield len(page)


def rows_of(
    page: Page, projection: Projection, extract_words: int, exact: AbstractSet[bytes], fitted: AbstractSet[bytes]
) -> list[Row]:
    """The provenance of the rows of a page. Calls the model through the projection, and so pays for what it embeds.

    Args:
        page: of the collection before the migration, with its old vectors.
        projection: of the migration.
        extract_words: length of the extracts it embeds; 0 for none.
        exact: digests of the texts that the new model embeds whole.
        fitted: digests of the texts that the projection was fitted to.
    """
    rows = []
    fingerprints = fingerprints_of(project(projection, page))
    refused = {digest for step in projection.steps if isinstance(step, PartlyExact) for digest in step.refused}
    for row_id, vector, text, fingerprint in zip(page.ids, page.vectors, page.texts, fingerprints, strict=True):
        digest = text_digest(text) if text else b""
        has_extract = extract_words and text and text.strip()
        origin = VectorOrigin.EXTRACT if has_extract else VectorOrigin.PROJECTED
        origin = VectorOrigin.EXACT if digest in exact and digest not in refused else origin
        rows.append(Row(row_id, origin, np.asarray(vector), fingerprint, digest in fitted))
    return rows


def keep_beside(place: Path, draft: Path) -> None:
    """Put what was recorded into the provenance file of the new database."""
    with Provenance(draft) as drafted:
        exact = {address: drafted.counts(address)[VectorOrigin.EXACT] for address in drafted.addresses()}
    with Provenance.of(place) as provenance:
        provenance.take_over(draft)
        with provenance.together():
            for address, rows in exact.items():
                provenance.note(address, {EXACT_WHEN_MIGRATED: rows})


def add_late_rows(place: Path, store: Store, recorded: Sequence[Recorded]) -> None:
    """Record the rows that were written to the old collections while the new ones were built: they were projected.

    Args:
        place: of the provenance file.
        store: the open database; the old collections are its newest backups.
        recorded: the migrated collections.
    """
    backups = {version.own: version.address for version in store.versions() if version.role is Role.BACKUP}
    with Provenance.of(place) as provenance:
        for migrated in recorded:
            if migrated.address not in backups:
                continue
            old: Collection = store.collection(backups[migrated.address])
            for page in WithTexts(old, migrated.texts).scan(PAGE_ROWS):
                known = provenance.rows_by_id(migrated.address, page.ids)
                late = page.rows([row for row, record in enumerate(page.ids) if record not in known])
                if len(late):
                    rows = rows_of(late, migrated.projection, migrated.extract_words, frozenset(), frozenset())
                    provenance.add(migrated.address, rows)
