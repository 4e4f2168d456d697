"""Migrations that record where each row's vector comes from, so that `status`, `verify` and `refine` know it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lightmigrate.budget.late_rows import LateRows, Recording, note_exact
from lightmigrate.engine import Engine
from lightmigrate.errors import AnotherRunError, RefusedError
from lightmigrate.migration.aside.compare import records_in_files
from lightmigrate.migration.collection_job import CollectionJob, EmbeddedTexts
from lightmigrate.migration.job import project
from lightmigrate.migration.options import MigrationOptions, Verify
from lightmigrate.migration.partly_exact import PartlyExact
from lightmigrate.migration.request import Request
from lightmigrate.migration.results import MigrationResult
from lightmigrate.progress import Report
from lightmigrate.projection.projection import Projection
from lightmigrate.refinement.lock import only_run
from lightmigrate.refinement.provenance import Provenance
from lightmigrate.refinement.recorded_model import noted_probe
from lightmigrate.stores.base import Store
from lightmigrate.texts.chosen import texts_for
from lightmigrate.texts.source import TextSource, form_to_json
from lightmigrate.training.collection_sample import PAGE_ROWS

# A background refinement of another process holds the database's lock for a batch of rows at a time.
SECONDS_OF_BACKGROUND = 10.0


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
        late = LateRows(draft)

        def requests(store: Store) -> Sequence[Request]:
            jobs = decide(store)
            plain = requests_of(jobs) if jobs else []
            if not any(job.embedded is not None for job in jobs):
                return plain
            try:
                held.enter_context(only_run(engine.place, SECONDS_OF_BACKGROUND))
            except AnotherRunError as error:
                raise RefusedError(str(error)) from None  # a start waits for migrations, not for hours of `refine`
            total = sum(
                store.collection(request.address).count()
                for job, request in zip(jobs, plain, strict=True)
                if job.embedded is not None
            )
            made, done = [], 0
            with Provenance(draft) as provenance, provenance.together():
                for job, request in zip(jobs, plain, strict=True):
                    made.append(_recorded(store, job, request, late))
                    for page in _pages(store, job, made[-1], provenance, options.verify):
                        report("embed", done := done + page, total)
            return made

        def beside(place: Path) -> None:
            if draft.exists():
                keep_beside(place, draft)
                late.kept_beside(place)

        results = engine.migrate(
            requests,
            options.auto_backup,
            options.verify,
            options.invalid_vectors,
            options.force,
            options.index,
            beside,
        )
        late.finish()
    return results


def _recorded(store: Store, job: CollectionJob, request: Request, late: LateRows) -> Request:
    """The request, with the exact rows of the job's embedded texts if it has any; late rows are recorded then."""
    embedded = job.embedded
    if embedded is None:
        return request
    stored = store.collection(request.address)
    source = job.texts if isinstance(job.texts, TextSource) else texts_for(request.projection, stored, job.texts)
    projection = PartlyExact.of(request.projection, embedded.digests, embedded.provider.embed_each)
    noting = late.noting(request.address, _recording(embedded, projection), source)
    return replace(request, projection=projection, texts=source, moved=noting)


def _recording(embedded: EmbeddedTexts, projection: Projection) -> Recording:
    return Recording(projection, embedded.extract_words, embedded.digests, embedded.fitted)


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
    facts = {**embedded.facts, **noted_probe(embedded.provider), "text_form": form_to_json(source.form)}
    provenance.start(recorded.address, facts, learned)
    stored = records_in_files(store, recorded.address, verify) or store.collection(recorded.address)
    recording = _recording(embedded, recorded.projection)
    for page in map(source.applied, stored.scan(PAGE_ROWS)):
        provenance.add(recorded.address, recording.rows(page, project(recorded.projection, page)))
        yield len(page)


def keep_beside(place: Path, draft: Path) -> None:
    """Put what was recorded into the provenance file of the new database."""
    with Provenance(draft) as drafted:
        addresses = drafted.addresses()
    with Provenance.of(place) as provenance:
        provenance.take_over(draft)
        note_exact(provenance, addresses)
