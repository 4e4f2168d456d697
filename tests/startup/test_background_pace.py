"""The pace of a background refinement, and what it may spend in a day, on a clock and a calendar of the test's own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightmigrate.providers.base import Bill
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.refinement import background, ledger, reachable, refine
from lightmigrate.refinement.background import BackgroundRefinement
from lightmigrate.refinement.ledger import Ledger
from lightmigrate.refinement.partly_refined import PartlyRefined
from lightmigrate.refinement.provenance import Provenance
from lightmigrate.refinement.turns import BATCH, GivingWay
from lightmigrate.startup.report import StartReport
from lightmigrate.stores.base import Page
from tests.startup.serving import documents, open_folder, require_reembedded
from tests.startup.test_background import TIMEOUT, environment, folder, projected, started

__all__ = ["environment", "folder", "started"]


@pytest.mark.parametrize("rate", [8.0, 40.0, None])
def test_so_many_rows_are_embedded_in_a_second(
    folder: Path, started: Callable[..., StartReport], monkeypatch: pytest.MonkeyPatch, rate: float | None
) -> None:
    now = [0.0]
    embedded: list[tuple[float, int]] = []  # when, and how many rows
    wait, embed = GivingWay.wait, PartlyRefined.embedded

    def waited(turns: GivingWay, seconds: float) -> bool:
        if threading.current_thread().name != "lightmigrate-embed":
            return wait(turns, seconds)
        now[0] += seconds
        return not turns.stopped

    def noted(work: PartlyRefined, page: Page) -> Any:
        embedded.append((now[0], len(page)))
        return embed(work, page)

    monkeypatch.setattr(GivingWay, "wait", waited)
    monkeypatch.setattr(PartlyRefined, "embedded", noted)
    refinement = started(rows_per_second=rate).refinement
    assert refinement is not None
    rows = len(projected(folder))
    with open_folder(folder) as client:
        assert refinement.wait(TIMEOUT)
        require_reembedded(client)
    assert sum(of_batch for _, of_batch in embedded) == rows
    assert len(embedded) >= 2
    before = 0
    for moment, of_batch in embedded:
        assert moment == pytest.approx(0.0 if rate is None else before / rate)
        assert rate is None or of_batch <= 5 * rate, "no more at once than in five seconds"
        before += of_batch


@pytest.mark.parametrize(("times_the_price", "grow"), [(1000.0, True), (2.0, False)])
def test_what_costs_money_is_embedded_in_batches_that_leave_little_of_a_budget_unused(
    folder: Path,
    started: Callable[..., StartReport],
    monkeypatch: pytest.MonkeyPatch,
    times_the_price: float,
    grow: bool,
) -> None:
    monkeypatch.setattr(ChromaProvider, "priced", lambda provider, tokens: Bill(tokens, tokens / 1000))
    batches: list[int] = []
    embed = PartlyRefined.embedded

    def noted(work: PartlyRefined, page: Page) -> Any:
        batches.append(len(page))
        return embed(work, page)

    monkeypatch.setattr(PartlyRefined, "embedded", noted)
    started(refine="off")
    price = sum(map(len, documents())) / 4 / 1000
    refinement = started(max_cost_per_day=times_the_price * price).refinement
    assert refinement is not None
    with open_folder(folder) as client:
        assert refinement.wait(TIMEOUT)
        require_reembedded(client)
    assert batches[0] == BATCH
    assert (max(batches) > BATCH) == grow, batches


def test_how_long_replacing_took_is_told_to_what_makes_rows_reachable(
    folder: Path, started: Callable[..., StartReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    write = reachable.write_unreached

    def noted(*arguments: Any) -> list[int]:
        told.append(arguments[5])
        return write(*arguments)

    monkeypatch.setattr(refine, "write_unreached", noted)
    began = time.monotonic()
    refinement = started().refinement
    assert refinement is not None
    with open_folder(folder):
        assert refinement.wait(TIMEOUT)
    (took,) = told
    assert 0 < took < time.monotonic() - began


def out_of_budget(refinement: BackgroundRefinement, folder: Path, before: int) -> bool:
    """Wait until nothing more may be spent today, and fewer rows are projected; whether that comes before its end."""
    while not (refinement.status.state == "out of budget" and len(projected(folder)) < before):
        if refinement.wait(0.01):
            return False
    return True


def test_what_a_day_does_not_pay_for_the_next_ones_do(
    folder: Path,
    started: Callable[..., StartReport],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    day = [1]
    monkeypatch.setattr(ledger, "today", lambda: f"2126-01-{day[0]:02}")
    monkeypatch.setattr(background, "SECONDS_TO_ASK_AGAIN", 0.01)
    monkeypatch.setattr(ChromaProvider, "priced", lambda provider, tokens: Bill(tokens, tokens / 1000))
    started(refine="off")
    spending = Ledger(Provenance.file_in(folder))
    first_step = spending.spent()
    assert first_step == spending.spent("2126-01-01") > 0
    waiting = projected(folder)
    total = sum(map(len, documents())) / 4 / 1000 * len(waiting) / len(documents())
    per_day = 0.5 * total  # of three batches one or two

    day[0] = 2
    with caplog.at_level(logging.INFO, "lightmigrate"):
        refinement = started(max_cost_per_day=per_day).refinement
        assert refinement is not None
        with open_folder(folder):
            assert out_of_budget(refinement, folder, len(waiting))
            refinement.stop()
            assert refinement.wait(TIMEOUT)
    assert [line for line in caplog.messages if "the budget of today" in line and "left for other days" in line]
    left = len(projected(folder))
    assert 0 < left < len(waiting)
    spent = spending.spent("2126-01-02")
    assert 0 < spent <= per_day

    again = started(max_cost_per_day=per_day).refinement
    assert again is not None
    with open_folder(folder) as client:
        assert out_of_budget(again, folder, left + 1)
        assert again.status.reason == "the budget of today is spent"
        assert len(projected(folder)) == left, "a restart does not begin another day"
        assert spending.spent("2126-01-02") == spent
        for day[0] in range(3, 30):
            if not out_of_budget(again, folder, left):
                break
            left = len(projected(folder))
        assert again.wait(TIMEOUT)
        assert again.status.state == "exact"
        require_reembedded(client)
    assert day[0] >= 4
    days = [spending.spent(f"2126-01-{number:02}") for number in range(2, day[0] + 1)]
    assert max(days) <= per_day
    assert sum(days) == pytest.approx(spending.spent() - first_step)
