"""SIGKILL at any moment: the database is the old one or the new one, whole, and the next run ends well.

`make crash` runs many more of these: `LIGHTMIGRATE_KILLS` says how many random moments, 0 operations left out.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from tests.databases import contents, folder_hash, same_rows

PROGRAM = Path(__file__).with_name("run_migration.py")
KILLS = int(os.environ.get("LIGHTMIGRATE_KILLS", "8"))
EVERY_OPERATION = "LIGHTMIGRATE_KILLS" in os.environ
MIGRATED = ("default_tenant/default_database/thought_nodes", "default_tenant/default_database/notes")


def migrate_in_another_process(database: Path, projection: Path, *fatal: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), str(database), str(projection), *map(str, fatal)]
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM.parents[2])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    return process


def is_old(found: dict[str, Any], old: dict[str, Any]) -> bool:
    return all(
        found[key]["rows"] == old[key]["rows"] and np.array_equal(found[key]["vectors"], old[key]["vectors"])
        for key in old
    )


def is_new(found: dict[str, Any], old: dict[str, Any], projection: Projection) -> bool:
    for key in old:
        expected = old[key]["vectors"]
        if key in MIGRATED:
            expected = projection.apply(expected)
        if found[key]["vectors"].shape != expected.shape:
            return False
        if not same_rows(old[key]["rows"], found[key]["rows"]):
            return False
        if not np.allclose(found[key]["vectors"], expected, atol=2e-6):
            return False
    return True


def assert_whole_and_usable(database: Path, before: str, old: dict[str, Any], projection: Projection) -> str:
    """What must be true after a kill, whenever it came. Returns which database was found."""
    found_hash = folder_hash(database)  # before anybody repairs anything
    migrator = ChromaMigrator(database)
    found = contents(database)
    state = "old" if is_old(found, old) else "new"
    if state == "old":
        assert found_hash == before, "the old database was written to"
        results = migrator.migrate_collections([CollectionJob(name, projection) for name in ("thought_nodes", "notes")])
        assert [result.n_migrated for result in results] == [60, 30]
        found = contents(database)
    assert is_new(found, old, projection)
    (backup,) = ChromaMigrator(database).backups()
    assert is_old(contents(backup.path), old)
    assert sorted(path.name for path in database.parent.iterdir()) == sorted([database.name, backup.name])
    return state


def count_operations(database: Path, projection_file: Path, spare: Path) -> int:
    copy = Path(shutil.copytree(database, spare / "home" / "chroma_data"))
    output, _ = migrate_in_another_process(copy, projection_file, -1).communicate()
    return int(output)


def test_killed_at_file_operations(
    database: Path, projection: Projection, projection_file: Path, tmp_path: Path
) -> None:
    old, before = contents(database), ""
    total = count_operations(database, projection_file, tmp_path / "count")
    assert total > 30
    # The exchange and what surrounds it are the last operations; the ones before only build aside.
    chosen = range(1, total + 1) if EVERY_OPERATION else [1, 2, 5, total // 2, *range(total - 9, total + 1)]
    states = []
    for number in chosen:
        home = tmp_path / f"kill{number}" / "home"
        copy = Path(shutil.copytree(database, home / "chroma_data"))
        before = folder_hash(copy)
        process = migrate_in_another_process(copy, projection_file, number)
        assert process.wait() == -9, f"operation {number} was not reached"
        states.append(assert_whole_and_usable(copy, before, old, projection))
        shutil.rmtree(home.parent)
    assert states[0] == "old"
    assert states[-1] == "new"
    assert states == sorted(states, reverse=True), "once new, always new"


@pytest.mark.parametrize("seed", range(KILLS))
def test_killed_at_random_moments(
    seed: int, database: Path, projection: Projection, projection_file: Path, tmp_path: Path
) -> None:
    old = contents(database)
    before = folder_hash(database)
    started = time.monotonic()
    spare = Path(shutil.copytree(database, tmp_path / "spare" / "chroma_data"))
    whole = migrate_in_another_process(spare, projection_file)
    whole.wait()
    longest = time.monotonic() - started
    process = migrate_in_another_process(database, projection_file)
    try:
        process.wait(timeout=random.Random(seed).uniform(0, longest))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert_whole_and_usable(database, before, old, projection)
