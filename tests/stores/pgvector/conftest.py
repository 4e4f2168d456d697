"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.postgres import PgMaker


@pytest.fixture
def maker(tmp_path: Path) -> Iterator[PgMaker]:
    """An empty database with pgvector."""
    database = PgMaker(tmp_path)
    yield database
    database.release()
