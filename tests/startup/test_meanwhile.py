"""Embedding while a projection is fitted: it begins and ends with the fit, however that ends."""

from __future__ import annotations

import threading

import pytest

from lightmigrate.errors import ProviderError
from lightmigrate.progress import Progress
from lightmigrate.startup.meanwhile import while_fitting

FIT, FITTED = Progress("fit", 0, 1), Progress("fit", 1, 1)


class Model:
    """Embeds for ever, in a thread that is not the test's."""

    def __init__(self, most: int = 10**9, fails: bool = False) -> None:
        self.calls, self._most, self._fails = 0, most, fails
        self.asked = threading.Event()

    def __call__(self) -> int:
        assert threading.current_thread() is not threading.main_thread()
        self.calls += 1
        self.asked.set()
        if self._fails:
            raise ProviderError("the model has ended")
        return int(self.calls < self._most)


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lightmigrate-meanwhile"]


def calls_by_itself(model: Model) -> int:
    """How often the model is asked in a fit that waits until nobody asks it any more."""
    with while_fitting(model, lambda progress: None) as on_progress:
        on_progress(FIT)
        for worker in workers():
            worker.join(60)
        assert not workers()
        on_progress(FITTED)
    return model.calls


def test_it_begins_with_a_fit_and_ends_with_it() -> None:
    model, seen = Model(), list[Progress]()
    with while_fitting(model, seen.append) as on_progress:
        on_progress(Progress("embed", 1, 1))
        assert not workers()
        for fits in (1, 2):
            model.asked.clear()
            on_progress(FIT)
            assert model.asked.wait(60), fits
            on_progress(FITTED)
            assert not workers()
    assert [progress.step for progress in seen] == ["embed", *4 * ["fit"]]


def test_it_ends_when_everything_is_embedded() -> None:
    assert calls_by_itself(Model(most=3)) == 3


def test_a_fit_that_fails_ends_it() -> None:
    model = Model()

    def interrupted() -> None:
        with while_fitting(model, lambda progress: None) as on_progress:
            on_progress(FIT)
            assert model.asked.wait(60)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not workers()


def test_a_model_that_fails_is_left_to_whoever_asks_it_next() -> None:
    assert calls_by_itself(Model(fails=True)) == 1
