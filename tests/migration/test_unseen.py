"""A folder that a process has open which `/proc` does not show, as one in another container on the same volume."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lightmigrate import Migrator, Projection
from lightmigrate.errors import DatabaseInUseError
from lightmigrate.stores import files
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.files import UNSEEN, users_of
from lightmigrate.stores.unseen import open_unseen
from tests.databases import folder_hash

# Opens a file, or a Chroma client, says so, and goes on until its input ends.
_HOLDS = "import sys; file = open(sys.argv[1], 'r+b'); print('open', flush=True); sys.stdin.read()"
_SERVES = """
import sys, chromadb
client = chromadb.PersistentClient(sys.argv[1])
client.list_collections()
print('open', flush=True)
sys.stdin.read()
"""
_OPENS_AGAIN_AND_AGAIN = """
import os, sys
print('open', flush=True)
while not os.path.exists(sys.argv[2]):
    os.close(os.open(sys.argv[1], os.O_RDWR))
"""


@contextmanager
def another_process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """`/proc` as a container has it: with its own processes only."""
    monkeypatch.setattr(files, "_processes", lambda: [os.getpid()])


@pytest.mark.usefixtures("alone")
def test_nothing_is_migrated_and_nothing_changed(database: Path, projection: Projection) -> None:
    with another_process(_SERVES, database):
        before = folder_hash(database)
        assert users_of(database / "chroma.sqlite3") == [UNSEEN]
        with pytest.raises(DatabaseInUseError, match="cannot be seen from here, in another container or of another"):
            Migrator(database).migrate_collection("thought_nodes", projection)
        diagnosis = Migrator(database).diagnose()
        assert diagnosis.used_by == {UNSEEN: "in another container, or of another user"}
        assert folder_hash(database) == before
    assert users_of(database / "chroma.sqlite3") == []
    Migrator(database).migrate_collection("thought_nodes", projection)


@pytest.mark.usefixtures("alone")
def test_this_process_keeps_its_locks(database: Path) -> None:
    with open_client(database) as client:
        client.list_collections()
        assert users_of(database / "chroma.sqlite3") == [os.getpid()]


@pytest.mark.parametrize("mode", ["r+b", "rb"])
def test_who_only_reads_is_noticed_too(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    assert not open_unseen(path)
    with another_process(_HOLDS.replace("r+b", mode), path):
        assert open_unseen(path)
    assert not open_unseen(path)
    assert path.read_bytes() == b"content"
    assert not open_unseen(tmp_path / "nothing")


def test_who_opens_it_for_a_moment_is_not_taken_for_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, end = tmp_path / "file", tmp_path / "end"
    path.write_bytes(b"content")
    pauses = list[float]()
    monkeypatch.setattr("lightmigrate.stores.unseen.time.sleep", pauses.append)
    with another_process(_OPENS_AGAIN_AND_AGAIN, path, end):
        found = {open_unseen(path) for _ in range(1000)}
        while not pauses:  # until both had it open at once; it ends neither of the two
            found.add(open_unseen(path))
        end.touch()
    assert found == {False}
