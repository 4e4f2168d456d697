"""A folder whose SQLite file is in another journal mode, or whose writer was killed: nothing is lost, nothing refused.

People set WAL mode against "database is locked".
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from lightmigrate import CollectionJob, Migrator
from lightmigrate.errors import DatabaseChangedError
from lightmigrate.migration.aside import location
from lightmigrate.progress import Progress
from lightmigrate.stores.chroma.client import open_client
from tests.crash.places import is_new, is_old
from tests.databases import contents, make_projection, make_vectors

MAIN = "chroma.sqlite3"

# Writes one value and dies, so that in WAL mode it is in the log alone; or dies in the middle of a write.
KILLED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
if len(sys.argv) > 2:
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("UPDATE embedding_metadata SET string_value = 'torn' || randomblob(5000)")
    os._exit(9)
connection.execute("PRAGMA wal_autocheckpoint = 0")
connection.execute("UPDATE embedding_metadata SET string_value = 'in the log' WHERE id = 1 AND key = 'chroma:document'")
connection.commit()
os._exit(9)
"""


def in_wal_mode(folder: Path) -> Path:
    with contextlib.closing(sqlite3.connect(folder / MAIN)) as connection:
        assert connection.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    return folder


def journal_mode(folder: Path) -> object:
    with contextlib.closing(sqlite3.connect(folder / MAIN)) as connection:
        return connection.execute("PRAGMA journal_mode").fetchone()[0]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("killed", [False, True])
def test_it_is_migrated_and_put_back(
    database: Path, tmp_path: Path, killed: bool, inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if inside:  # a volume of its own
        monkeypatch.setattr(location, "is_mount_point", lambda folder: True)
    in_wal_mode(database)
    if killed:
        subprocess.run([sys.executable, "-c", KILLED, str(database / MAIN)], check=False)
        assert (database / f"{MAIN}-wal").stat().st_size > 0
    shutil.copytree(database, tmp_path / "before")
    before = contents(tmp_path / "before")
    assert ("in the log" in str(before)) == killed
    projection = make_projection()
    Migrator(database).migrate([CollectionJob(name, projection) for name in ("notes", "thought_nodes")])
    assert all(check.unchanged for check in Migrator(database).verify())
    assert is_new(contents(database), before, projection)
    assert journal_mode(database) == "wal"
    Migrator(database).rollback()
    assert is_old(contents(database), before)
    assert journal_mode(database) == "wal"


def test_what_was_written_since_is_carried_over(database: Path) -> None:
    in_wal_mode(database)
    Migrator(database).migrate([CollectionJob("notes", make_projection())])
    with open_client(database) as client:
        notes = client.get_collection("notes", embedding_function=None)
        notes.add(ids=["new"], embeddings=make_vectors(1, 24, seed=1), documents=["written since"])
    Migrator(database).rollback(written="carry")
    assert "written since" in str(contents(database))
    assert journal_mode(database) == "wal"


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST"])
@pytest.mark.parametrize("killed", [False, True])
def test_the_journal_of_an_unfinished_write_is_rolled_back_and_that_of_an_ended_one_is_nothing(
    database: Path, tmp_path: Path, mode: str, killed: bool, inside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if inside:
        monkeypatch.setattr(location, "is_mount_point", lambda folder: True)
    before = contents(Path(shutil.copytree(database, tmp_path / "before")))
    connection = sqlite3.connect(database / MAIN)
    connection.execute(f"PRAGMA journal_mode = {mode}")
    connection.execute("UPDATE collections SET name = name")
    connection.commit()
    connection.close()
    journal = database / f"{MAIN}-journal"
    assert journal.exists() == (mode != "DELETE")
    if killed:
        subprocess.run([sys.executable, "-c", KILLED, str(database / MAIN), "in the middle"], check=False)
        assert journal.stat().st_size > 0
    projection = make_projection()
    Migrator(database).migrate([CollectionJob(name, projection) for name in ("notes", "thought_nodes")])
    assert is_new(contents(database), before, projection)
    Migrator(database).rollback()
    assert is_old(contents(database), before)


def test_a_write_meanwhile_is_still_seen(database: Path) -> None:
    in_wal_mode(database)

    def write(progress: Progress) -> None:
        if progress.step == "verify":
            subprocess.run([sys.executable, "-c", KILLED, str(database / MAIN)], check=False)

    with pytest.raises(DatabaseChangedError, match="was written to"):
        Migrator(database, on_progress=write).migrate([CollectionJob("notes", make_projection())])
    assert "in the log" in str(contents(database))
