"""The migrating process is killed in the middle of a migration: old or new, whole, and it can go on."""

from __future__ import annotations

from pathlib import Path

import lancedb
import numpy as np
from lancedb.index import IvfFlat

from lightmigrate import Migrator
from lightmigrate.stores.base import Address
from lightmigrate.stores.lance.store import LanceStore
from tests.databases import NEW_DIM, make_projection, make_vectors
from tests.faults import EVERY_OPERATION
from tests.processes import start, was_killed
from tests.stores.lance.crashing import PAGE, migrate
from tests.stores.lance.folders import stored, workspace

ROWS = 60

# `make crash` kills before every step of a migration; the contract suite kills before those of an exchange.
STRIDE = 1 if EVERY_OPERATION else 4


def require_whole(folder: Path) -> bool:
    """Check that the application finds the old vectors or the new ones, of every row; returns whether the new ones."""
    table = lancedb.connect(folder).open_table("docs")
    vectors = stored(table)
    found = np.stack([vectors[f"id-{row}"] for row in range(ROWS)])
    assert len(vectors) == ROWS
    assert table.schema.names.count("vector") == 1
    assert set(table.schema.names) == {"id", "vector", "text", "title"}
    if found.shape[1] != NEW_DIM:
        assert found.tobytes() == make_vectors(ROWS).tobytes()
        return False
    np.testing.assert_allclose(found, make_projection().apply(make_vectors(ROWS)), atol=2e-5)
    return True


def require_one_backup(folder: Path) -> None:
    """Check that only the backup was kept, that it is the old vectors to the bit, and that the index is there."""
    with LanceStore(folder) as store:
        (version,) = store.versions()
        ids = [f"id-{row}" for row in range(ROWS)]
        assert store.collection(version.address).records(ids).vectors.tobytes() == make_vectors(ROWS).tobytes()
        assert store.collection(Address("docs")).settings() == store.collection(version.address).settings()
    assert list((folder / ".lightmigrate").rglob("*.*")) == []


def test_a_killed_migration_leaves_the_old_or_the_new_and_goes_on(tmp_path: Path) -> None:
    killed, outcomes, step = 0, set(), 0
    while True:
        folder = tmp_path / str(step)
        index = IvfFlat(distance_type="cosine", num_partitions=1)
        workspace(folder, ROWS).create_index("vector", config=index)
        in_time = was_killed(start(migrate, str(folder), step))
        new = require_whole(folder)
        if not in_time:
            assert new
            require_one_backup(folder)
            break
        killed += 1
        outcomes.add(new)
        migrator = Migrator(folder, page_size=PAGE)
        if new:
            migrator.recover()
        else:
            migrator.migrate_collection("docs", make_projection())
        assert require_whole(folder)
        require_one_backup(folder)
        assert migrator.unfinished is None
        migrator.rollback()
        assert not require_whole(folder)
        step += STRIDE
    assert killed >= 3
    assert outcomes == {False, True} if EVERY_OPERATION else False in outcomes
