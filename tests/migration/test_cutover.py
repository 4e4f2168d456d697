"""The exchange of folders, stopped at every place where it can stop, with and without the system's help."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lightmigrate import ChromaMigrator, Projection
from lightmigrate.errors import DatabaseChangedError, DatabaseError, DatabaseInUseError
from lightmigrate.migration.aside import cutover, exchange
from lightmigrate.migration.aside.cutover import cut_over, recover
from lightmigrate.migration.aside.exchange import MARKER
from lightmigrate.migration.aside.record import Record
from lightmigrate.migration.aside.workspace import Intention, Workspace
from lightmigrate.stores.chroma.files import ChromaFiles
from lightmigrate.stores.files import fingerprint
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


def run(workspace: Workspace, outgoing: str = "backup") -> None:
    workspace.write_journal(Intention("run", False, workspace.relative(workspace.staging), ""))
    seen = fingerprint(workspace.database)
    cut_over(workspace, "run", workspace.staging, workspace.database.parent / outgoing, seen)


def just_before_the_exchange(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """The exchange itself is the real one."""
    put_in_place = exchange.put_in_place

    def call(incoming: Path, live: Path, outgoing: Path) -> None:
        if content(live) == "old":
            do()
        put_in_place(incoming, live, outgoing)

    monkeypatch.setattr(exchange, "put_in_place", call)


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


def test_a_change_in_the_last_instant_puts_the_old_one_back(
    system: str, place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    just_before_the_exchange(monkeypatch, lambda: (place.database / "more").touch())
    with pytest.raises(DatabaseChangedError, match="written to during the exchange"):
        run(place)
    recover(place)
    assert_settled(place, "old", None)
    assert (place.database / "more").exists()


def test_a_change_while_the_new_one_was_built_is_found_before_the_exchange(place: Workspace) -> None:
    seen = fingerprint(place.database)
    (place.database / "more").touch()
    with pytest.raises(DatabaseChangedError, match="written to meanwhile"):
        cut_over(place, "run", place.staging, place.database.parent / "backup", seen)
    assert place.read_journal() is None
    assert content(place.staging) == "new"


def test_a_process_that_opened_the_old_one_in_the_last_instant_keeps_it(
    system: str, place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = place.database / "chroma.sqlite3"
    main.touch()
    opened = list[subprocess.Popen[str]]()

    def open_it() -> None:
        code = "import sys; file = open(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(main)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        opened.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"

    just_before_the_exchange(monkeypatch, open_it)
    try:
        with pytest.raises(DatabaseInUseError, match="was opened by process") as caught:
            run(place)
        assert caught.value.processes == (opened[0].pid,)
    finally:
        opened[0].communicate()
    recover(place)
    assert_settled(place, "old", None)


@pytest.mark.parametrize("outgoing", ["backup", ".db.lightmigrate/trash/old"])
def test_what_was_written_before_an_exchange_that_was_killed_is_kept_and_said(
    outgoing: str, system: str, place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.staging / "chroma.sqlite3").touch()
    Record("db", "2026-01-01", (), (), (), ()).write(place.staging)
    place.trash.mkdir()
    just_before_the_exchange(monkeypatch, lambda: (place.database / "more").write_text("late"))

    def killed(*_arguments: object) -> None:
        raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr(cutover, "_disturbed", killed)
        with pytest.raises(CrashError):
            run(place, outgoing)
    said = recover(place) or ""
    (kept,) = place.database.parent.rglob("more")
    assert f"what was written is only in {kept.parent}" in said
    assert content(place.database) == "new"
    assert content(kept.parent) == "old"
    record = Record.read(place.database)
    assert record is not None
    assert outgoing == "backup" or record.backups == (kept.parent.name,)


def test_a_backup_whose_name_somebody_took_gets_another_and_the_record_says_so(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = place.database.parent / "chroma_backup_20260101_000000"
    Record("db", "2026-01-01", (), (taken.name,), (), ()).write(place.staging)

    def take() -> None:
        taken.mkdir()
        (taken / "content").write_text("of a neighbour")

    just_before_the_exchange(monkeypatch, take)
    with pytest.raises(OSError, match="not empty"):
        run(place, taken.name)
    assert "was finished" in (recover(place) or "")
    assert content(taken) == "of a neighbour"
    record = Record.read(place.database)
    assert record is not None
    (name,) = record.backups
    assert name != taken.name
    assert content(place.database.parent / name) == "old"


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
