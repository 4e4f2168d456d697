"""The command line as a user meets it: what each command prints, where it prints it, how it exits."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lightmigrate import Migrator, Projection
from lightmigrate.cli.app import COMMANDS, main
from lightmigrate.cli.show.databases import rolled_back
from lightmigrate.errors import RefusedError
from lightmigrate.migration.results import Rollback
from lightmigrate.stores.chroma.client import open_client
from tests.databases import NEW, OLD, contents, folder_hash, make_projection, make_vectors


class Run:
    """One run of the command line."""

    def __init__(self, code: int, output: str, messages: str) -> None:
        self.code = code
        self.output = output
        self.messages = messages

    @property
    def json(self) -> Any:
        return json.loads(self.output)


Lightmigrate = Callable[..., Run]


@pytest.fixture
def lightmigrate() -> Lightmigrate:
    """Runs the command as a process of its own, without a terminal."""

    def run(*words: object) -> Run:
        command = [sys.executable, "-m", "lightmigrate", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        assert "Traceback" not in done.stderr
        return Run(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def quick(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lightmigrate:
    """Runs the command in this process: the same code, without starting Python again."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)

    def run(*words: object) -> Run:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return Run(int(ended.value.code or 0), captured.out, captured.err)

    return run


def test_a_whole_life_each_command_printing_the_next(
    lightmigrate: Lightmigrate, database: Path, projection_file: Path
) -> None:
    before = contents(database)
    run = lightmigrate("doctor", database, "--expected-dim", 24)
    assert run.code == 0
    assert "16 ≠ 24" in run.output
    assert f"lightmigrate plan {database} --target-model" in run.output

    run = lightmigrate("plan", database, "--projection", projection_file)
    assert run.code == 0
    assert "16 → 24" in run.output
    assert "not measured" in run.output
    following = next_command(run)
    assert following == ["migrate", str(database), "--projection", str(projection_file)]

    run = lightmigrate(*following, "--yes")
    assert run.code == 0, run.messages
    assert run.output.count("✓") == 3
    assert "60 records, 16 → 24 dimensions" in run.output
    assert "projecting" in run.messages
    assert "projecting thought_nodes" not in run.messages, "two collections, one progress bar"
    assert "projecting" not in run.output
    following = next_command(run)
    assert following == ["verify", str(database)]

    run = lightmigrate(*following)
    assert run.code == 0
    assert "as the migration left it" in run.output
    assert next_command(run) == ["clean", str(database)]

    run = lightmigrate("clean", database)
    assert run.code == 0
    assert "chroma_backup_" in run.output
    assert len(list(database.parent.glob("chroma_backup_*"))) == 1, "without --yes it only lists"

    run = lightmigrate("rollback", database, "--yes")
    assert run.code == 0
    assert "is the database again" in run.output
    assert (
        contents(database)["default_tenant/default_database/notes"]["rows"]
        == (before["default_tenant/default_database/notes"]["rows"])
    )

    run = lightmigrate("clean", database, "--yes")
    assert run.code == 0
    assert list(database.parent.glob("chroma_backup_*")) == []


def next_command(run: Run) -> list[str]:
    """The command that the output ends with."""
    (line,) = re.findall(r":  lightmigrate (.*)$", run.output.rstrip().splitlines()[-1])
    return list(line.split())


def test_json_everywhere_and_nothing_else_on_stdout(quick: Lightmigrate, database: Path, projection_file: Path) -> None:
    doctor = quick("doctor", database, "--expected-dim", 24, "--json").json
    assert {m["name"] for m in doctor["mismatches"]} == {"thought_nodes", "notes", "other_model"}
    assert doctor["used_by"] == {}
    plan = quick("plan", database, "-p", projection_file, "-c", "notes", "--json").json
    assert [c["name"] for c in plan["collections"]] == ["notes"]
    assert plan["needed_bytes"] < plan["free_bytes"]
    migrated = quick("migrate", database, "-p", projection_file, "-c", "notes", "--yes", "--json").json
    assert migrated[0]["n_migrated"] == 30
    assert migrated[0]["verification"]["space"] == "ip"
    verified = quick("verify", database, "--json").json
    assert verified[0]["contents_equal"] is True
    assert quick("rollback", database, "--yes", "--json").json["restored"] == Path(migrated[0]["backup_path"]).name
    assert len(quick("clean", database, "--json").json) == 1


