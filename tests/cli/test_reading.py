"""Reading commands write nothing, whatever state the database is in, and name the command that ends an interruption."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lightmigrate import BudgetPlan, Migrator, Model
from lightmigrate.cli.app import main
from tests.budget.collections import NOTES, build, cached, curve
from tests.cli import interrupting
from tests.databases import folder_hash, make_projection
from tests.processes import start, was_killed

READING = (("doctor",), ("status",), ("verify",), ("clean",), ("plan", "-p", "PROJECTION"))

Run = Callable[..., tuple[int, str, str]]


class KilledError(BaseException):
    """The process ends here."""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process; returns exit code, stdout and stderr."""

    def call(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that was migrated by a plan."""
    home = tmp_path_factory.mktemp("migrated")
    folder, provider = build(home / "home" / "db"), cached(home / "cache")
    measured = curve(folder, provider, lengths=(12,), samples=60)
    Migrator(folder).migrate_by_plan(BudgetPlan.of(NOTES, measured, measured.options[0]), provider, force=True)
    return folder.parent


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(migrated, tmp_path / "home")) / "db"


def projection_in(folder: Path) -> Path:
    """Takes the vectors that the collection has now."""
    return make_projection(source=Model("other", 128, normalised=False)).save(folder / "p.npz")


@pytest.fixture
def projection(tmp_path: Path) -> Path:
    return projection_in(tmp_path)


@pytest.fixture(scope="module")
def interrupted_template(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The parent of a database whose migration was interrupted at a moment; each is made once."""

    def die(progress: object) -> None:
        if getattr(progress, "step", "") == "verify":
            raise KilledError

    @functools.cache
    def at(moment: str) -> Path:
        place = tmp_path_factory.mktemp(moment)
        database, file = Path(shutil.copytree(migrated, place / "home")) / "db", projection_in(place)
        if moment == "build":
            with pytest.raises(KilledError):
                Migrator(database, on_progress=die).migrate_collection("notes", file, force=True)
        else:
            assert was_killed(start(interrupting.migrate, database, file, moment))
        return database.parent

    return at


@pytest.fixture
def interrupted(interrupted_template: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A database of this test's own whose migration was interrupted at a moment."""
    return lambda moment: Path(shutil.copytree(interrupted_template(moment), tmp_path / "home")) / "db"


@pytest.mark.parametrize("command", READING, ids=lambda words: words[0])
def test_a_healthy_database(command: tuple[str, ...], database: Path, projection: Path, run: Run) -> None:
    before = folder_hash(database.parent)
    code, _, err = run(*words(command, database, projection))
    assert (code, "resume" in err) == (0, False)
    assert folder_hash(database.parent) == before


def test_a_curve_reads_a_copy(database: Path, tmp_path: Path, run: Run) -> None:
    before = folder_hash(database.parent)
    function = '{"name": "test_wordllama", "config": {"dimension": 128}}'
    model = ["--target-provider", "chroma", "--target-model", function, "--cache", tmp_path / "cache.sqlite3"]
    assert run("plan", database, *model, "--samples", 60)[0] == 0
    assert folder_hash(database.parent) == before


@pytest.mark.parametrize("command", READING, ids=lambda words: words[0])
def test_a_build_was_interrupted(
    command: tuple[str, ...], interrupted: Callable[[str], Path], projection: Path, run: Run
) -> None:
    database = interrupted("build")
    before = folder_hash(database.parent)
    code, out, err = run(*words(command, database, projection))
    assert code == 0
    assert f"a migration was interrupted: lightmigrate resume {database} goes on" in " ".join((out + err).split())
    assert folder_hash(database.parent) == before
    assert Migrator(database).interrupted


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("command", READING, ids=lambda words: words[0])
def test_an_exchange_was_interrupted(
    command: tuple[str, ...], moment: str, interrupted: Callable[[str], Path], projection: Path, run: Run
) -> None:
    database = interrupted(moment)
    assert "an exchange was interrupted" in (Migrator(database).unfinished or "")
    before = folder_hash(database.parent)
    _, out, err = run(*words(command, database, projection))
    assert f"an exchange was interrupted: lightmigrate resume {database} " in " ".join((out + err).split())
    assert folder_hash(database.parent) == before
    code, out, _ = run("resume", database)
    assert code == 0
    assert ("finished" if moment == "after" else "undone") in out
    assert Migrator(database).unfinished is None


@pytest.mark.parametrize("command", [("doctor",), ("status",), ("verify",), ("plan", "-p", "PROJECTION")])
def test_the_folder_is_missing_between_two_renames(
    command: tuple[str, ...], interrupted: Callable[[str], Path], projection: Path, run: Run
) -> None:
    database = interrupted("between")
    assert "an exchange was interrupted" in (Migrator(database).unfinished or "")
    assert not database.exists()
    before = folder_hash(database.parent)
    code, _, err = run(*words(command, database, projection))
    assert code == 1
    assert f"lightmigrate resume {database}" in err
    assert folder_hash(database.parent) == before
    assert run("resume", database)[0] == 0
    assert run("doctor", database)[0] == 0


def words(command: tuple[str, ...], database: Path, projection: Path) -> list[object]:
    name, *options = command
    return [name, database, *(projection if word == "PROJECTION" else word for word in options)]
