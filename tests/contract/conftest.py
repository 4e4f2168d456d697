"""Every test of this folder runs on stores of every kind; `maker` is an empty database of one of them.

Makers of one family share most of what they test: three ways to one Chroma database, formats of one store of files. The
default run gives each such test to one of a family, another test to another, and to every maker what is marked
`every_maker`: what is written is read back, and an exchange and the way back lose nothing. `make contract` and
`make crash` give every test to every maker; so does LIGHTMIGRATE_CONTRACT=all.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightmigrate.stores.base import Store
from tests.contract.makers import FAMILIES, MAKERS, Maker
from tests.faults import EVERY_STORE


def makers_of(test: str, everyone: bool) -> list[str]:
    """The makers that a test runs on, by the name of its function; the same in every process."""
    number = zlib.crc32(test.encode())
    left_out = set() if everyone else {name for each in FAMILIES for name in each if name != each[number % len(each)]}
    return [name for name in MAKERS if name not in left_out]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test its makers."""
    if "maker" in metafunc.fixturenames:
        everyone = EVERY_STORE or metafunc.definition.get_closest_marker("every_maker") is not None
        metafunc.parametrize("maker", makers_of(metafunc.function.__name__, everyone), indirect=True)


@pytest.fixture
def maker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Maker]:
    """An empty database."""
    database = MAKERS[request.param](tmp_path)
    yield database
    database.release()


@pytest.fixture
def store(maker: Maker) -> Store:
    """A client of it."""
    return maker.client()