def test_a_backup_that_was_written_to_is_listed_as_such(
    quick: Lightmigrate, database: Path, projection_file: Path
) -> None:
    migrated = quick("migrate", database, "-p", projection_file, "-c", "notes", "--yes", "--json").json
    backup = Path(migrated[0]["backup_path"])
    assert quick("clean", database, "--json").json[0]["reason_to_keep"] is None
    with open_client(backup) as client:
        client.get_collection("notes", embedding_function=None).upsert(ids=["new"], embeddings=make_vectors(1, 16))
    said = f"{backup.name} has 1 records that were written after it was put aside"
    run = quick("clean", database)
    assert said in " ".join(run.output.split())
    assert "for good" not in run.output + run.messages, "nothing is left to be offered"
    migrated = quick("migrate", database, "-p", projection_file, "-c", "thought_nodes", "--yes", "--json").json
    other = Path(migrated[0]["backup_path"]).name
    assert next_command(quick("clean", database)) == ["clean", str(database), "--backup", other, "--yes"]
    run = quick("clean", database, "--yes")
    assert run.code == 2
    assert f"lightmigrate clean {database} --backup {backup.name} --yes" in " ".join(run.messages.split())
    with pytest.raises(RefusedError, match=f"lightmigrate rollback {database} --backup"):
        Migrator(database).clean()
    run = quick("clean", database, "--backup", other, "--yes")
    assert "deleted 1" in run.output


def test_names_in_brackets_are_printed_whole(quick: Lightmigrate, database: Path, projection_file: Path) -> None:
    database = database.rename(database.with_name("chroma [old] v2"))
    for words in (
        ("doctor", database),
        ("plan", database, "-p", projection_file, "-c", "notes"),
        ("migrate", database, "-p", projection_file, "-c", "notes", "--yes"),
        ("rollback", database, "--yes"),
        ("clean", database),
    ):
        run = quick(*words)
        assert run.code == 0
        said = " ".join((run.output + run.messages).split())
        assert "chroma [old] v2" in said, words
        assert "chroma v2" not in said, words


def test_versions_in_brackets_are_printed_whole() -> None:
    """As those of LangChain's collections in PostgreSQL are named."""
    console = Console(width=200, file=io.StringIO())
    console.print(rolled_back(Rollback("texts[docs]", Path("server/texts[notes]"), (), False)))
    assert isinstance(console.file, io.StringIO)
    assert "texts[docs] is the database again" in console.file.getvalue()
    assert "server/texts[notes]" in console.file.getvalue()


def test_a_collection_of_another_tenant_is_named_by_its_path(
    quick: Lightmigrate, database: Path, projection_file: Path
) -> None:
    name = "second_tenant/archive/thought_nodes"
    run = quick("migrate", database, "-p", projection_file, "-c", name, "--yes", "--json")
    assert [(c["tenant"], c["database"], c["collection_name"]) for c in run.json] == [tuple(name.split("/"))]


def test_the_embedding_function_is_recorded(quick: Lightmigrate, database: Path, projection_file: Path) -> None:
    options = ["--embedding-function", "openai", "--embedding-config", '{"model_name": "text-embedding-3-small"}']
    run = quick("migrate", database, "-p", projection_file, "-c", "notes", "--yes", *options)
    assert run.code == 0
    assert "--embedding-function" not in run.output
    facts = {facts["name"]: facts for facts in quick("doctor", database, "--json").json["collections"]}
    assert facts["notes"]["embedding_function"]["name"] == "openai"
    bad = quick(
        "migrate", database, "-p", projection_file, "--yes", "--embedding-function", "x", "--embedding-config", "{"
    )
    assert bad.code == 1
    assert "is not a JSON object" in bad.messages


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["doctor", "/nowhere"], 1, "error: no such folder: /nowhere"),
        (["doctor"], 1, "error: name one database"),
        (["nonsense"], 1, "error: No such command"),
        (["doctor", "DATABASE", "--nonsense"], 1, "error: No such option"),
        (["doctor", "PARENT"], 1, "did you mean DATABASE?"),
        (["verify", "DATABASE"], 1, "holds no verified migration"),
        (["rollback", "DATABASE", "--yes"], 1, "has no backup"),
        (["clean", "DATABASE", "--backup", "x", "--yes"], 1, "has no backup x"),
        (["inspect", "nowhere.npz"], 1, "no projection file at nowhere.npz"),
        (["plan", "DATABASE", "-p", "REVERSED"], 1, "error: wrong direction"),
        (["plan", "DATABASE", "-p", "PROJECTION", "-c", "nope"], 1, "no collection nope"),
        (["plan", "DATABASE", "-p", "PROJECTION", "-c", "a/b"], 1, "is neither NAME nor TENANT"),
        (["plan", "DATABASE", "-p", "PROJECTION", "-c", "empty"], 1, "collection empty is empty"),
        (["migrate", "DATABASE", "-p", "PROJECTION"], 2, "refused: not confirmed: add --yes"),
        (["rollback", "DATABASE"], 1, "has no backup"),
    ],
)
def test_errors_are_one_line_with_an_exit_code(
    words: list[str],
    code: int,
    message: str,
    quick: Lightmigrate,
    database: Path,
    projection_file: Path,
    tmp_path: Path,
) -> None:
    before = folder_hash(database)
    places = {
        "DATABASE": str(database),
        "PARENT": str(database.parent),
        "PROJECTION": str(projection_file),
        "REVERSED": str(make_projection(source=NEW, target=OLD).save(tmp_path / "reversed.npz")),
    }
    run = quick(*[places.get(word, word) for word in words])
    assert run.code == code
    last = run.messages.rstrip().splitlines()[-1]
    assert last.startswith(("error: ", "refused: "))
    assert re.sub(r"\bDATABASE\b", str(database), message) in last
    assert folder_hash(database) == before
    as_json = quick(*[places.get(word, word) for word in words], "--json")
    assert as_json.code == code
    assert as_json.json["message"] in as_json.messages


