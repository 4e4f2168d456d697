"""The exchange of folders, stopped at every place where it can stop, with and without the system's help."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lightmigrate import ChromaMigrator, DatabaseChangedError, DatabaseError, DatabaseInUseError, Projection
from lightmigrate.migration import cutover, exchange
from lightmigrate.migration.cutover import MARKER, cut_over, recover
from lightmigrate.migration.workspace import Intention, Workspace
from tests.databases import folder_hash


class CrashError(BaseException):
    """The process ends here."""


@pytest.fixture(params=["atomic exchange", "two renames"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A system that can exchange two names, and one that cannot."""
    if request.param == "two renames":
        monkeypatch.setattr(exchange, "exchange_names", lambda one, other: False)
    return str(request.param)


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    """A database `db` that says old, a whole incoming folder that says new, the lock held in spirit."""
    workspace = Workspace(tmp_path / "db")
    for folder, content in ((workspace.database, "old"), (workspace.staging, "new")):
        folder.mkdir(parents=True)
        (folder / "content").write_text(content)
    return workspace


def content(folder: Path) -> str:
    return (folder / "content").read_text()


def run(workspace: Workspace, unchanged: Callable[[Path], bool] = lambda folder: True) -> None:
    workspace.write_journal(Intention("run", False, workspace.relative(workspace.staging), ""))
    cut_over(workspace, "run", workspace.staging, workspace.database.parent / "backup", unchanged)


def assert_settled(workspace: Workspace, live: str, backup: str | None) -> None:
    assert content(workspace.database) == live
    assert not (workspace.database / MARKER).exists()
    assert workspace.read_journal() is None
    path = workspace.database.parent / "backup"
    assert (content(path) if path.exists() else None) == backup
    assert not workspace.staging.exists()


def test_it_exchanges(system: str, place: Workspace) -> None:
    run(place)
    assert_settled(place, "new", "old")
    assert recover(place) is None


def test_a_change_in_the_last_instant_puts_the_old_one_back(system: str, place: Workspace) -> None:
    with pytest.raises(DatabaseChangedError):
        run(place, unchanged=lambda folder: content(folder) != "old")
    recover(place)
    assert_settled(place, "old", None)


@pytest.mark.parametrize("crash", range(1, 7))
def test_a_crash_before_any_step(crash: int, system: str, place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps: journal, marker's folder synced, journal, first rename or exchange, second, parents synced, ..."""
    steps = 0

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **keywords: object) -> object:
            nonlocal steps
            steps += 1
            if steps == crash:
                raise CrashError
            return function(*arguments, **keywords)

        return call

    with monkeypatch.context() as patch:
        for owner, name in (
            (Workspace, "write_journal"),
            (Workspace, "close_journal"),
            (Path, "rename"),
            (cutover, "sync_folder"),
            (exchange, "exchange_names"),
        ):
            patch.setattr(owner, name, counted(getattr(owner, name)))
        with pytest.raises(CrashError):
            run(place)
        assert steps == crash
    live_before = content(place.database) if place.database.exists() else None
    said = recover(place)
    exchanged = content(place.database) == "new"
    assert_settled(place, "new" if exchanged else "old", "old" if exchanged else None)
    if live_before is not None:
        assert content(place.database) == live_before, "what was live at the crash stays live"
    assert said is None or ("finished" in said) == exchanged or "had ended" in said


def test_between_two_renames_the_next_migrator_finds_the_database(
    database: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one instant in which a system without an exchange has no database under its name."""
    old = folder_hash(database)
    renames = 0
    rename = Path.rename

    def crash_at_second(self: Path, target: Path) -> Path:
        nonlocal renames
        if target == database or self == database:
            renames += 1
            if renames == 2:
                raise CrashError
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(exchange, "exchange_names", lambda one, other: False)
        patch.setattr(Path, "rename", crash_at_second)
        patch.setattr(cutover, "recover", lambda workspace: None)  # a dead process recovers nothing
        with pytest.raises(CrashError):
            ChromaMigrator(database).migrate_collection("thought_nodes", projection)
    assert not database.exists()
    migrator = ChromaMigrator(database)
    assert migrator.recovered is not None
    assert "finished" in migrator.recovered
    (check,) = migrator.verify()
    assert check.unchanged
    (backup,) = migrator.backups()
    assert folder_hash(backup.path) == old


def test_two_migrators_exclude_each_other(database: Path, projection: Projection) -> None:
    with Workspace(database).locked(), pytest.raises(DatabaseInUseError, match="another lightmigrate is working"):
        ChromaMigrator(database)
    with Workspace(database).locked(), pytest.raises(DatabaseInUseError), Workspace(database).locked():
        pass
    ChromaMigrator(database).migrate_collection("thought_nodes", projection)


def test_a_lock_left_behind_by_a_crash_holds_nobody_up(database: Path, projection: Projection) -> None:
    folder = Workspace(database).folder
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "new").mkdir()
    (folder / "new" / "chroma.sqlite3").write_text("half")
    ChromaMigrator(database).migrate_collection("thought_nodes", projection)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("journal", "message"),
    [
        ("", "is damaged"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"format": 1}', "is damaged"),
        ('{"format": 2, "anything": 1}', "has format 2, this lightmigrate reads 1"),
        (
            json.dumps({"format": 1, "run": "x", "exchanging": True, "incoming": "../../etc", "outgoing": "b"}),
            "names a path outside",
        ),
    ],
)
def test_a_journal_that_cannot_be_trusted_stops_everything(journal: str, message: str, database: Path) -> None:
    before = folder_hash(database)
    folder = Workspace(database).folder
    folder.mkdir()
    (folder / "journal.json").write_text(journal)
    with pytest.raises(DatabaseError, match=message):
        ChromaMigrator(database)
    assert folder_hash(database) == before
