"""`--distance`: with every way to migrate and alone; and what proposes it where metadata state another distance."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import Migrator
from lightmigrate.cli.app import main
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.collection import ChromaCollection
from tests.budget.collections import build
from tests.databases import folder_hash, make_projection, make_vectors
from tests.encoders import WordLlamaFunction

ROWS = 60
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line: exit code, stdout and stderr."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two collections of l2; the metadata of one were changed afterwards, as Chroma 0.4 and 0.5 allowed."""
    place = tmp_path / "my data" / "db"
    with open_client(place) as client:
        for name, metadata in (("radio", {"owner": "someone"}), ("notes", None)):
            collection = client.create_collection(name, embedding_function=None, metadata=metadata)
            ids = [f"r{row}" for row in range(ROWS)]
            collection.add(ids, make_vectors(ROWS), documents=[f"text {row}" for row in range(ROWS)])
        radio = client.get_collection("radio", embedding_function=None)
        ChromaCollection(client, radio).set_metadata({"owner": "someone", "hnsw:space": "cosine"})
    return place


def spaces(folder: Path) -> dict[str, tuple[str, str | None]]:
    return {facts.name: (facts.space, facts.stated_space) for facts in Migrator(folder).collections()}


def proposed(printed: str) -> list[str]:
    """The only command with a distance that is proposed; it is in one line."""
    (command,) = set(re.findall(r"lightmigrate (migrate .*--distance \w+)", printed))
    return shlex.split(command)


def test_doctor_proposes_a_command_that_gives_a_collection_the_distance_of_its_metadata(folder: Path, run: Run) -> None:
    assert spaces(folder) == {"radio": ("l2", "cosine"), "notes": ("l2", None)}
    _, out, _ = run("doctor", folder)
    assert "radio: its metadata state cosine, its index computes l2; to get cosine:  lightmigrate migrate" in out
    _, as_json, _ = run("doctor", folder, "--json")
    assert list(json.loads(as_json)["distances"]) == ["radio"]
    code, out, _ = run(*proposed(out), "--yes")
    assert code == 0
    assert "distance l2 → cosine measured" in out
    assert "embedding function was not changed" not in out
    assert spaces(folder) == {"radio": ("cosine", None), "notes": ("l2", None)}
    with open_client(folder) as client:
        radio = client.get_collection("radio", embedding_function=None)
        assert radio.metadata == {"owner": "someone", "hnsw:space": "cosine"}
        assert radio.configuration["hnsw"]["space"] == "cosine"
    _, out, _ = run("doctor", folder)
    assert "--distance" not in out


def test_plan_proposes_it_too_and_shows_it_where_it_is_asked_for(folder: Path, run: Run, tmp_path: Path) -> None:
    projection = make_projection().save(tmp_path / "p.npz")
    before = folder_hash(folder)
    _, _, messages = run("plan", folder, "--projection", projection)
    command = proposed(messages)
    code, out, messages = run("plan", folder, "--projection", projection, "--distance", "cosine")
    assert code == 0
    assert "l2 → cosine" in out
    assert "built anew" in out
    assert "--distance cosine" in out.splitlines()[-1]
    assert "its metadata state" not in messages
    _, as_json, _ = run("plan", folder, "--distance", "cosine", "-c", "radio", "--json")
    (planned,) = json.loads(as_json)["collections"]
    assert (planned["distance"], planned["target_distance"]) == ("l2", "cosine")
    assert (planned["current_dim"], planned["target_dim"]) == (16, 16)
    code, out, _ = run("plan", folder, "--distance", "cosine")
    assert "vectors stay" in out
    assert "exact" in out
    assert folder_hash(folder) == before
    assert run(*command, "--yes")[0] == 0


def test_alone_it_is_for_all_that_have_another_one(folder: Path, run: Run) -> None:
    before = folder_hash(folder)
    code, out, _ = run("migrate", folder, "--distance", "cosine", "--yes", "--json")
    assert code == 0
    migrated = json.loads(out)
    assert [result["collection_name"] for result in migrated] == ["notes", "radio"]
    assert {result["verification"]["space"] for result in migrated} == {"cosine"}
    code, _, messages = run("migrate", folder, "--distance", "cosine", "--yes")
    assert (code, "the distance of every collection is cosine already" in messages) == (1, True)
    code, _, messages = run("migrate", folder, "-c", "notes", "--distance", "cosine", "--yes")
    assert (code, "the distance of collection notes is cosine already" in messages) == (1, True)
    assert run("rollback", folder, "--yes")[0] == 0
    assert folder_hash(folder) == before


