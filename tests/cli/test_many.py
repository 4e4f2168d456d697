"""Many small collections on the command line: one projection, one progress bar, a short report."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from lightmigrate.cli.app import main
from lightmigrate.cli.show import budget, terminal
from lightmigrate.cli.show.many import LISTED, TableRow, names, rows_to_show
from lightmigrate.progress import Progress, together
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.refinement.status import RefinementStatus
from lightmigrate.stores.base import Address
from tests.encoders import WordLlamaFunction
from tests.startup.starts import POTION, ROWS_OF_EACH, SMALL, many, stored, vectors_of, write

MODEL = (
    "--target-provider",
    "chroma",
    "--target-model",
    json.dumps({"name": "test_wordllama", "config": {"dimension": 256}}),
)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(terminal.output, "_width", 200)  # the console is made once, whatever COLUMNS says later
    monkeypatch.chdir(tmp_path)
    return many(tmp_path / "home" / "chroma_data")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command; returns its exit code, stdout and stderr."""
    assert WordLlamaFunction.name() == "test_wordllama"
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)

    def called(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return called


def test_all_of_one_model_are_migrated_by_one_projection(run: Run, database: Path) -> None:
    code, out, messages = run("migrate", database, "--calibrate", 50, *MODEL, "--force", "--yes")
    assert code == 0, messages
    assert f"{SMALL} collections: {SMALL * ROWS_OF_EACH} records, 384 → 256 dimensions" in out
    assert len(out.splitlines()) < 10
    assert len(messages.splitlines()) < 40
    assert stored(database, "file-007").shape == (ROWS_OF_EACH, 256)
    code, out, _ = run("verify", database)
    assert code == 0
    assert f"{SMALL} collections" in out
    assert "invalid vectors" not in out, "a column in which nothing stands"
    code, out, _ = run("status", database, "--json")
    assert len(json.loads(out)) == SMALL
    code, out, _ = run("doctor", database)
    assert f"{SMALL} collections" in out


def test_they_teach_one_projection(run: Run, database: Path) -> None:
    code, out, messages = run(
        "train", "--from", database, *MODEL, "--samples", 100, "--passing", 0, "--failing", 0, "--yes", "--json"
    )
    assert code == 0, messages
    trained = json.loads(out)
    assert trained["gate"]["n_documents"] == 100
    assert trained["gate"]["collection_size"] == SMALL * ROWS_OF_EACH
    code, out, messages = run("plan", database, "--projection", trained["files"][0])
    assert code == 0, messages
    assert f"{SMALL} collections" in out


def test_what_each_share_keeps_of_all_of_them(run: Run, database: Path) -> None:
    code, out, messages = run("plan", database, *MODEL, "--samples", 60, "--json")
    assert code == 0, messages
    planned = json.loads(out)
    assert planned["curve"]["size"]["records"] == SMALL * ROWS_OF_EACH
    code, _, messages = run("plan", database, *MODEL, "--samples", 60, "--budget", "10%")
    assert code == 1
    assert "lightmigrate migrate" in messages


def test_collections_of_several_models_are_named(run: Run, database: Path) -> None:
    write(database, vectors_of(POTION)[:40], name="of-potion")
    code, _, messages = run("train", "--from", database, *MODEL, "--yes")
    assert code == 1
    said = " ".join(messages.split())
    assert f"{SMALL} of 384 dimensions" in said
    assert "such as of-potion" in said


def test_equal_rows_of_many_share_one() -> None:
    rows = [TableRow(f"c{number}", 2, ("same",)) for number in range(LISTED)]
    assert rows_to_show(rows) == [(f"c{number}", "2", "same") for number in range(LISTED)]
    many_rows = [*rows, TableRow("odd", 1000, ("other",))]
    assert rows_to_show(many_rows) == [(f"{LISTED} collections", str(2 * LISTED), "same"), ("odd", "1,000", "other")]
    assert names(["a", "b"]) == "a, b"
    assert names([str(number) for number in range(9)]) == "0, 1, 2, 3, 4 and 4 more"


def test_reports_of_several_collections_are_one() -> None:
    heard: list[Progress] = []
    report = together(heard.append, 30, 3)
    report(Progress("copy", 5, 10))
    for name in ("a", "b", "b"):  # two collections of different tenants may have one name
        for done in (5, 10):
            report(Progress("write", done, 10, name))
    assert heard[0] == Progress("copy", 5, 10)
    assert [one.done for one in heard[1:]] == [5, 10, 15, 20, 25, 30]
    assert {(one.total, one.collection) for one in heard[1:]} == {(30, "")}


def test_status_of_many_has_a_row_for_those_that_look_alike_and_no_column_of_zeros() -> None:
    def status(name: str, exact: int) -> RefinementStatus:
        share = exact / 8
        quality = QualityEstimate(share, share, share)
        where = Address(name)
        return RefinementStatus(name, where.tenant, where.database, "m", 8, exact, 0, 8 - exact, share, quality)

    def shown(statuses: list[RefinementStatus]) -> list[list[str]]:
        console = Console(file=io.StringIO(), width=100)
        with console.capture() as captured:
            console.print(budget.statuses(statuses))
        return [line.split()[:5] for line in captured.get().splitlines()]

    exact = [status(f"c{number}", 8) for number in range(LISTED)]
    assert shown(exact)[:2] == [
        ["collection", "records", "exact", "expected", "quality"],
        ["c0", "8", "8", "(100%)", "██████"],
    ]
    assert shown([status("half", 4), *exact, status("other", 8)]) == [
        ["collection", "records", "exact", "projected", "expected"],
        [f"{LISTED + 1}", "collections", f"{8 * (LISTED + 1)}", f"{8 * (LISTED + 1)}", "(100%)"],
        ["half", "8", "4", "(50%)", "4"],
    ]


def test_where_a_table_is_too_wide_its_numbers_stay_whole() -> None:
    table = budget.table_of("route", ("tokens", "cost"), ("expected quality",))
    table.add_row("embed 1,300, 32 content words of others", "104 k", "< $0.01", "0.96 [0.83, 1.05]")
    console = Console(file=io.StringIO(), width=50)
    with console.capture() as captured:
        console.print(table, soft_wrap=True)
    lines = captured.get().splitlines()
    assert lines[0].split() == ["route", "tokens", "cost", "expected", "quality"]
    assert "104 k < $0.01 0.96 [0.83, 1.05]" in lines[1]
    assert "…" not in captured.get()
