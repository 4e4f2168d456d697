"""A plan is carried out as it was made, or not at all: its file, what users asked, where it is carried out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import BudgetPlan, ChromaMigrator, Migrator
from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.cli.show.budget import beside_nothing
from lightmigrate.errors import FailedGateError, LightmigrateError, PlanOutdatedError
from lightmigrate.migration.aside import location
from lightmigrate.quality.gate import Thresholds
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.refinement.provenance import Provenance
from tests.budget.collections import CORPUS, NOTES, Counting, build, cached, curve, migrated, texts, with_plan

QUERIES = list(CORPUS.queries[:40])
FEW = 90


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database, a plan for it that was made with queries, and a cache; only to be copied from."""
    place = tmp_path_factory.mktemp("plans")
    drawn = curve(build(place / "db", texts(FEW)), cached(place), queries=QUERIES)
    option = drawn.option(BudgetSetting(reads_texts=True, extract_words=0, documents=drawn.calibration))
    BudgetPlan.of(NOTES, drawn, option, queries_file=place / "queries.jsonl").save(place / "plan.json")
    return place


def test_a_plan_made_with_queries_is_judged_by_them_and_pays_nothing_again(saved: Path, tmp_path: Path) -> None:
    plan, model = BudgetPlan.load(saved / "plan.json"), Counting()
    provider, folder = cached(saved, model), build(tmp_path / "db", texts(FEW))
    assert plan.query_set.queries == len(QUERIES)
    assert not any(query in (saved / "plan.json").read_text() for query in QUERIES)
    with pytest.raises(PlanOutdatedError, match=r"made with 40 queries of users, and there are 0 now.*--queries FILE"):
        Migrator(folder).migrate_by_plan(plan, provider, force=True)
    with pytest.raises(PlanOutdatedError, match="and there are other ones"):
        Migrator(folder).migrate_by_plan(plan, provider, queries=QUERIES[::-1], force=True)
    Migrator(folder).migrate_by_plan(plan, provider, queries=QUERIES, force=True)
    assert model.asked == []
    assert Migrator(folder).status()[0].records == FEW


def test_a_plan_that_surely_keeps_less_than_doing_nothing_is_refused_before_anything_is_paid(
    saved: Path, tmp_path: Path
) -> None:
    made, model, folder = BudgetPlan.load(saved / "plan.json"), Counting(), build(tmp_path / "db", texts(FEW))
    assert made.expected_nothing is not None, "a curve has the stored vectors, by which it is estimated"
    below = replace(made, expected=QualityEstimate(0.72, 0.5, 0.8), expected_nothing=QualityEstimate(0.81, 0.4, 1.2))
    worse = BudgetPlan.load(below.save(tmp_path / "plan.json"))
    with pytest.raises(
        FailedGateError, match=r"0\.80 at most is expected of the plan and 0\.81 of doing nothing.*--force"
    ):
        Migrator(folder).migrate_by_plan(worse, cached(tmp_path, model), queries=QUERIES)
    assert model.asked == []
    assert "less (at most 0.80) than is expected of doing nothing (0.81)" in beside_nothing(worse)
    unsure = replace(worse, expected=QualityEstimate(0.72, 0.5, 0.9))
    assert not unsure.is_below_nothing, "what is estimated of doing nothing is not sure enough to refuse a chosen plan"
    assert "no more is expected of this (0.72) than of doing nothing (0.81)" in beside_nothing(unsure)
    more = beside_nothing(replace(worse, expected_nothing=QualityEstimate(0.71, 0.3, 1.1)))
    assert "better for this budget: [bold]project[/]: more is expected of this (0.72) than of doing" in more
    assert "not certain" in more
    assert "not certain" not in beside_nothing(replace(worse, expected_nothing=QualityEstimate(0.2, 0.0, 0.4)))
    assert not beside_nothing(replace(worse, expected_nothing=None)), "as in earlier plans"
    everything = replace(worse, setting=replace(worse.setting, documents=FEW))
    assert worse.is_below_nothing
    assert not everything.is_below_nothing, "the new model itself is what was asked for"


def test_a_plan_that_keeps_little_is_worth_it_where_doing_nothing_keeps_less(saved: Path, tmp_path: Path) -> None:
    made, model, folder = BudgetPlan.load(saved / "plan.json"), Counting(), build(tmp_path / "db", texts(FEW))
    little = replace(made, expected=QualityEstimate(0.45, 0.2, 0.7), expected_nothing=QualityEstimate(0.5, 0.1, 0.9))
    assert "migrate takes it only with --force" in beside_nothing(little)
    with pytest.raises(
        FailedGateError, match=r"keep 0\.45 of .*, and doing nothing 0\.50; below 0\.60 it is not worth it"
    ):
        Migrator(folder).migrate_by_plan(little, cached(tmp_path, model), queries=QUERIES)
    assert model.asked == [], "refused before anything is paid"
    unknown = replace(little, expected_nothing=None)
    assert unknown.objection is not None
    worth = replace(little, expected_nothing=QualityEstimate(0.05, 0.0, 0.4))
    assert worth.objection is None
    assert "--force" not in beside_nothing(worth)


