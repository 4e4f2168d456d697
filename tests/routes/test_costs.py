"""Whether there is time for everything is known without measuring this machine, unless that decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightmigrate.budget.text_count import TextCount
from lightmigrate.migration import duration
from lightmigrate.migration.duration import Work
from lightmigrate.routes.costs import Costs
from lightmigrate.training.model_speed import ModelSpeed
from tests.budget.collections import cached


def test_this_machine_is_measured_only_where_that_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probes: list[float] = []

    def probe() -> float:
        probes.append(0.03)
        return probes[-1]

    monkeypatch.setattr(duration, "machine_seconds", probe)

    def costs(records: int, seconds_each: float) -> Costs:
        count = TextCount(records, 0, records, 80 * records, records, 80 * records, ())
        work = Work(4000 * records, [(records, 256, 384)])
        return Costs(cached(tmp_path), count, ModelSpeed(seconds_each, 0.0), work)

    assert costs(300, 0.001).everything_within(60)
    assert not costs(300, 1.0).everything_within(60), "embedding alone takes longer"
    assert not probes
    assert costs(16_000, 0.001).everything_within(60)
    assert not costs(1_000_000, 0.00001).everything_within(60)
    assert len(probes) == 2