def test_an_error_in_json_carries_its_numbers(quick: Lightmigrate, database: Path, projection_file: Path) -> None:
    run = quick("plan", database, "-p", projection_file, "-c", "other_model", "--json")
    assert (run.json["error"], run.json["expected"], run.json["found"]) == ("DimensionError", 16, 8)


def test_a_database_in_use_is_refused_with_the_process(
    lightmigrate: Lightmigrate, database: Path, projection_file: Path
) -> None:
    with open_client(database):
        run = lightmigrate("migrate", database, "-p", projection_file, "--yes")
        doctor = lightmigrate("doctor", database)
    assert run.code == 2
    assert f"open in process {os.getpid()}" in run.messages
    assert f"open in process {os.getpid()}" in doctor.output


def test_verify_exits_1_after_a_change(quick: Lightmigrate, database: Path, projection_file: Path) -> None:
    assert quick("migrate", database, "-p", projection_file, "-c", "notes", "--yes").code == 0
    with open_client(database) as client:
        client.get_collection("notes", embedding_function=None).add(ids=["late"], embeddings=make_vectors(1, 24))
    run = quick("verify", database)
    assert run.code == 1
    assert "31 (then 30)" in run.output
    assert "lightmigrate rollback" in run.output


def test_nothing_that_fits_says_which_dimensions_there_are(quick: Lightmigrate, database: Path, tmp_path: Path) -> None:
    file = make_projection(source=type(OLD)("twelve", 12, normalised=False)).save(tmp_path / "p.npz")
    run = quick("plan", database, "-p", file)
    assert run.code == 1
    assert "16 dimensions" in run.messages
    assert "needs 12" in run.messages


@pytest.mark.parametrize(("answer", "migrated"), [("y", True), ("n", False)])
def test_it_asks_in_a_terminal(answer: str, migrated: bool, database: Path, projection_file: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "lightmigrate", "migrate", str(database), "-p", str(projection_file)]
    process = subprocess.Popen([*command, "-c", "notes"], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.write(ours, f"{answer}\n".encode())
    _, messages = process.communicate()
    os.close(ours)
    os.close(theirs)
    assert b"Migrate? [y/N]" in messages
    assert process.returncode == (0 if migrated else 2)
    assert bool(list(database.parent.glob("chroma_backup_*"))) == migrated


def test_an_unexpected_failure_is_one_line_too(
    quick: Lightmigrate, database: Path, projection_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> Projection:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(Projection, "load", fail)
    run = quick("plan", database, "-p", projection_file)
    assert run.code == 1
    assert run.messages == "error: RuntimeError: two lines (LIGHTMIGRATE_TRACEBACK=1 shows where)\n"


def test_every_command_and_option_is_explained(quick: Lightmigrate) -> None:
    assert quick("--version").output.strip()
    overview = quick("--help").output
    for name in COMMANDS:
        assert f" {name} " in overview
        explained = quick(name, "--help")
        assert explained.code == 0
        assert "--json" in explained.output or name in ("registry", "ui")  # its own commands have it; it is a page