def test_a_gate_of_what_was_learned_refuses_no_plan_that_is_better_than_doing_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, provider, plan = with_plan(tmp_path)
    monkeypatch.setattr(Thresholds.__init__, "__defaults__", (1.0, 1.0))
    worth = replace(plan, expected_nothing=QualityEstimate(0.05, 0.0, 0.4))
    assert Migrator(folder).migrate_by_plan(worth, provider).n_migrated > 0
    provider.close()


def test_queries_that_the_plan_does_not_know_are_refused(tmp_path: Path) -> None:
    folder, provider, plan = with_plan(tmp_path)
    with pytest.raises(PlanOutdatedError, match="made with 0 queries of users, and there are 40 now"):
        Migrator(folder).migrate_by_plan(plan, provider, queries=QUERIES)


def _set(*path: str, to: Any) -> Callable[[dict[str, Any]], None]:
    def damage(said: dict[str, Any]) -> None:
        for name in path[:-1]:
            said = said[name]
        said[path[-1]] = to

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        _set("format", to=99),
        _set("tokens", to="many"),
        _set("tokens", to=-1),
        _set("tokens", to=1.5),
        _set("seed", to=True),
        _set("size", to=None),
        _set("size", "extract_tokens", "first", to={"eight": 1}),
        _set("size", "extract_tokens", to={"longest": {"8": 1}}),
        _set("setting", "extract_kind", to="longest"),
        _set("setting", to=["projection"]),
        _set("setting", "documents", to=-60),
        _set("setting", "more", to=1),
        _set("expected", "value", to=float("nan")),
        _set("expected", "wide_by", to="wide"),
        _set("expected", "wide_by", to={"why": "unknown"}),
        _set("collection_name", to=7),
        _set("provider", to="onnx"),
        dict.clear,
    ],
)
def test_a_plan_that_was_tampered_with_is_refused_in_one_line(
    damage: Callable[[dict[str, Any]], None], saved: Path, tmp_path: Path
) -> None:
    said = json.loads((saved / "plan.json").read_text())
    damage(said)
    (tmp_path / "plan.json").write_text(json.dumps(said))
    with pytest.raises(LightmigrateError, match=r"is not a plan of this lightmigrate .*lightmigrate plan"):
        BudgetPlan.load(tmp_path / "plan.json")


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b'{"format": 1}', b"\xff", b"[" * 100_000])
def test_what_is_no_plan_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(LightmigrateError, match=r"is not a plan of this lightmigrate .*lightmigrate plan"):
        BudgetPlan.load(tmp_path / "plan.json")


def test_a_plan_of_another_database_is_refused_with_both_numbers(saved: Path, tmp_path: Path) -> None:
    folder = build(tmp_path / "db", texts(30))
    plan = BudgetPlan.load(saved / "plan.json")
    with pytest.raises(PlanOutdatedError, match="90 records then, 30 now, 90 texts then, 30 now; plan again"):
        Migrator(folder).migrate_by_plan(plan, cached(saved), queries=QUERIES)
    assert not Provenance.file_in(folder).exists()


def test_what_is_known_of_the_rows_changes_places_inside_a_volume(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "is_mount_point", lambda folder: True)
    folder, provider = build(tmp_path / "db", texts(FEW)), cached(saved)
    plan = BudgetPlan.load(saved / "plan.json")
    Migrator(folder).migrate_by_plan(plan, provider, queries=QUERIES, force=True)
    assert Migrator(folder).status()[0].exact == 60
    assert Migrator(folder).refine("notes", provider, documents=3, refit=False).status.exact == 63
    ChromaMigrator(folder).rollback()
    with pytest.raises(LightmigrateError, match="nothing keeps which rows are exact"):
        Migrator(folder).status()
    ChromaMigrator(folder).rollback()
    assert Migrator(folder).status()[0].exact == 63


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.write_bytes(b"no database" * 1000), "is damaged"),
        (lambda file: _change(file, "UPDATE collections SET facts = '{'"), "is damaged"),
        (lambda file: _change(file, "UPDATE collections SET facts = '{}'"), "is damaged"),
        (
            lambda file: _change(file, "UPDATE collections SET facts = replace(facts, '\"path\"', '\"p\"')"),
            "is damaged",
        ),
        (lambda file: _change(file, "PRAGMA user_version = 9"), "is of format 9, this lightmigrate reads 3: upgrade"),
    ],
)
def test_a_file_of_provenance_that_cannot_be_read_says_so(
    damage: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    folder, provider = migrated(tmp_path)
    damage(Provenance.file_in(folder))
    for use in (lambda: Migrator(folder).status(), lambda: Migrator(folder).refine("notes", provider)):
        with pytest.raises(LightmigrateError, match=message):
            use()


@pytest.mark.parametrize(
    "change", ["DELETE FROM projections", "UPDATE projections SET file = x'00'", "UPDATE files SET content = x'00'"]
)
def test_a_projection_that_cannot_be_read_says_so(change: str, tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    _change(Provenance.file_in(folder), change)
    with pytest.raises(LightmigrateError, match="is damaged"):
        Migrator(folder).refine("notes", provider)


def _change(file: Path, statement: str) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute(statement)
    connection.close()
