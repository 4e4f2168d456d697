"""Limits of money and time."""

from __future__ import annotations

import threading

import pytest

from lightmigrate.errors import CostError, DeadlineError
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.training.limits import Deadline, SpendingLimit
from tests.encoders import WordLlamaFunction


def test_all_collections_are_paid_within_one_limit() -> None:
    limit, provider = SpendingLimit(1.0), ChromaProvider(WordLlamaFunction())
    limit.pay(provider, 0.6, "the first")
    with pytest.raises(CostError, match=r"the second would cost \$0.50, \$0.60 of \$1.00 are spent") as caught:
        limit.pay(provider, 0.5, "the second")
    assert (caught.value.spent, caught.value.allowed) == (0.6, 1.0)
    limit.pay(provider, 0.4, "the third")
    limit.pay(provider, 0.0, "what runs here")
    SpendingLimit(None).pay(provider, None, "anything")


def test_an_unknown_price_is_within_no_limit() -> None:
    with pytest.raises(CostError, match=r"price of wordllama-256 is not known, and reading may cost \$1.00 at most"):
        SpendingLimit(1.0).pay(ChromaProvider(WordLlamaFunction()), None, "reading")


def test_without_a_deadline_everything_is_in_time() -> None:
    deadline = Deadline(None)
    deadline.require(1e9)
    assert deadline.left == float("inf")
    assert deadline.within(lambda: 7, "counting") == 7


def test_what_would_take_too_long_is_refused_with_both_numbers() -> None:
    with pytest.raises(
        DeadlineError, match=r"^embedding would take 600 s, 60 s of 60 s are left: nothing was migrated"
    ):
        Deadline(60.0).require(600.0, "embedding")


def test_what_does_not_end_in_time_is_not_awaited() -> None:
    over = threading.Event()
    try:
        with pytest.raises(DeadlineError, match="waiting did not end within the 0 s that were left of 0 s"):
            Deadline(0.1).within(over.wait, "waiting")
    finally:
        over.set()


def test_what_fails_in_time_fails_as_it_is() -> None:
    def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        Deadline(60.0).within(fail, "failing")
