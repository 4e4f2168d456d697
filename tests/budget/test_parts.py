"""One part of a table that holds several collections: what is planned for it is done to it, and to nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightmigrate import BudgetPlan, Migrator, auto_migrate
from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.memory import MemoryDatabase, MemoryStore
from tests.budget.collections import CORPUS, NEW, cached, texts

ROWS = 200
OURS, THEIRS = (Address("docs", vector="body", part=part) for part in ("ours", "theirs"))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    database = MemoryDatabase()
    for address in (Address("docs"), OURS, THEIRS):
        database.create_collection(address, CORPUS.old_documents.shape[1], "cosine")
        ids, vectors = [f"n{row}" for row in range(ROWS)], CORPUS.old_documents[:ROWS]
        MemoryStore(database).collection(address).add(Page(ids, vectors, texts(ROWS), [None] * ROWS))
    return MemoryStore(database)


def require_others_untouched(store: MemoryStore) -> None:
    for address in (Address("docs"), THEIRS):
        kept = Page.joined(list(store.collection(address).scan(ROWS)))
        assert kept.vectors.tobytes() == CORPUS.old_documents[:ROWS].tobytes()


def test_a_plan_is_carried_out_on_the_part_it_was_made_for(store: MemoryStore, tmp_path: Path) -> None:
    provider = cached(tmp_path)
    drawn = Migrator(store).cost_quality_curve(OURS, provider, samples=60, lengths=(12,))
    plan = BudgetPlan.of(OURS, drawn, next(option for option in drawn.options if option.setting.extract_words))
    plan = BudgetPlan.load(plan.save(tmp_path / "plan.json"))
    assert plan.address == OURS

    assert Migrator(store).migrate_by_plan(plan, provider, force=True).address == OURS
    (status,) = Migrator(store).status()
    assert status.address == OURS
    refined = Migrator(store).refine(OURS, provider)
    assert (refined.status.address, refined.status.share_exact) == (OURS, 1.0)
    require_others_untouched(store)


def test_a_dimension_mismatch_names_the_part(store: MemoryStore) -> None:
    found = Migrator(store).check_dimensions(128)
    assert {mismatch.address for mismatch in found} == {Address("docs"), OURS, THEIRS}


@pytest.mark.parametrize("pattern", ["docs.body[ours]", "*[ours]"])
def test_a_server_start_migrates_the_part_that_the_policy_names(store: MemoryStore, pattern: str) -> None:
    report = auto_migrate(store, NEW, collections=(pattern,), calibrate=100, min_quality=0.0, on_failure="raise")
    assert [(one.finding.address, one.action) for one in report.collections] == [(OURS, "migrated")]
    require_others_untouched(store)


def test_verify_after_refine_counts_the_rows_of_the_part(store: MemoryStore, tmp_path: Path) -> None:
    provider = cached(tmp_path)
    drawn = Migrator(store).cost_quality_curve(OURS, provider, samples=60, lengths=(12,))
    plan = BudgetPlan.of(OURS, drawn, drawn.option(BudgetSetting(True, 0, drawn.calibration)))
    Migrator(store).migrate_by_plan(plan, provider, force=True)
    Migrator(store).refine(OURS, provider)
    (check,) = Migrator(store).verify()
    assert (check.collection_name, check.unchanged, check.refined > 0) == (str(OURS), True, True)
