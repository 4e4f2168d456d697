"""Who has a database open: processes of other containers on the same volume, too; a look is no use of it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lightmigrate import Migrator
from lightmigrate.stores import users
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.unseen import open_unseen
from lightmigrate.stores.users import users_of
from tests.processes import TIMEOUT, another_process

# Opens a file, says so, and goes on until its input ends.
_HOLDS = "import sys; file = open(sys.argv[1], 'r+b'); print('open', flush=True); sys.stdin.read()"
_LOOKS_UNTIL = """
import os, sys, time
file = open(sys.argv[1], 'rb')
print('open', flush=True)
while not os.path.exists(sys.argv[2]):
    time.sleep(0.01)
file.close()
sys.stdin.read()
"""
_OPENS_AGAIN_AND_AGAIN = """
import os, sys
print('open', flush=True)
while not os.path.exists(sys.argv[2]):
    os.close(os.open(sys.argv[1], os.O_RDWR))
"""


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """`/proc` as a container has it: with its own processes only."""
    monkeypatch.setattr(users, "all_processes", lambda: [os.getpid()])


@pytest.mark.usefixtures("alone")
def test_this_process_keeps_its_locks(database: Path) -> None:
    with open_client(database) as client:
        client.list_collections()
        assert users_of(database / "chroma.sqlite3") == [os.getpid()]


@pytest.mark.parametrize("mode", ["r+b", "rb"])
def test_who_only_reads_is_noticed_too(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    assert open_unseen(path) == "free"
    with another_process(_HOLDS.replace("r+b", mode), path):
        assert open_unseen(path) == "open"
    assert open_unseen(path) == "free"
    assert path.read_bytes() == b"content"
    assert open_unseen(tmp_path / "nothing") == "free"


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
    assert found == {"free"}


def test_a_look_is_waited_for_and_a_user_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, end = tmp_path / "file", tmp_path / "end"
    path.write_bytes(b"content")
    pauses = list[float]()
    pause = time.sleep

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        end.touch()  # the look ends while it is waited for
        pause(seconds)

    monkeypatch.setattr("lightmigrate.stores.users.time.sleep", sleep)
    with another_process(_LOOKS_UNTIL, path, end), another_process(_HOLDS, path) as user:
        assert user.pid in users_of(path)
        assert not pauses
    with another_process(_LOOKS_UNTIL, path, end):
        monkeypatch.setattr(users, "SECONDS_TO_LOOK", TIMEOUT)
        assert users_of(path) == []
        assert pauses


def test_who_only_reads_and_does_not_close_it_is_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    monkeypatch.setattr(users, "SECONDS_TO_LOOK", 0.1)
    with another_process(_HOLDS.replace("r+b", "rb"), path) as reader:
        assert users_of(path) == [reader.pid]
        with path.open("rb"):
            assert users_of(path) == sorted([reader.pid, os.getpid()])


def test_a_process_is_named_whatever_its_name_is_made_of(database: Path) -> None:
    """Linux cuts a name to 15 bytes: of eight letters of two bytes the last one is cut in two."""
    naming = f"import ctypes; ctypes.CDLL(None).prctl(15, {'ж' * 8!r}.encode(), 0, 0, 0); "
    with another_process(naming + _HOLDS, database / "chroma.sqlite3"):
        (name,) = (Migrator(database).diagnose().used_by or {}).values()
        assert name.startswith("ж" * 7)
