"""SIGKILL while collections get another distance: the old index or the new one, whole, and the same run goes on."""

from __future__ import annotations

import shutil
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from lightmigrate import ChromaMigrator, CollectionJob
from tests.crash.places import everything
from tests.crash.run_migration import change_distance
from tests.faults import EVERY_OPERATION
from tests.indexed import make_indexed
from tests.processes import context, start, was_killed

OLD, NEW = ["cosine", "ip", "l2"], ["l2", "l2", "l2"]


def in_another_process(database: Path, fatal: int) -> tuple[ForkServerProcess, Connection]:
    progress, sender = context().Pipe(duplex=False)
    process = start(change_distance, database, fatal, sender)
    sender.close()
    assert progress.recv() == "go"
    return process, progress


def spaces(database: Path) -> list[str]:
    return sorted(facts.space for facts in ChromaMigrator(database).collections())


def test_killed_at_file_operations(tmp_path: Path) -> None:
    template = make_indexed(tmp_path / "template" / "chroma_data")
    before = everything(template.parent)["chroma_data"]
    counted = Path(shutil.copytree(template, tmp_path / "count" / "chroma_data"))
    process, progress = in_another_process(counted, -1)
    total = int(progress.recv())
    assert not was_killed(process)
    chosen = range(1, total + 1) if EVERY_OPERATION else [total // 2, total - 6]
    states = []
    for number in chosen:
        database = Path(shutil.copytree(template, tmp_path / f"kill{number}" / "chroma_data"))
        process, _ = in_another_process(database, number)
        assert was_killed(process), f"operation {number} was not reached"
        migrator = ChromaMigrator(database)
        migrator.recover()
        states.append(spaces(database))
        assert before in everything(database.parent).values(), "the old database, byte for byte"
        if states[-1] == OLD:
            migrator.migrate([CollectionJob(name, distance="l2") for name in ("thought_nodes", "notes")])
        assert spaces(database) == NEW
        assert all(check.unchanged for check in migrator.verify())
        migrator.rollback()
        assert everything(database.parent)["chroma_data"] == before
        shutil.rmtree(database.parent)
    assert states == sorted(states), "once new, always new"
    assert states[0] == OLD
