"""Fixtures: a fresh copy of one real database per test, built once."""

from __future__ import annotations

import os

# Several workers share the cores: threads of each one's own would wait for each other, and take ten times as long.
# Before NumPy is imported, and for processes that tests start.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from lightmigrate import Projection
from lightmigrate.system import cores
from tests import surroundings
from tests.at_end import AT_END
from tests.databases import make_database, make_projection
from tests.faults import EVERY_OPERATION

# The same examples in every run, so that none fails for a change that is innocent of it, and no time limit: the machine
# may be busy. `make examples` and `make crash` draw others each time.
EXAMPLES = int(os.environ.get("LIGHTMIGRATE_EXAMPLES", "0"))
settings.register_profile(
    "run", deadline=None, derandomize=not (EXAMPLES or EVERY_OPERATION), max_examples=EXAMPLES or 50
)
settings.load_profile("run")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: many tests wait for processes that they start."""
    return cores() + 1


def pytest_configure() -> None:
    """Set the place of the tests' folders before there is one."""
    surroundings.prepare()


def pytest_collection_finish() -> None:
    """Leave what is imported by now out of every later search for garbage: with all stores half a second each."""
    gc.freeze()


def pytest_sessionfinish() -> None:
    """End the servers that the tests of this process shared."""
    AT_END.close()


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_database(tmp_path_factory.mktemp("template") / "chroma_data")


@pytest.fixture
def database(_template: Path, tmp_path: Path) -> Path:
    """A database folder of this test's own, alone in its parent."""
    return Path(shutil.copytree(_template, tmp_path / "home" / "chroma_data"))


@pytest.fixture
def projection() -> Projection:
    """16 → 24."""
    return make_projection()


@pytest.fixture
def projection_file(projection: Projection, tmp_path: Path) -> Path:
    """The same, in a file."""
    return projection.save(tmp_path / "old_to_new.npz")
