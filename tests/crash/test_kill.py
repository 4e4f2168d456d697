"""SIGKILL at any moment: the database is the old one or the new one, whole, and the next run ends well.

`make crash` runs many more of these: `LIGHTMIGRATE_KILLS` says how many random moments, 0 operations left out.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.stores.files import IndexRoute
from tests.crash.places import MIGRATED, everything, is_new, place, seen_by_a_reader
from tests.crash.run_migration import migrate
from tests.databases import ADDRESSES, contents
from tests.faults import EVERY_OPERATION
from tests.processes import context, start, was_killed

__all__ = ["place"]

KILLS = int(os.environ.get("LIGHTMIGRATE_KILLS", "1"))


def migrate_in_another_process(
    database: Path, projection: Path, place: str, fatal: int | None = None, route: IndexRoute = "keep"
) -> tuple[ForkServerProcess, Connection]:
    """The process, about to begin, and what tells its progress; see `run_migration.migrate`."""
    progress, sender = context().Pipe(duplex=False)
    process = start(migrate, database, projection, place, route, fatal, sender)
    sender.close()
    assert progress.recv() == "go"
    return process, progress


def assert_whole_and_usable(
    database: Path,
    before: str,
    old: dict[str, Any],
    projection: Projection,
    addresses: tuple[tuple[str, str, str], ...] = ADDRESSES,
) -> str:
    """What must be true after a kill, whenever it came. Returns which database was found."""
    home = database.parent
    state = seen_by_a_reader(database, old, projection, addresses)  # before anybody repairs anything
    migrator = ChromaMigrator(database)
    migrator.recover()
    assert before in everything(home).values(), "the old database, byte for byte"
    assert (everything(home)["chroma_data"] == before) == (state == "old"), "what was live at the crash stays live"
    if state == "old":
        results = migrator.migrate([CollectionJob(name, projection) for name in ("thought_nodes", "notes")])
        assert [result.n_migrated for result in results] == [len(old[key]["rows"]) for key in MIGRATED]
    assert is_new(contents(database, addresses), old, projection)
    (backup,) = ChromaMigrator(database).backups()
    assert not migrator.undo(), "nothing is left over"
    hashes = everything(home)
    assert len(hashes) == 2
    assert hashes[str(backup.path.relative_to(home))] == before
    return state


def count_operations(database: Path, projection_file: Path, spare: Path, place: str, route: IndexRoute = "keep") -> int:
    copy = Path(shutil.copytree(database, spare / "home" / "chroma_data"))
    process, progress = migrate_in_another_process(copy, projection_file, place, -1, route)
    total = int(progress.recv())
    assert not was_killed(process)
    return total


def test_killed_at_file_operations(
    place: str, database: Path, projection: Projection, projection_file: Path, tmp_path: Path
) -> None:
    old, before = contents(database), everything(database.parent)["chroma_data"]
    total = count_operations(database, projection_file, tmp_path / "count", place)
    assert total > 30
    # The exchange and what surrounds it are the last operations; the ones before only build aside.
    chosen = range(1, total + 1) if EVERY_OPERATION else [5, total // 2, *range(total - 16, total + 1, 4)]
    states = []
    for number in chosen:
        home = tmp_path / f"kill{number}" / "home"
        copy = Path(shutil.copytree(database, home / "chroma_data"))
        process, _ = migrate_in_another_process(copy, projection_file, place, number)
        assert was_killed(process), f"operation {number} was not reached"
        states.append(assert_whole_and_usable(copy, before, old, projection))
        shutil.rmtree(home.parent)
    assert states[0] == "old"
    assert states[-1] == "new"
    assert states == sorted(states, reverse=True), "once new, always new"


def test_killed_around_the_two_renames_of_a_system_without_an_exchange(
    database: Path, projection: Projection, projection_file: Path, tmp_path: Path
) -> None:
    old, before = contents(database), everything(database.parent)["chroma_data"]
    total = count_operations(database, projection_file, tmp_path / "count", "renames")
    states, missing = [], 0
    for number in range(1, total + 1) if EVERY_OPERATION else range(total - 12, total + 1, 3):
        home = tmp_path / f"kill{number}" / "home"
        copy = Path(shutil.copytree(database, home / "chroma_data"))
        process, _ = migrate_in_another_process(copy, projection_file, "renames", number)
        assert was_killed(process), f"operation {number} was not reached"
        if not copy.exists():  # both whole folders have other names
            missing += 1
            assert "finished" in (ChromaMigrator(copy).recover() or "")
        states.append(assert_whole_and_usable(copy, before, old, projection))
        shutil.rmtree(home.parent)
    assert missing or not EVERY_OPERATION
    assert states[-1] == "new"
    assert states == sorted(states, reverse=True), "once new, always new"


@pytest.mark.parametrize("seed", range(KILLS))
def test_killed_at_random_moments(
    seed: int, place: str, database: Path, projection: Projection, projection_file: Path, tmp_path: Path
) -> None:
    old, before = contents(database), everything(database.parent)["chroma_data"]
    started = time.monotonic()
    spare = Path(shutil.copytree(database, tmp_path / "spare" / "chroma_data"))
    process, _ = migrate_in_another_process(spare, projection_file, place)
    assert not was_killed(process)
    longest = time.monotonic() - started
    process, _ = migrate_in_another_process(database, projection_file, place)
    process.join(random.Random(seed).uniform(0, longest))
    process.kill()
    was_killed(process)
    assert_whole_and_usable(database, before, old, projection)
