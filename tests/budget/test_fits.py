"""A plan, and the migration by it, fit nothing twice; what is handed on is what would be fitted again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import BudgetPlan
from lightmigrate.budget.carry_out import Sampling, carry_out
from lightmigrate.budget.curve import CostQualityCurve
from lightmigrate.budget.learned import Learned
from lightmigrate.budget.measuring_options import MeasuringOptions
from lightmigrate.budget.planned_job import planned_job
from lightmigrate.budget.settings import TEXTS, VECTORS_ONLY, BudgetSetting, TriedProjection
from lightmigrate.estimators import methods
from lightmigrate.estimators.methods import Fits, Fitted
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.cache import Cached
from lightmigrate.routes.compare import compare_routes
from lightmigrate.routes.follow import follow
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.stores.open import open_folder
from lightmigrate.texts.chosen import with_texts
from tests.budget.collections import NOTES, ROWS, build, cached, curve, texts

OLD = Model("potion-base-8M", 256)
SAMPLES = 80

Made = Counter[tuple[object, ...]]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """How often each method was fitted to each set of pairs, by all that it reads of them."""
    counted: Made = Counter()

    def counting(name: str, method: Callable[[Fits], Fitted]) -> Callable[[Fits], Fitted]:
        def fitted(fits: Fits) -> Fitted:
            pairs = fits.pairs
            key: tuple[object, ...] = name, pairs.source.tobytes(), pairs.target.tobytes(), pairs.landmarks
            if name in ("lexical", "averaged", "extract", "corrected_extract"):
                extracts = pairs.extracts
                others = None if extracts is None else extracts.others
                key += tuple(pairs.texts or ()), None if pairs.words is None else pairs.words.vectors.tobytes()
                key += (None if extracts is None else (str(extracts.rule), extracts.vectors.tobytes()),)
                key += (None if others is None else others.vectors.tobytes(),)
            counted[key] += 1
            return method(fits)

        return fitted

    table: Mapping[str, Callable[[Fits], Fitted]] = {
        name: counting(name, method) for name, method in methods.METHODS.items()
    }
    monkeypatch.setattr(methods, "METHODS", table)
    return counted


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    some = [text if row % 8 else None for row, text in enumerate(texts())]
    return build(tmp_path_factory.mktemp("fits") / "db", some)


def named(made: Made) -> Counter[object]:
    return Counter(key[0] for key in made.elements())


def read(store: Any) -> JoinedCollections:
    return JoinedCollections([with_texts(store.collection(NOTES), None)])


def content(projection: Projection, place: Path) -> bytes:
    return projection.save(place / "projection.npz").read_bytes()


def test_measuring_fits_nothing_twice(folder: Path, tmp_path: Path, made: Made) -> None:
    drawn = curve(folder, cached(tmp_path), samples=SAMPLES)
    assert {option.setting.extract_words for option in drawn.options} == {0, 12, 48}
    assert max(made.values()) == 1
    assert (named(made)["kernel"], named(made)["ridge"], named(made)["lexical"]) == (1, 1, 1)


@pytest.mark.parametrize("tried", [VECTORS_ONLY, TEXTS])
def test_a_migration_takes_the_projection_that_was_measured(
    tried: TriedProjection, folder: Path, tmp_path: Path, made: Made
) -> None:
    provider, setting = cached(tmp_path), tried.setting(SAMPLES)
    with open_folder(folder).open() as store:
        found = compare_routes(read(store), provider, options=MeasuringOptions(SAMPLES, (12,)), always=True)
        assert found.curve is not None
        made.clear()
        route = replace(found.routes[-1], kind="learned", setting=setting)
        follow(replace(found, chosen=route), read(store), provider, opened_by={}, source_model=OLD)
        handed_on = taken(found.curve, setting, store, provider, kept=True)
        assert not made
        again = taken(found.curve, setting, store, provider, kept=False)
        assert made
    assert content(handed_on.projection, tmp_path) == content(again.projection, tmp_path)
    assert (handed_on.expected, handed_on.gates) == (again.expected, again.gates)


def taken(drawn: CostQualityCurve, setting: BudgetSetting, store: Any, provider: Cached, kept: bool) -> Learned:
    return carry_out(
        read(store),
        provider,
        setting,
        drawn.size,
        Sampling(drawn.sampled, drawn.calibration, drawn.words),
        opened_by={},
        source_model=OLD,
        memory=drawn.memory if kept else None,
    )


def test_more_documents_are_another_fit(folder: Path, tmp_path: Path, made: Made) -> None:
    provider = cached(tmp_path)
    drawn = curve(folder, provider, samples=SAMPLES, lengths=(12,))
    made.clear()
    with open_folder(folder).open() as store:
        more = [taken(drawn, TEXTS.setting(SAMPLES + 20), store, provider, kept) for kept in (True, False)]
    assert len(set(made.values())) == 1
    assert max(made.values()) == 2, "nothing that was measured is of use"
    assert content(more[0].projection, tmp_path) == content(more[1].projection, tmp_path)
    assert more[0].projection.info.training["pairs"] == SAMPLES + 20


def test_a_plan_in_a_file_gives_the_same_projection(folder: Path, tmp_path: Path, made: Made) -> None:
    """It holds no fit: see `budget.carry_out`. The records without a text are projected by what is fitted once."""
    provider = cached(tmp_path)
    drawn = curve(folder, provider, samples=SAMPLES, lengths=(12,))
    setting = TEXTS.setting(SAMPLES)
    plan = BudgetPlan.of(NOTES, drawn, drawn.option(setting))
    plan = BudgetPlan.load(plan.save(tmp_path / "plan.json"))
    with open_folder(folder).open() as store:
        here = taken(drawn, setting, store, provider, kept=True)
        made.clear()
        (job,) = planned_job(plan, provider, source_model=OLD, force=True)(store)
    assert max(made.values()) == 1
    assert named(made)["kernel"] == 1
    assert isinstance(job.projection, Projection)
    rows = store_rows(folder)
    assert job.projection.apply(*rows).tobytes() == here.projection.apply(*rows).tobytes()


def store_rows(folder: Path) -> tuple[Any, list[str | None]]:
    with open_folder(folder).open() as store:
        page = with_texts(store.collection(NOTES), None).sample(ROWS)
    return page.vectors, list(page.texts)
