"""What is fetched ahead comes in its order, as far ahead as it may be, and no further than the block."""

from __future__ import annotations

import threading

import pytest

from lightmigrate.stores.read_ahead import read_ahead_by
from tests.processes import TIMEOUT


def test_as_many_at_once_as_are_allowed_and_in_order() -> None:
    together, begun = threading.Barrier(2), set()

    def fetch(number: int) -> int:
        begun.add(number)
        together.wait(timeout=TIMEOUT)  # broken, and so raised below, if only one were fetched at a time
        return number

    with read_ahead_by(fetch, range(6)) as found:
        assert next(found) == 0
        assert begun <= {0, 1, 2}
        assert list(found) == [1, 2, 3, 4, 5]


def test_what_fetching_raises_is_raised_in_its_turn() -> None:
    def fetch(number: int) -> int:
        if number == 2:
            raise OSError("gone")
        return number

    with read_ahead_by(fetch, range(9)) as found:
        assert [next(found), next(found)] == [0, 1]
        with pytest.raises(OSError, match="gone"):
            next(found)


def test_nothing_is_being_fetched_when_the_block_has_ended() -> None:
    readers = set()

    def fetch(number: int) -> int:
        readers.add(threading.current_thread())
        return number

    with read_ahead_by(fetch, range(100)) as found:
        next(found)
    assert readers
    assert not any(reader.is_alive() for reader in readers)
