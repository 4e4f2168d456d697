"""SIGKILL while a rollback discards what was written since: it is live, or it is in a backup that says so."""

from __future__ import annotations

import shutil
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from lightmigrate import ChromaMigrator, Projection
from lightmigrate.errors import RefusedError
from lightmigrate.stores.chroma.client import open_client
from tests.crash.run_migration import go_back
from tests.databases import make_database, make_vectors
from tests.faults import EVERY_OPERATION
from tests.processes import context, start, was_killed


def in_another_process(database: Path, fatal: int) -> tuple[ForkServerProcess, Connection]:
    progress, sender = context().Pipe(duplex=False)
    process = start(go_back, database, fatal, sender)
    sender.close()
    assert progress.recv() == "go"
    return process, progress


def test_killed_at_file_operations(tmp_path: Path, projection: Projection) -> None:
    template = make_database(tmp_path / "template" / "chroma_data")
    ChromaMigrator(template).migrate_collection("thought_nodes", projection)
    with open_client(template) as client:
        thoughts = client.get_collection("thought_nodes", embedding_function=None)
        thoughts.add(ids=["only here"], embeddings=make_vectors(1, 24))
    counted = Path(shutil.copytree(template.parent, tmp_path / "count")) / "chroma_data"
    process, progress = in_another_process(counted, -1)
    total = int(progress.recv())
    assert not was_killed(process)
    states = []
    for number in range(1, total + 1) if EVERY_OPERATION else range(total // 3, total + 1, 3):
        database = Path(shutil.copytree(template.parent, tmp_path / f"kill{number}")) / "chroma_data"
        process, _ = in_another_process(database, number)
        assert was_killed(process), f"operation {number} was not reached"
        migrator = ChromaMigrator(database)
        migrator.recover()
        (backup,) = migrator.backups()
        with open_client(database) as client:
            count = client.get_collection("thought_nodes", embedding_function=None).count()
        states.append(count)
        if count == 60:
            assert backup.reason_to_keep == "has 1 records that a rollback left only in it"
            with pytest.raises(RefusedError, match="nothing was deleted"):
                migrator.clean()
            migrator.rollback()  # to where it is
        else:
            assert backup.reason_to_keep is None
        with open_client(database) as client:
            thoughts = client.get_collection("thought_nodes", embedding_function=None)
            assert thoughts.get(ids=["only here"])["ids"] == ["only here"]
        migrator.clean()
        assert not list(database.parent.rglob("lightmigrate-put-aside.json"))
        shutil.rmtree(database.parent)
    assert states == sorted(states, reverse=True), "once back, always back"
    assert set(states) == {60, 61}
