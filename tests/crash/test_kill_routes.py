"""SIGKILL at the file operations of each route: indexes are on the disk, and the log has a tail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lightmigrate import Projection
from lightmigrate.stores.files import IndexRoute
from tests.crash.places import everything, place
from tests.crash.test_kill import (
    assert_whole_and_usable,
    count_operations,
    migrate_in_another_process,
)
from tests.databases import contents
from tests.faults import EVERY_OPERATION
from tests.indexed import INDEXED, make_indexed
from tests.processes import was_killed

__all__ = ["place"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_indexed(tmp_path_factory.mktemp("indexed") / "chroma_data")


ROUTES = [("keep", "beside"), ("rebuild", "inside"), ("rewrite", "beside")]
if EVERY_OPERATION:
    ROUTES += [("keep", "inside"), ("rebuild", "beside"), ("rewrite", "inside")]


@pytest.mark.parametrize(("route", "place"), ROUTES, indirect=["place"])
def test_killed_at_file_operations(
    route: IndexRoute, place: str, template: Path, projection: Projection, projection_file: Path, tmp_path: Path
) -> None:
    database = Path(shutil.copytree(template, tmp_path / "home" / "chroma_data"))
    before = everything(database.parent)["chroma_data"]
    old = contents(Path(shutil.copytree(database, tmp_path / "read")), INDEXED)
    total = count_operations(database, projection_file, tmp_path / "count", place, route)
    # Where the route writes to Chroma's files lies in the middle; the exchange is at the end.
    chosen = range(1, total + 1) if EVERY_OPERATION else [total // 2, 3 * total // 4, total - 8]
    states = []
    for number in chosen:
        home = tmp_path / f"kill{number}" / "home"
        copy = Path(shutil.copytree(database, home / "chroma_data"))
        process, _ = migrate_in_another_process(copy, projection_file, place, number, route)
        assert was_killed(process), f"operation {number} was not reached"
        states.append(assert_whole_and_usable(copy, before, old, projection, INDEXED))
        shutil.rmtree(home.parent)
    assert states == sorted(states, reverse=True), "once new, always new"
