"""Plan, migrate, serve, refine with a kill in the middle, until the collection is a re-embedded one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import BudgetPlan, ChromaMigrator, Migrator
from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.errors import (
    LightmigrateError,
    ModelMismatchError,
    PlanOutdatedError,
    ProviderError,
    RefusedError,
    WrittenSinceError,
)
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.metrics import search
from lightmigrate.refinement.provenance import Provenance, VectorOrigin
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.training.request import tokens_of
from tests.budget.collections import (
    CORPUS,
    NEW,
    NOTES,
    ROWS,
    Counting,
    add_records,
    build,
    cached,
    curve,
    migrated,
    planned,
    require_reembedded,
    texts,
    vectors_in,
    with_plan,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return build(tmp_path / "home" / "db")


@pytest.fixture
def provider(tmp_path: Path) -> Cached:
    return cached(tmp_path)


def embedded(rows: int = ROWS) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """What embedding everything gives."""
    return {f"n{row}": vector for row, vector in enumerate(np.asarray(NEW.embed(texts(rows)), dtype=np.float32))}


def exact_rows(folder: Path) -> set[str]:
    """The rows that hold what the new model says."""
    true = embedded()
    return {one for one, vector in vectors_in(folder).items() if np.allclose(vector, true[one], atol=1e-6)}


def test_from_a_plan_to_a_collection_that_is_exact(folder: Path, tmp_path: Path) -> None:
    asked = Counting()
    provider, old = cached(tmp_path, asked), vectors_in(folder)
    plan = planned(folder, provider)
    result = Migrator(folder).migrate_by_plan(plan, provider, force=True)
    assert (result.n_migrated, result.previous_dim, result.current_dim) == (ROWS, 256, 128)
    (checked,) = ChromaMigrator(folder).verify()
    assert checked.contents_equal
    assert checked.vectors_equal
    (after,) = Migrator(folder).status()
    assert 60 <= after.exact < ROWS  # the calibration documents, at least
    assert after.exact == len(exact_rows(folder))

    # it serves: the new model's queries find what they should
    with open_client(folder) as client:
        found = client.get_collection("notes", embedding_function=None).query(
            query_embeddings=NEW.embed([texts()[0]]), n_results=3
        )
    assert "n0" in found["ids"][0]

    qualities = [after.expected.value]
    first = Migrator(folder).refine("notes", provider, documents=70)
    assert first.embedded == 70
    assert first.status.exact == after.exact + 70
    qualities.append(first.status.expected.value)

    asked.fail_after = len(asked.asked) + 64  # the model dies in the second batch
    with pytest.raises(ProviderError, match="killed"):
        Migrator(folder).refine("notes", provider)
    asked.fail_after = None
    (between,) = Migrator(folder).status()
    assert between.exact == len(exact_rows(folder)) == first.status.exact + 64
    qualities.append(between.expected.value)

    last = Migrator(folder).refine("notes", provider)
    qualities.append(last.status.expected.value)
    assert (last.status.share_exact, last.status.expected.value) == (1.0, 1.0)
    assert qualities == sorted(qualities)
    with open_client(folder) as client:
        require_reembedded(client)
    assert len(asked.requests) == len(set(asked.requests))  # nothing was paid for twice

    assert Migrator(folder).refine("notes", provider).embedded == 0
    rolled = ChromaMigrator(folder).rollback()
    assert rolled.restored == result.backup_path.name if result.backup_path else False
    assert rolled.written == (), "nothing but what `refine` wrote"
    again = vectors_in(folder)
    assert all(np.array_equal(old[one], again[one]) for one in old)

    # to the refined database again, where an application writes; that alone is carried over
    ChromaMigrator(folder).rollback()
    with open_client(folder) as client:
        client.get_collection("notes", embedding_function=None).update(
            ids=["n7"], documents=["another text"], embeddings=NEW.embed(["another text"])
        )
    with pytest.raises(WrittenSinceError, match="0 records were added, 1 changed, 0 deleted"):
        ChromaMigrator(folder).rollback()
    carried = ChromaMigrator(folder).rollback(written="carry")
    assert [(changes.added, changes.changed, changes.deleted) for changes in carried.written] == [(0, 1, 0)]
    again = vectors_in(folder)
    assert [one for one in old if not np.array_equal(old[one], again[one])] == ["n7"]


def test_a_collection_that_changed_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder, provider, plan = with_plan(tmp_path)
    with open_client(folder) as client:
        client.get_collection("notes", embedding_function=None).update(
            ids=["n7"], documents=["something else"], embeddings=CORPUS.old_documents[7:8]
        )
    before = vectors_in(folder)
    with pytest.raises(PlanOutdatedError, match="400 records then, 400 now; plan again"):
        Migrator(folder).migrate_by_plan(plan, provider)
    after = vectors_in(folder)
    assert all(np.array_equal(before[one], after[one]) for one in before)


def test_another_model_than_the_plans_is_refused(tmp_path: Path) -> None:
    from tests.encoders import shared_minilm

    folder, provider, plan = with_plan(tmp_path)
    other = Cached(shared_minilm(), tmp_path / "other.sqlite3")
    with pytest.raises(ModelMismatchError, match="plan again"):
        Migrator(folder).migrate_by_plan(plan, other)
    Migrator(folder).migrate_by_plan(plan, provider, force=True)
    with pytest.raises(ModelMismatchError, match="was migrated to wordllama-128"):
        Migrator(folder).refine("notes", other)


def test_an_interrupted_payment_is_not_paid_twice(tmp_path: Path) -> None:
    asked = Counting()
    folder, provider, plan = with_plan(tmp_path, asked)
    asked.fail_after = len(asked.asked) + 40
    with pytest.raises(LightmigrateError):
        Migrator(folder).migrate_by_plan(plan, provider, force=True)
    assert {len(vector) for vector in vectors_in(folder).values()} == {256}
    asked.fail_after = None
    Migrator(folder).migrate_by_plan(plan, provider, force=True)
    assert len(asked.requests) == len(set(asked.requests))


def test_what_the_application_writes_is_exact_and_left_alone(tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    with Provenance.of(folder) as provenance:
        projected = list(provenance.ids(NOTES, VectorOrigin.PROJECTED, VectorOrigin.EXTRACT))
    changed, deleted = projected[0], projected[1]
    own = np.ones(128, dtype=np.float32) / np.sqrt(128)
    with open_client(folder) as client:
        collection = client.get_collection("notes", embedding_function=None)
        collection.update(ids=[changed], documents=["new text"], embeddings=[own])
        collection.delete(ids=[deleted])
        collection.add(ids=["added"], documents=["more"], embeddings=[own])
    done = Migrator(folder).refine("notes", provider)
    held = vectors_in(folder)
    np.testing.assert_allclose(held[changed], own, atol=1e-6)
    np.testing.assert_allclose(held["added"], own, atol=1e-6)
    assert done.written_by_application == 1
    assert (done.status.records, done.status.share_exact) == (ROWS, 1.0)


def test_limits_are_kept(tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    assert 0 < Migrator(folder).refine("notes", provider, seconds=0, refit=False).embedded <= 64
    some = Migrator(folder).refine("notes", provider, tokens=2000, refit=False)
    assert 0 < some.tokens <= 2000
    assert Migrator(folder).refine("notes", provider, stop=lambda: True).embedded == 0


def test_queries_that_put_rows_in_order_count_as_well(tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    queries = [texts()[250], texts()[251]]
    asking = tokens_of(provider, queries)
    with pytest.raises(RefusedError, match=rf"^10 tokens are allowed, embedding the queries alone takes {asking}: "):
        Migrator(folder).refine("notes", provider, tokens=10, order="retrieved", queries=queries)
    done = Migrator(folder).refine("notes", provider, tokens=asking + 1000, order="retrieved", queries=queries)
    assert asking < done.tokens <= asking + 1000


@pytest.mark.parametrize("order", ["newest", "retrieved", "uncertain"])
def test_orders_choose_different_rows(order: Any, tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    before = exact_rows(folder)
    queries = [texts()[250], texts()[251]] if order == "retrieved" else []
    done = Migrator(folder).refine("notes", provider, documents=20, order=order, queries=queries)
    assert done.reprojected == 0  # what is chosen for what it is teaches no map
    chosen = exact_rows(folder) - before
    assert len(chosen) == 20
    if order == "newest":
        rest = {f"n{row}" for row in range(ROWS)} - before
        assert chosen == set(sorted(rest, key=lambda one: -int(one[1:]))[:20])
    if order == "retrieved":
        with open_client(folder) as client:
            found = client.get_collection("notes", embedding_function=None).query(
                query_embeddings=NEW.embed(queries), n_results=5
            )["ids"]
        assert {one for ids in found for one in ids} <= before | chosen


def test_a_better_projection_is_fitted_and_applied(folder: Path, provider: Cached) -> None:
    """Without extracts: with them sixty documents are as good as two hundred."""
    drawn = curve(folder, provider, lengths=(12,))
    option = drawn.option(BudgetSetting(reads_texts=True, extract_words=0, documents=drawn.calibration))
    Migrator(folder).migrate_by_plan(BudgetPlan.of(NOTES, drawn, option), provider, force=True)
    before = vectors_in(folder)
    done = Migrator(folder).refine("notes", provider, documents=110)
    assert done.reprojected == done.status.extract + done.status.projected > 0
    true, after = embedded(), vectors_in(folder)
    with Provenance.of(folder) as provenance:
        projected = list(provenance.ids(NOTES, VectorOrigin.PROJECTED, VectorOrigin.EXTRACT))
        assert len(provenance.projections(NOTES)) == 1
    exact = np.stack([true[row] for row in projected])
    nearest = search(exact, exact, 10)
    found = [search(exact, np.stack([held[row] for row in projected]), 10) for held in (before, after)]
    shared = [np.mean([np.isin(a, b) for a, b in zip(nearest, rows, strict=True)]) for rows in found]
    assert shared[1] > shared[0]


def test_a_reprojection_that_was_interrupted_is_ended(tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    before = vectors_in(folder)
    with Provenance.of(folder) as provenance:
        provenance.add_projection(
            NOTES, provenance.projections(NOTES)[0], []
        )  # noted, and killed before a row was written
    done = Migrator(folder).refine("notes", provider, documents=1, refit=False)
    assert (done.embedded, done.written_by_application) == (1, 0)
    with Provenance.of(folder) as provenance:
        assert len(provenance.projections(NOTES)) == 1
    changed = [one for one, vector in vectors_in(folder).items() if not np.allclose(vector, before[one], atol=2e-3)]
    assert len(changed) == 1


def test_short_texts_are_exact_when_their_extract_was_embedded(tmp_path: Path, provider: Cached) -> None:
    said = [" ".join(text.split()[: 4 if row % 2 else 60]) + f" {row}" for row, text in enumerate(texts())]
    folder = build(tmp_path / "short", said)
    drawn = curve(folder, provider)
    kind = max(drawn.extract_kinds, key=drawn.extract_kinds.__getitem__)
    setting = BudgetSetting(reads_texts=True, extract_words=12, documents=drawn.calibration, extract_kind=kind)
    plan = BudgetPlan.of(NOTES, drawn, drawn.option(setting))
    Migrator(folder).migrate_by_plan(plan, provider, force=True)
    true = np.asarray(NEW.embed(said), dtype=np.float32)
    held = vectors_in(folder)
    for row in range(1, ROWS, 2):
        np.testing.assert_allclose(held[f"n{row}"], true[row], atol=1e-6)


def test_rows_without_a_text_stay_projected(tmp_path: Path, provider: Cached) -> None:
    said: list[str | None] = [text if row % 10 else None for row, text in enumerate(texts())]
    with open_client(tmp_path / "db") as client:
        collection = client.create_collection("notes", embedding_function=None)
        add_records(collection, said)
    plan = planned(tmp_path / "db", provider)
    Migrator(tmp_path / "db").migrate_by_plan(plan, provider, force=True)
    done = Migrator(tmp_path / "db").refine("notes", provider)
    assert (done.status.exact, done.status.projected) == (ROWS - ROWS // 10, ROWS // 10)


def test_status_reads_a_folder_that_is_in_use_and_says_what_is_missing(folder: Path, tmp_path: Path) -> None:
    spaced = folder.rename(folder.with_name("a database"))
    with pytest.raises(LightmigrateError, match="nothing keeps which rows are exact") as refused:
        Migrator(spaced).status()
    _, command = str(refused.value).split("a plan does:  ")
    assert shlex.split(command) == ["lightmigrate", "plan", str(spaced), "--target-model", "MODEL"]
    folder, _ = migrated(tmp_path)
    with open_client(folder) as client:
        client.get_collection("notes", embedding_function=None)
        (found,) = Migrator(folder).status()
    assert found.records == ROWS


def test_an_open_client_is_migrated_and_refined_in_place(folder: Path, provider: Cached) -> None:
    with open_client(folder) as client:
        drawn = curve(client, provider, token_share=0.55)
        plan = BudgetPlan.of(NOTES, drawn, drawn.within(0.55 * drawn.size.tokens))
        Migrator(client).migrate_by_plan(plan, provider, force=True)
        done = Migrator(client).refine("notes", provider)
        (found,) = Migrator(client).status()
        held = client.get_collection("notes", embedding_function=None).get(include=["embeddings", "documents"])
    assert done.status == found
    assert found.share_exact == 1.0
    np.testing.assert_allclose(held["embeddings"], NEW.embed(list(held["documents"] or [])), atol=1e-6)
