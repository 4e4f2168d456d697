"""What a plan says before anything is copied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection, fit
from lightmigrate.errors import NothingToMigrateError
from lightmigrate.estimators.extracts import Extracts
from lightmigrate.files import tree_bytes
from lightmigrate.migration.duration import Work
from lightmigrate.migration.plan import check_job
from lightmigrate.progress import Progress
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.stores.base import Address, CollectionFacts
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.files import ChromaFiles
from lightmigrate.stores.chroma.folder import DATABASE_FILE
from lightmigrate.stores.files import IndexRoute
from tests.databases import folder_hash, make_projection, make_vectors


def test_it_says_what_would_happen_and_changes_nothing(database: Path, projection: Projection) -> None:
    before = folder_hash(database)
    plan = ChromaMigrator(database).plan([CollectionJob("thought_nodes", projection)])
    (planned,) = plan.collections
    assert (planned.name, planned.count, planned.current_dim, planned.target_dim) == ("thought_nodes", 60, 16, 24)
    assert (planned.source_model, planned.target_model) == ("old-model", "new-model")
    assert plan.untouched == ("empty", "notes", "other_model", "second_tenant/archive/thought_nodes")
    assert folder_hash(database) == before
    assert [path.name for path in database.parent.iterdir()] == [database.name]


def test_it_asks_for_at_least_the_room_that_is_taken(database: Path, projection: Projection) -> None:
    """Measured at every report of progress, while the copy, the old and the new collection all exist."""
    jobs = [CollectionJob(name, projection) for name in ("thought_nodes", "notes")]
    planned = ChromaMigrator(database).plan(jobs)
    peak = 0

    def measure(progress: Progress) -> None:
        nonlocal peak
        peak = max(peak, tree_bytes(database.parent) - tree_bytes(database))

    ChromaMigrator(database, on_progress=measure).migrate(jobs)
    assert 0 < peak <= planned.needed_bytes


@pytest.mark.parametrize("route", ["keep", "rebuild", "rewrite"])
def test_it_asks_for_long_texts_once_and_for_all_that_is_written(route: IndexRoute, tmp_path: Path) -> None:
    """Documents are not drafted: only the last route writes them again, into the copy. Ids are written often."""
    folder, projection = tmp_path / "home" / "db", make_projection()
    with open_client(folder) as client:
        collection = client.create_collection("notes", embedding_function=None)
        ids = [f"{'ä' * 60}{row}" for row in range(300)]
        collection.add(ids=ids, embeddings=make_vectors(300), documents=[f"{row} " * 2000 for row in range(300)])
    tables = (folder / DATABASE_FILE).stat().st_size
    needed = ChromaFiles(folder).room_needed({Address("notes"): projection.info.target.dimension})
    assert tables < needed < 1.5 * tables
    peak = 0

    def measure(progress: Progress) -> None:
        nonlocal peak
        peak = max(peak, tree_bytes(folder.parent) - 2 * own)

    own = tree_bytes(folder)
    result = ChromaMigrator(folder, on_progress=measure, page_size=50).migrate_collection(
        "notes", projection, index=route
    )
    assert result.index == route
    assert peak <= needed


def test_records_without_any_vector_cannot_be_projected(projection: Projection) -> None:
    facts = CollectionFacts("old", "default_tenant", "default_database", 12, None, "l2", None)
    with pytest.raises(NothingToMigrateError, match="collection old has 12 records but no vectors"):
        check_job(facts, projection)


def test_measured_quality_is_passed_on(database: Path, projection: Projection) -> None:
    known = projection.with_facts(quality={"retention": {"value": 0.9, "low": 0.8, "high": 0.95}})
    (planned,) = ChromaMigrator(database).plan([CollectionJob("notes", known)]).collections
    assert planned.quality["retention"]["value"] == 0.9


def test_it_tells_how_long_it_takes(database: Path, projection: Projection) -> None:
    """How well, `benchmarks/soak.py` says; here, that more to do takes longer, and that a server's is not known."""
    one = ChromaMigrator(database).plan([CollectionJob("notes", projection)])
    assert one.seconds_kept is not None
    assert one.seconds_rebuilt is not None
    assert 0 < one.seconds_kept < one.seconds_rebuilt
    small, large = (Work(10**6, [(count, 384, 768)]) for count in (1_000, 100_000))
    assert all(more > less for more, less in zip(large.terms()[2:], small.terms()[2:], strict=True))
    both = Work(10**6, [(1_000, 384, 768), (100_000, 384, 768)])
    assert both.index_terms() == [a + b for a, b in zip(small.index_terms(), large.index_terms(), strict=True)]
    with open_client(database) as client:
        assert ChromaMigrator(client).plan([CollectionJob("notes", projection)]).seconds_kept is None


def test_a_model_is_not_asked_to_find_out_how_long_it_takes(database: Path) -> None:
    """That would cost tokens."""
    X, Y = make_vectors(200, 16), make_vectors(200, 24, seed=1)
    texts = [f"the document of number {number}" for number in range(200)]

    def embed(texts: Any) -> Any:
        raise AssertionError("asked")

    known = Extracts(ExtractRule(3), make_vectors(200, 24, seed=2))
    made = fit(X, Y, texts, extracts=known, method="corrected_extract").reading_with(embed)
    (planned,) = ChromaMigrator(database).plan([CollectionJob("notes", made)]).collections
    assert planned.target_dim == 24
