"""What a background refinement is made of: its turns, its slices, its ledger, and the thread that works ahead."""

from __future__ import annotations

import contextlib
import math
import statistics
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lightmigrate.errors import AnotherRunError, ProviderError
from lightmigrate.refinement import ledger as ledger_module
from lightmigrate.refinement.ahead import made_ahead
from lightmigrate.refinement.ledger import Ledger
from lightmigrate.refinement.lock import elected, only_run
from lightmigrate.refinement.provenance import Provenance
from lightmigrate.refinement.slices import Slices, StoppedError
from lightmigrate.refinement.turns import (
    BATCH,
    FEWEST_ROWS,
    MOST_OF_BATCH,
    MOST_ROWS,
    SECONDS_OF_BATCH,
    BatchSize,
    GivingWay,
)
from lightmigrate.stores.memory import MemoryDatabase, MemoryStore
from lightmigrate.stores.serving import Found, Unobserved


class Application(Unobserved):
    """A database in memory whose application calls as a test says."""

    blocks_searches = True

    def __init__(self) -> None:
        super().__init__(MemoryStore(MemoryDatabase()))
        self.calls, self.seconds = 0, math.inf

    def calls_under_way(self) -> int:
        return self.calls

    def seconds_since_call(self) -> float:
        return self.seconds

    def found(self) -> list[Found]:
        return []


