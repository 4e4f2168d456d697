"""The two ways a database can be open: in this process, or in a server of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightmigrate.stores.chroma.client import open_client
from tests.migration.shadow.rows import fill
from tests.migration.shadow.server import shared_server


@pytest.fixture(params=["in this process", "a server"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "a server":
        opened = shared_server().client()
        opened.reset()
        fill(opened)
        yield opened
    else:
        with open_client(tmp_path / "db") as opened:
            fill(opened)
            yield opened
