"""What other systems do differently with files: their branches run here, and whole migrations over them."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from lightmigrate import ChromaMigrator, Projection, system
from lightmigrate.errors import DatabaseInUseError
from lightmigrate.files import is_locked, locked, replacing, shared, try_lock
from lightmigrate.migration.aside import migration
from lightmigrate.registry.registry import Registry
from lightmigrate.stores.vector_files.blocks import read_bytes
from lightmigrate.system import FileInUseError
from tests import windows
from tests.crash.places import is_new
from tests.databases import contents, folder_hash
from tests.migration.test_resume import KilledError, dies, jobs

JOBS = ("thought_nodes", "notes")


@pytest.fixture(params=["linux", "win32"])
def locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The locks of a system."""
    if request.param == "win32":
        windows.pretend(monkeypatch)


@pytest.fixture(params=["no exchange", "win32", "macOS"])
def other(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A system without an exchange of names: an old Linux or a network file system, Windows, macOS before 10.12."""
    if request.param == "win32":
        windows.pretend(monkeypatch)
    elif request.param == "macOS":
        monkeypatch.setattr(system, "NAME", "darwin")
    monkeypatch.setattr(system, "_exchange", lambda one, other: None)
    return str(request.param)


def test_locks_exclude(locks: None, tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    held = try_lock(path)
    assert held is not None
    assert try_lock(path) is None
    assert is_locked(path)
    held.close()
    assert not is_locked(path)
    with locked(path):
        assert try_lock(path) is None
    with shared(path):
        assert try_lock(path) is None


def test_who_waits_gets_the_lock(locks: None, tmp_path: Path) -> None:
    """Windows gives up after some tries; they are repeated."""
    path, order = tmp_path / "lock", []
    held = try_lock(path)
    assert held is not None

    def wait() -> None:
        with locked(path):
            order.append("waited")

    waiting = threading.Thread(target=wait)
    waiting.start()
    order.append("held")
    held.close()
    waiting.join(60)
    assert order == ["held", "waited"]


def test_a_file_that_somebody_reads_is_replaced_when_he_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "it").write_text("old")
    windows.pretend(monkeypatch)
    reader = (tmp_path / "it").open()
    monkeypatch.setattr(time, "sleep", lambda seconds: reader.close())
    with replacing(tmp_path / "it") as file:
        file.write(b"new")
    assert (tmp_path / "it").read_text() == "new"


def test_a_file_that_stays_in_use_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "it").write_text("old")
    windows.pretend(monkeypatch)
    monkeypatch.setattr(system, "SECONDS_IN_USE", 0.0)
    with (tmp_path / "it").open() as reader:
        with pytest.raises(FileInUseError), replacing(tmp_path / "it") as file:
            file.write(b"new")
        with pytest.raises(FileInUseError):
            system.delete(tmp_path / "it")
        assert reader.read() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


def test_a_folder_of_which_somebody_reads_a_file_is_deleted_when_he_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    for name in ("one", "below/two"):
        (folder / name).write_text(name)
    windows.pretend(monkeypatch)
    reader = (folder / "below" / "two").open()
    with monkeypatch.context() as patch:
        patch.setattr(system, "SECONDS_IN_USE", 0.0)
        with pytest.raises(FileInUseError):
            system.delete_folder(folder)
    assert (folder / "below" / "two").exists()
    monkeypatch.setattr(time, "sleep", lambda seconds: reader.close())
    system.delete_folder(folder)
    assert not folder.exists()


@pytest.mark.parametrize("links", [True, False])
def test_a_file_gets_a_second_name(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy where the file system has no links; in place of what a crash has left."""

    def refused(*names: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("content")
    os.utime(one, ns=(10**18, 10**18))
    other.write_text("half of an earlier one")
    if not links:
        monkeypatch.setattr(os, "link", refused)
    system.second_name(one, other)
    assert other.read_text() == "content"
    assert other.samefile(one) is links
    assert other.stat().st_mtime_ns == 10**18
    system.rename(other, one)
    assert one.read_text() == "content"


def test_bytes_are_read_from_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "it").write_bytes(bytes(range(100)))
    windows.pretend(monkeypatch)
    with (tmp_path / "it").open("rb") as file:
        assert read_bytes(file.fileno(), 90, 10) == bytes(range(90, 100))
        with pytest.raises(OSError, match="5 bytes too early"):
            read_bytes(file.fileno(), 95, 10)


def test_a_database_is_migrated_and_rolled_back(other: str, database: Path, projection: Projection) -> None:
    before = folder_hash(database)
    ChromaMigrator(database).migrate(jobs(projection))
    migrator = ChromaMigrator(database)
    (backup,) = migrator.backups()
    assert folder_hash(backup.path) == before
    migrator.rollback()
    assert folder_hash(database) == before
    assert len(migrator.clean()) == 1
    assert migrator.unfinished is None


def test_a_migration_is_resumed(other: str, database: Path, projection: Projection, tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        ChromaMigrator(database, page_size=10, on_progress=dies("write", 6)).migrate(jobs(projection), index="rewrite")
    ChromaMigrator(database).resume(index="rewrite")
    (backup,) = ChromaMigrator(database).backups()
    assert is_new(contents(database), contents(backup.path), projection)


def test_a_database_that_is_open_stays_where_it_is(
    database: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system cannot tell who has it open, it refuses to rename it."""
    before = folder_hash(database)
    windows.pretend(monkeypatch)
    monkeypatch.setattr(system, "SECONDS_IN_USE", 0.0)
    monkeypatch.setattr(migration, "require_unused", lambda files: None)
    with (database / "chroma.sqlite3").open("rb"), pytest.raises(DatabaseInUseError, match="somebody has"):
        ChromaMigrator(database).migrate(jobs(projection))
    assert folder_hash(database) == before
    assert ChromaMigrator(database).unfinished is None
    ChromaMigrator(database).migrate(jobs(projection))


def test_a_registry_is_written(other: str, projection_file: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    registry.add_file(projection_file)
    assert len(registry.entries()) == 1


def test_a_flush_that_fails_while_more_is_written_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(system, "_FLUSHED_AHEAD", 10)
    with (tmp_path / "file").open("wb") as file:
        flushed = system.FlushedAhead(file.fileno())
        flushed.add(9)
        flushed.add(9)
        flushed.close()
        monkeypatch.setattr(os, "fdatasync", full)
        failing = system.FlushedAhead(file.fileno())
        failing.add(20)
        with pytest.raises(OSError, match="No space left"):
            failing.close()
        monkeypatch.delattr(os, "fdatasync")
        without = system.FlushedAhead(file.fileno())
        without.add(20)
        without.close()


@pytest.mark.parametrize(("files", "cores"), [
    (["200000 100000\n"], 2),
    (["150000 100000\n"], 2),  # one and a half
    (["50000 100000\n"], 1),
    (["900000 100000\n"], 4),  # more than there are
    (["max 100000\n"], 4),
    (["300000\n", "100000\n"], 3),
    (["-1\n", "100000\n"], 4),
    (["100000 0\n"], 4),
    (["?"], 4),
    ([], 4),
])  # fmt: skip
def test_a_container_has_the_cores_that_it_has_the_time_of(
    files: list[str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, content in enumerate(files):
        (tmp_path / str(number)).write_text(content)
    told = tuple(str(tmp_path / str(number)) for number in range(max(1, len(files))))
    monkeypatch.setattr("lightmigrate.system._QUOTAS", ((str(tmp_path / "none"),), told))
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    assert system.cores() == cores