class NoTime(threading.Event):
    """An event that nobody has to wait for."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def learned(turns: GivingWay, of_piece: float, of_row: float) -> float:
    """The usual rows of a piece, after pieces that took such a time; sometimes another size is tried."""
    sizes = []
    for _ in range(40):
        sizes.append(turns.next())
        turns.took(sizes[-1], of_piece + of_row * sizes[-1])
    return statistics.median(sizes[20:])


def test_pieces_are_as_large_as_the_time_allows() -> None:
    turns, application = GivingWay(), Application()
    turns._stopped = NoTime()  # the rests between pieces are not looked at here
    turns.serve(application)
    assert turns.next() == FEWEST_ROWS
    assert learned(turns, 0, 0.005) == pytest.approx(100, abs=2), "half a second"
    application.seconds = 1.0
    assert learned(turns, 0, 0.005) == pytest.approx(10, abs=2), "a tenth of that while the application calls"
    assert learned(turns, 0.15, 0.005) == pytest.approx(30, abs=2), "as long for the rows as for the piece"
    application.seconds = math.inf
    assert learned(turns, 0, 1e-5) == MOST_ROWS
    turns.stop()
    assert turns.next() == 0


def test_batches_are_as_large_as_the_time_allows() -> None:
    size = BatchSize(None)
    assert size.rows == BATCH
    for _ in range(5):
        size.took(size.rows, 0.04 * size.rows)
    assert size.rows == SECONDS_OF_BATCH / 0.04
    size.took(size.rows, 1.0 * size.rows)
    assert size.rows == BATCH
    size.took(size.rows, 0.001, 100)
    assert size.rows == 100, "more would cost too much at once"
    paced = BatchSize(2.0)
    paced.took(10, 0.001)
    assert paced.rows == 10


def test_it_waits_for_a_call_and_while_paused() -> None:
    turns, application = GivingWay(), Application()
    turns.serve(application)
    turns.pause()
    assert turns.paused
    rows: list[int] = []
    worker = threading.Thread(target=lambda: rows.append(turns.next()))
    worker.start()
    application.calls = 1
    turns.resume()
    assert not rows
    application.calls = 0
    worker.join(60)
    assert rows


def encoded(times: dict[int, float], slices: Slices, texts: int, clock: list[float]) -> list[int]:
    """The sizes of the slices in which some texts are embedded, by a model that takes so long for each size."""
    sizes: list[int] = []

    def model(part: Sequence[str]) -> list[str]:
        sizes.append(len(part))
        clock[0] += times.get(len(part), 0.0)
        return list(part)

    said = [f"{row:04}" for row in range(texts)]
    assert slices.encode(model, said) == said
    return sizes


def test_an_answer_that_lacks_a_vector_is_refused() -> None:
    """The slice after it would begin with another text, and as many vectors come out as there are texts."""
    slices = Slices(lambda: True)
    assert slices.encode(list, ["a"]) == ["a"]
    with pytest.raises(ProviderError, match="gave 1 vectors for 2 texts"):
        slices.encode(lambda part: list(part)[:1], ["a", "b", "c"])


def test_slices_are_the_cheapest_that_are_short_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    here = {size: 0.026 * size for size in range(1, 100)}
    assert set(encoded(here, Slices(lambda: True), 400, clock)[2:]) <= {1, 2, 3}, "a tenth of a second"
    slow = {size: 0.3 * size for size in range(1, 100)}
    assert encoded(slow, Slices(lambda: True), 7, clock) == [1, 2, 1, 1, 1, 1]
    server = {size: 0.3 + 0.001 * size for size in range(1, 100)}
    assert encoded(server, Slices(lambda: True), 63, clock) == [1, 2, 4, 8, 16, 32]
    assert encoded({size: 1e-5 * size for size in range(1, 100)}, Slices(lambda: True), 31, clock) == [1, 2, 4, 8, 16]
    dear = {size: 0.02 * size * (1 if size < 4 else 1.5) for size in range(1, 100)}
    sizes = encoded(dear, Slices(lambda: True, lambda: False), 600, clock)
    assert sizes.count(2) + sizes.count(1) > 0.8 * len(sizes), (
        "larger ones are dearer here, though searches do not wait"
    )


def test_a_slice_that_never_has_so_many_texts_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    dear = {size: 0.01 * size * (1 if size <= 4 else 5) for size in range(1, 100)}
    slices = Slices(lambda: True, lambda: False)
    sizes = [size for _ in range(20) for size in encoded(dear, slices, 7, clock)]
    assert sizes.count(7) <= 2
    assert max(sizes[-20:]) <= 4


def test_a_stop_is_noticed_between_slices() -> None:
    with pytest.raises(StoppedError):
        Slices(lambda: False).encode(lambda part: list(part), ["a text"])


def test_what_a_day_may_cost_is_counted_before_it_is_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Provenance.of(tmp_path) as provenance:
        file = provenance.path
    ledger = Ledger(file, per_day=1.0, in_all=1.6)
    assert [ledger.count(0.6), ledger.count(0.6), ledger.count(0.4)] == [True, False, True]
    assert (ledger.spent(), ledger.spent("2026-01-01")) == (1.0, 0.0)
    assert ledger.fits_in_a_day(0.5)
    assert not ledger.fits_in_a_day(0.7)
    monkeypatch.setattr(ledger_module, "today", lambda: "2126-01-01")
    assert [Ledger(file, 1.0, 1.6).count(0.6), ledger.count(0.1)] == [True, False], "over restarts"
    ledger.record(5.0)
    assert ledger.spent() == 6.6


def test_a_batch_costs_a_small_part_of_what_is_left(tmp_path: Path) -> None:
    with Provenance.of(tmp_path) as provenance:
        file = provenance.path
    limited = Ledger(file, per_day=1.0, in_all=10.0)
    assert limited.affordable(64, 0.01) == pytest.approx(320, abs=1), "a twentieth of a dollar"
    limited.record(0.8)
    assert limited.affordable(64, 0.01) == pytest.approx(64, abs=1)
    limited.record(9.2)
    assert limited.affordable(64, 0.01) == 0
    for unlimited in (Ledger(file).affordable(64, 0.01), limited.affordable(64, 0.0)):
        assert unlimited > MOST_OF_BATCH


def test_errors_come_in_their_place_and_nothing_is_made_after_the_end() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number
            if number == 2:
                raise ValueError("the fourth")

    with made_ahead(items()) as numbers:
        assert [next(numbers) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="fourth"):
            next(numbers)
    made.clear()
    with made_ahead(iter(range(100))) as endless, contextlib.suppress(StopIteration):
        next(endless)
    assert threading.active_count() < 50


def test_one_process_is_elected_and_a_run_waits_for_its_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lock = elected(tmp_path)
    assert lock is not None
    assert elected(tmp_path) is None
    entered = threading.Event()
    with lock:
        with only_run(tmp_path):
            waiting = threading.Thread(target=lambda: _enter(tmp_path, entered))
            waiting.start()
            assert not entered.is_set()
        waiting.join(60)
        assert entered.is_set()
    with only_run(tmp_path), pytest.raises(AnotherRunError), only_run(tmp_path, 1e9):
        pass  # nobody refines in the background, so a `refine` holds the lock, which may take hours


def _enter(place: Path, entered: threading.Event) -> None:
    with only_run(place, 60):
        entered.set()