@pytest.mark.parametrize(("words", "code", "message"), [
    (("--distance", "cos", "--yes"), 1, "'cos' is not one of 'l2', 'cosine', 'ip'"),
    (("--yes",), 1, "or --distance or --index rebuild alone to change only the index"),
    (("--distance", "cosine"), 2, "add --yes to go ahead"),
    (("--distance", "cosine", "-c", "nowhere", "--yes"), 1, "no collection nowhere in"),
])  # fmt: skip
def test_refusals_leave_the_database_alone(
    words: tuple[str, ...], code: int, message: str, folder: Path, run: Run
) -> None:
    before = folder_hash(folder)
    ended, _, printed = run("migrate", folder, *words)
    errors = [line for line in printed.splitlines() if line.startswith(("error:", "refused:"))]
    assert (ended, len(errors)) == (code, 1), printed
    assert message in errors[0]
    assert folder_hash(folder) == before


def test_with_a_projection(folder: Path, run: Run, tmp_path: Path) -> None:
    projection = make_projection().save(tmp_path / "p.npz")
    words = ("migrate", folder, "--projection", projection, "--distance", "ip", "--yes", "--force")
    code, out, messages = run(*words)
    assert code == 0, messages
    assert out.count("distance l2 → ip measured") == 2
    assert set(spaces(folder).values()) == {("ip", None)}


MODEL = json.dumps({"name": WordLlamaFunction.name(), "config": {"dimension": 128}})
NEW = ("--target-provider", "chroma", "--target-model", MODEL)


def space_after(out: str) -> Any:
    (result,) = json.loads(out)
    return result["verification"]["space_before"], result["verification"]["space"], result["index"]


def test_the_gate_of_a_calibration_judges_by_the_new_distance(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    database = build(tmp_path / "home" / "db")
    words = ("migrate", database, "--calibrate", "60", *NEW, "--distance", "l2", "--force", "--yes", "--json")
    code, out, messages = run(*words)
    assert code == 0, messages
    assert re.search(r"distance +l2; beside exact rows", messages)
    assert space_after(out)[:2] == ("cosine", "l2")


def test_a_plan_is_judged_by_it_and_carried_out_with_it(run: Run, tmp_path: Path) -> None:
    database, file = build(tmp_path / "home" / "db"), tmp_path / "plan.json"
    cache = ("--cache", tmp_path / "cache.sqlite3")
    code, _, messages = run(
        "plan", database, *NEW, *cache, "--samples", 60, "--budget", "55%", "--distance", "l2", "-o", file
    )
    assert code == 0, messages
    assert json.loads(file.read_text())["distance"] == "l2"
    code, out, messages = run("migrate", database, "--plan", file, *cache, "--yes", "--force", "--json")
    assert code == 0, messages
    assert space_after(out)[:2] == ("cosine", "l2")
    code, out, _ = run("status", database, "--json")
    assert code == 0
    assert json.loads(out)[0]["share_exact"] > 0
    code, out, messages = run("migrate", database, "--distance", "cosine", "--yes", "--json")
    assert code == 0, messages
    before = json.loads(run("status", database, "--json")[1])
    assert before[0]["share_exact"] > 0
    assert json.loads(run("verify", database, "--json")[1])[0]["settings_equal"]


def test_embedding_again_with_another_distance(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    database = build(tmp_path / "home" / "db", [f"a text about {row}" for row in range(60)])
    words = ("migrate", database, "--embed-again", "-c", "notes", *NEW, "--distance", "l2", "--yes", "--json")
    code, out, messages = run(*words)
    assert code == 0, messages
    assert spaces(database)["notes"] == ("l2", None)
    assert json.loads(out)[0]["current_dim"] == 128


def test_embedding_again_says_no_distance_that_was_not_measured(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    database = build(tmp_path / "home" / "db", [f"a text about {row}" for row in range(60)])
    code, out, messages = run("migrate", database, "--embed-again", "-c", "notes", *NEW, "--yes")
    assert code == 0, messages
    assert "distance" in out
    assert "None" not in out
