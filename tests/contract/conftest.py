"""Every test of this folder runs on every store; `maker` is an empty database of one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lightmigrate.stores.base import Store
from tests.contract.makers import MAKERS, Maker


@pytest.fixture(params=list(MAKERS))
def maker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Maker]:
    """An empty database."""
    database = MAKERS[request.param](tmp_path)
    yield database
    database.release()


@pytest.fixture
def store(maker: Maker) -> Store:
    """A client of it."""
    return maker.client()
