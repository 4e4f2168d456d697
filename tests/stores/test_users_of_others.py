"""A folder of another user, migrated without root: who has it open is seen where it can be, and else that is said."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightmigrate import Migrator, Projection, system
from lightmigrate.commands.conversation import Conversation, Notice
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.errors import DatabaseInUseError
from lightmigrate.stores import unseen, users
from lightmigrate.stores.promises import OF_FILES
from lightmigrate.stores.unseen import open_unseen, why_unknown
from lightmigrate.stores.users import UNSEEN, may_be_open, users_of
from tests.contract.test_promises import printed
from tests.databases import folder_hash
from tests.other_users import APP, DEPLOY, SHARED, as_user, give_all, needs_root, open_folder
from tests.processes import another_process

# Loads Chroma, becomes a user, and serves a folder, which its words name or not.
_SERVES_AS = """
import os, sys, tempfile, chromadb
with tempfile.TemporaryDirectory() as folder:
    client = chromadb.PersistentClient(folder)
    client.list_collections()
    client.close()
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[1]))
client = chromadb.PersistentClient(os.path.join(*sys.argv[3:]))
client.list_collections()
print('open', flush=True)
sys.stdin.read()
"""
_WRITES_AS = """
import os, sqlite3, sys
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[1]))
file = sqlite3.connect(os.path.join(*sys.argv[3:]))
file.execute('BEGIN IMMEDIATE')
print('open', flush=True)
sys.stdin.read()
"""
# Its first process, of root, was started with the path of the folder, as `sudo` is.
_STARTS_ANOTHER = """
import os, sys
from pathlib import Path
from lightmigrate.stores.users import users_of
if (child := os.fork()) == 0:
    os.setgroups([int(sys.argv[2])])
    os.setgid(int(sys.argv[1]))
    os.setuid(int(sys.argv[1]))
    print(users_of(Path(sys.argv[3]) / 'chroma.sqlite3'), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.fixture
def theirs(database: Path) -> Iterator[Path]:
    """A folder of the user `APP`, in which the group may write."""
    with open_folder() as home:
        folder = Path(shutil.copytree(database, home / "chroma_data"))
        give_all(folder, APP, SHARED, 0o2770, 0o660)
        yield folder


@needs_root
def test_where_nobody_can_tell_doctor_promises_less_and_migrate_says_so_before_it_asks(
    theirs: Path, projection: Projection, caplog: pytest.LogCaptureFixture
) -> None:
    line = (
        f"not promised: whoever has the files open may not be seen (only root and their owner, user {APP}, can tell): "
        "stop everything that may use them first"
    )
    with another_process(_SERVES_AS, APP, SHARED, theirs.parent, theirs.name), as_user(DEPLOY, [SHARED]):
        assert users_of(theirs / "chroma.sqlite3") == []
        assert Migrator(theirs).diagnose().used_by is None
        assert f" – {line}" in printed(Migrator(theirs))
        assert OF_FILES.kept[-1] not in printed(Migrator(theirs))
        asked: list[object] = []
        talk = Conversation(confirm=lambda question: False, show=asked.append)
        DatabaseChoice(theirs).open(talk, writing=True)  # as `rollback`, `resume` and `refine`
        assert asked == [Notice(line)]
        asked.clear()
        migrator = DatabaseChoice(theirs).open_to_migrate(talk)
        assert asked == [Notice(line)]
        migrator.migrate_collection("thought_nodes", projection)
    assert "may not be seen" not in caplog.text, "it was said before the question"


@needs_root
def test_where_nobody_is_asked_one_warning_says_so(
    theirs: Path, projection: Projection, caplog: pytest.LogCaptureFixture
) -> None:
    with as_user(DEPLOY, [SHARED]):
        Migrator(theirs).migrate_collection("thought_nodes", projection)
        Migrator(theirs).rollback()
    warnings = [record for record in caplog.records if "may not be seen" in record.getMessage()]
    assert [record.levelno for record in warnings] == [logging.WARNING]
    assert warnings[0].getMessage().startswith(f"{theirs}: whoever has the files open may not be seen (only root and")


@needs_root
def test_a_server_of_another_user_that_was_started_with_the_path_is_refused(
    theirs: Path, projection: Projection
) -> None:
    with another_process(_SERVES_AS, APP, SHARED, theirs) as server, as_user(DEPLOY, [SHARED]):
        before = folder_hash(theirs)
        assert users_of(theirs / "chroma.sqlite3") == [server.pid]
        who = rf"seems to be open in process {server.pid} \(python.*, of user {APP}\): stop it .*user {APP} or root"
        with pytest.raises(DatabaseInUseError, match=who):
            Migrator(theirs).migrate_collection("thought_nodes", projection)
        assert folder_hash(theirs) == before
    with as_user(DEPLOY, [SHARED]):
        assert users_of(theirs / "chroma.sqlite3") == []


@needs_root
def test_a_server_in_wal_mode_is_seen_by_the_lock_that_it_holds(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "SECONDS_TO_LOOK", 0.1)
    file = sqlite3.connect(theirs / "chroma.sqlite3")
    file.execute("PRAGMA journal_mode=WAL")
    file.close()
    with another_process(_SERVES_AS, APP, SHARED, theirs.parent, theirs.name) as server, as_user(DEPLOY, [SHARED]):
        assert users_of(theirs / "chroma.sqlite3") == [server.pid]


@needs_root
def test_who_writes_is_seen_by_the_lock(theirs: Path, projection: Projection) -> None:
    main = theirs / "chroma.sqlite3"
    words = APP, SHARED, theirs.parent, theirs.name, main.name
    with another_process(_WRITES_AS, *words) as writer, as_user(DEPLOY, [SHARED]):
        assert users_of(main) == [writer.pid]
        with pytest.raises(DatabaseInUseError, match=rf"seems to be open in process {writer.pid} "):
            Migrator(theirs).migrate_collection("thought_nodes", projection)


@needs_root
def test_root_and_the_owner_are_told_for_certain(theirs: Path) -> None:
    main = theirs / "chroma.sqlite3"
    with another_process(_SERVES_AS, APP, SHARED, theirs.parent, theirs.name) as server:
        assert users_of(main) == [server.pid]
        with as_user(APP, [SHARED]):
            assert users_of(main) == [UNSEEN]
            assert may_be_open(main) is None
    with as_user(APP, [SHARED]):
        assert users_of(main) == []
        assert may_be_open(main) is None


@needs_root
def test_who_started_this_process_with_the_path_is_no_user(theirs: Path) -> None:
    words = [sys.executable, "-c", _STARTS_ANOTHER, *map(str, (DEPLOY, SHARED, theirs))]
    assert subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout == "[]\n"


def test_where_the_file_system_grants_no_lease_it_is_not_known(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # one that grants none for anything else is not on every machine
    assert open_unseen(tmp_path / "pipe") == "unknown"
    assert why_unknown(tmp_path / "pipe") == "their file system does not tell"


@pytest.mark.parametrize(
    ("kind", "alone", "held"),
    [
        ("ext4", "free", "open"),
        ("nfs4", "unknown", "unknown"),
        ("cifs", "unknown", "unknown"),
        ("fuse.sshfs", "unknown", "open"),
        ("fuseblk", "free", "open"),
        ("virtiofs", "unknown", "open"),
    ],
)
def test_a_lease_on_this_machine_says_nothing_of_others(
    kind: str, alone: str, held: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unseen, "_file_system", lambda path: kind)
    path = tmp_path / "file"
    path.write_bytes(b"content")
    assert open_unseen(path) == alone
    assert why_unknown(path) == (None if alone == "free" else f"a {kind} file system does not tell")
    holder = os.open(path, os.O_RDONLY)
    try:
        assert open_unseen(path) == held
    finally:
        os.close(holder)


def test_on_macos_it_is_not_known_and_windows_renames_nothing_that_is_open(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "NAME", "darwin")
    assert "may not be seen (this system does not tell)" in printed(Migrator(database))
    monkeypatch.setattr(system, "NAME", "win32")
    assert str(OF_FILES) in printed(Migrator(database)).splitlines()
