"""The exchange of folders, stopped at every place where it can stop, with and without the system's help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lightmigrate import ChromaMigrator, Projection
from lightmigrate.errors import DatabaseChangedError, DatabaseError, DatabaseInUseError
from lightmigrate.migration.aside import cutover, exchange
from lightmigrate.migration.aside.cutover import cut_over, recover
from lightmigrate.migration.aside.exchange import MARKER
from lightmigrate.migration.aside.workspace import Intention, Workspace
from lightmigrate.stores.chroma.files import ChromaFiles
from tests.databases import folder_hash
from tests.faults import EVERY_OPERATION


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
    workspace = Workspace(ChromaFiles(tmp_path / "db"))
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
    """Steps: journal, journal, marker's folder synced, first rename or exchange, second, parents synced, ..."""
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
            (exchange, "rename"),
            (exchange, "sync_folder"),
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
    rename = Path.replace

    def crash_at_second(self: Path, target: Path) -> Path:
        nonlocal renames
        if target == database or self == database:
            renames += 1
            if renames == 2:
                raise CrashError
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(exchange, "exchange_names", lambda one, other: False)
        patch.setattr(Path, "replace", crash_at_second)
        patch.setattr(cutover, "recover", lambda workspace: None)  # a dead process recovers nothing
        with pytest.raises(CrashError):
            ChromaMigrator(database).migrate_collection("thought_nodes", projection)
    assert not database.exists()
    migrator = ChromaMigrator(database)
    assert "lightmigrate resume" in (migrator.unfinished or "")
    assert "finished" in (migrator.recover() or "")
    assert migrator.unfinished is None
    (check,) = migrator.verify()
    assert check.unchanged
    (backup,) = migrator.backups()
    assert folder_hash(backup.path) == old


def test_two_migrators_exclude_each_other(database: Path, projection: Projection) -> None:
    with (
        Workspace(ChromaFiles(database)).locked(),
        pytest.raises(DatabaseInUseError, match="another lightmigrate is working"),
    ):
        ChromaMigrator(database).migrate_collection("thought_nodes", projection)
    with (
        Workspace(ChromaFiles(database)).locked(),
        pytest.raises(DatabaseInUseError),
        Workspace(ChromaFiles(database)).locked(),
    ):
        pass
    ChromaMigrator(database).migrate_collection("thought_nodes", projection)


def test_a_lock_left_behind_by_a_crash_holds_nobody_up(database: Path, projection: Projection) -> None:
    folder = Workspace(ChromaFiles(database)).folder
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "new").mkdir()
    (folder / "new" / "chroma.sqlite3").write_text("half")
    ChromaMigrator(database).migrate_collection("thought_nodes", projection)
    assert not folder.exists()


def test_a_journal_of_a_newer_version_stops_everything(database: Path) -> None:
    before, folder = folder_hash(database), Workspace(ChromaFiles(database)).folder
    folder.mkdir()
    (folder / "journal.json").write_text('{"format": 99, "anything": 1}')
    with pytest.raises(DatabaseError, match="has format 99, this lightmigrate reads 2"):
        ChromaMigrator(database)
    assert folder_hash(database) == before


def test_a_journal_that_leads_elsewhere_stops_everything(place: Workspace) -> None:
    place.write_journal(Intention("run", True, "../../etc", "backup"))
    with pytest.raises(DatabaseError, match="names a path outside"):
        recover(place)


@pytest.mark.parametrize("moment", ["building", "announced", "exchanged", "settled"])
def test_any_damage_to_the_journal_leaves_both_databases_whole(moment: str, system: str, tmp_path: Path) -> None:
    """Cut short at every byte, flipped in every byte, missing: what happened is read off the disk.

    That is `make crash`; the normal run takes every seventh byte, and the last ones.
    """

    def stopped(number: int) -> Workspace:
        home = tmp_path / str(number)
        home.mkdir()
        workspace = Workspace(ChromaFiles(home / "db"))
        for folder, said in ((workspace.database, "old"), (workspace.staging, "new")):
            folder.mkdir(parents=True)
            (folder / "content").write_text(said)
        workspace.write_journal(Intention("run", False, workspace.relative(workspace.staging), ""))
        if moment != "building":
            outgoing = home / "chroma_backup_1"
            exchanging = Intention("run", True, workspace.relative(workspace.staging), workspace.relative(outgoing))
            workspace.write_journal(exchanging)
            workspace.exchange.announce(workspace.staging)
            if moment == "exchanged":
                exchange.put_in_place(workspace.staging, workspace.database, workspace.folder / "held")
                (workspace.folder / "held").rename(workspace.staging)
            elif moment == "settled":
                workspace.exchange.put_in_place(workspace.staging, outgoing)
        return workspace

    whole = (stopped(0).folder / "journal.json").read_bytes()
    places = [at for at in range(len(whole)) if EVERY_OPERATION or at % 7 == 0 or at >= len(whole) - 3]
    damaged = [whole[:length] for length in places]
    damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in places]
    for number, journal in enumerate([*damaged, None], start=1):
        workspace = stopped(number)
        if journal is None:
            (workspace.folder / "journal.json").unlink()
        else:
            (workspace.folder / "journal.json").write_bytes(journal)
        try:
            recover(workspace)
        except DatabaseError as error:  # a flipped bit may make it look newer
            assert "has format" in str(error)  # noqa: PT017
            continue
        expected = "old" if moment in ("building", "announced") else "new"
        assert content(workspace.database) == expected
        backups = list(workspace.database.parent.glob("chroma_backup_*"))
        assert [content(backup) for backup in backups] == (["old"] if expected == "new" else [])
        assert not list(workspace.database.parent.rglob(MARKER))
