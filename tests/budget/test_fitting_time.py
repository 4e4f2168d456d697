"""What a fit to more documents will take is foreseen by measurements, and is part of what a plan says."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lightmigrate.budget.curve import CostQualityCurve
from lightmigrate.budget.fitting_time import (
    DIMENSION,
    MACHINE_SECONDS,
    SECONDS,
    STANDARD,
    TIMES,
    Learned,
    foreseen,
    growth,
    usual,
)
from lightmigrate.budget.quality_estimator import QualityEstimator
from lightmigrate.budget.settings import TEXTS, VECTORS_ONLY
from lightmigrate.estimators.choose import FEWEST_PAIRS
from lightmigrate.routes.compare import compare_routes
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.stores.open import open_folder
from lightmigrate.texts.chosen import with_texts
from tests.budget.collections import NOTES, build, cached, curve

MEASURED = json.loads((Path(__file__).parents[2] / "benchmarks" / "results" / "fit_seconds.json").read_text())
KINDS: Mapping[Learned, str] = {"vectors": "auto, no text", "texts": "auto", "extracts": "auto, extracts"}


@pytest.mark.parametrize("learned", KINDS)
def test_the_table_is_what_was_measured(learned: Learned) -> None:
    rows = [row for row in MEASURED["rows"] if row["kind"] == KINDS[learned]]
    standard = {row["dimension"]: row["seconds"] for row in rows if row["pairs"] == STANDARD}
    if learned != "extracts":
        assert SECONDS[learned] == pytest.approx(statistics.median(standard.values()), rel=0.02)
    ratios: dict[int, list[float]] = {}
    for row in rows:
        if row["pairs"] < FEWEST_PAIRS:  # of which a ridge is fitted, and nothing chosen
            continue
        ratios.setdefault(row["pairs"], []).append(row["seconds"] / standard[row["dimension"]])
    measured = [(size, statistics.median(of_size)) for size, of_size in sorted(ratios.items())]
    assert [size for size, _ in TIMES[learned]] == [size for size, _ in measured]
    assert [times for _, times in TIMES[learned]] == pytest.approx([times for _, times in measured], rel=0.02)


@pytest.mark.parametrize("learned", KINDS)
def test_what_was_measured_is_foreseen_and_between_it_grows(learned: Learned) -> None:
    for size, times in TIMES[learned]:
        if size >= STANDARD:
            assert growth(learned, STANDARD, size) == pytest.approx(times)
    sizes = [20, 39, 60, 150, 300, 700, 1000, 2500, 4000]
    grown = [growth(learned, 20, size) for size in sizes]
    assert grown == sorted(grown)
    assert growth(learned, 150, 2500) == pytest.approx(growth(learned, 150, 700) * growth(learned, 700, 2500))
    assert growth(learned, 700, 300) == 1.0


def test_what_a_few_documents_took_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightmigrate.budget.fitting_time.machine_seconds", lambda: MACHINE_SECONDS)
    """Ridge alone is fitted to them, in a thousandth of a second; more of them get the kernels."""
    assert foreseen("texts", FEWEST_PAIRS - 1, 0.002, STANDARD, DIMENSION) == pytest.approx(SECONDS["texts"])
    assert foreseen("texts", 20, 0.002, 30, DIMENSION) == pytest.approx(0.002 * growth("texts", 20, 30))
    assert foreseen("texts", 60, 0.5, STANDARD, DIMENSION) == pytest.approx(0.5 * growth("texts", 60, STANDARD))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("time") / "db")


@pytest.fixture(scope="module")
def drawn(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> CostQualityCurve:
    return curve(folder, cached(tmp_path_factory.mktemp("cache")), lengths=(12,))


def with_fits_of(drawn: CostQualityCurve, seconds: float) -> QualityEstimator:
    """As if each of its fits had taken so many seconds."""
    trainings = {tried: replace(done, fitting_seconds=seconds) for tried, done in drawn._estimator.trainings.items()}
    return replace(drawn._estimator, trainings=trainings)


def test_the_seconds_of_a_setting_hold_its_fit(drawn: CostQualityCurve) -> None:
    quick, slow = (with_fits_of(drawn, seconds) for seconds in (0.0, 10.0))
    for point in drawn.options[:-1]:
        setting = point.setting
        before, after = quick.option(setting).seconds, slow.option(setting).seconds
        assert before is not None
        assert after is not None
        learned: Learned = "texts" if setting.reads_texts else "vectors"
        grown = growth(learned, drawn.calibration, setting.documents)
        if setting.extract_words:
            grown = max(grown, growth("extracts", 2 * drawn.calibration, drawn.sampled))
        assert after - before == pytest.approx(10 * grown)
        assert drawn.seconds(setting) == drawn.option(setting).seconds
    assert quick.everything().seconds == slow.everything().seconds == drawn.seconds(drawn.options[-1].setting)


def test_a_fit_to_more_documents_takes_more_than_in_proportion(drawn: CostQualityCurve) -> None:
    slow = with_fits_of(drawn, 1.0)
    size = replace(drawn.size, texts=4000, records=4000)
    large = replace(slow, size=size, sampled_tokens=[100] * 4000, data=slow.data.first(drawn.calibration))
    few, many = (large.fitting_seconds(TEXTS.setting(documents)) for documents in (300, 4000))
    assert many > 1.5 * 4000 / 300 * few
    assert large.fitting_seconds(TEXTS.setting(10_000)) == many, "at most 4,000 are fitted to"
    some = replace(large, size=replace(size, records=4400))
    assert some.fitting_seconds(TEXTS.setting(4000)) == pytest.approx(
        many + large.fitting_seconds(VECTORS_ONLY.setting(4000))
    ), "records without a text take a fit of their own"


def test_a_route_takes_what_its_fit_takes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightmigrate.migration.duration.machine_seconds", lambda: 0.03)

    def compared(seconds: float) -> list[float | None]:
        monkeypatch.setattr(QualityEstimator, "fitting_seconds", lambda self, setting: seconds)
        with open_folder(folder).open() as store:
            read = JoinedCollections([with_texts(store.collection(NOTES), None)])
            found = compare_routes(read, cached(tmp_path), always=True)
        return [route.seconds for route in found.routes if route.setting]

    quick, slow = compared(0.0), compared(1000.0)
    assert slow
    assert all(seconds is not None and seconds > 900 for seconds in slow)
    assert all(seconds is not None and seconds < 900 for seconds in quick)


def test_what_was_never_measured_is_foreseen_by_the_speed_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightmigrate.budget.fitting_time.machine_seconds", lambda: 2 * MACHINE_SECONDS)
    assert usual("texts", STANDARD, DIMENSION) == pytest.approx(2 * SECONDS["texts"])
    assert usual("texts", STANDARD, DIMENSION // 2) == pytest.approx(SECONDS["texts"])
    assert usual("texts", 4000, DIMENSION) == pytest.approx(2 * SECONDS["texts"] * dict(TIMES["texts"])[4000])
