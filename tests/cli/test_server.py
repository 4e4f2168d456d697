"""The command line against a real Chroma server, and after an interruption."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import ChromaMigrator, Projection
from lightmigrate.cli.app import main
from tests.databases import folder_hash, make_vectors, records
from tests.migration.shadow.server import Server, running_server


class KilledError(BaseException):
    """The process ends here."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running_server(tmp_path / "db") as running:
        running.client().create_collection("memory", embedding_function=None).add(**records(30))
        yield running


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)

    def call(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


def test_the_whole_way_and_back(server: Server, projection_file: Path, run: Any) -> None:
    place = ("--host", "127.0.0.1", "--port", server.port)
    code, out, _ = run("doctor", *place, "--expected-dim", 24)
    assert code == 0
    assert "16 ≠ 24" in out
    look = json.loads(run("doctor", *place, "--json")[1])["samples"]["memory"]
    assert (look["vectors"], look["invalid"]) == (30, 0)
    assert 0 < look["shortest"] <= look["longest"]
    code, out, _ = run("plan", *place, "-p", projection_file)
    assert f"lightmigrate migrate --host 127.0.0.1 --port {server.port}" in " ".join(out.split())
    assert run("migrate", *place, "-p", projection_file)[0] == 2, "not confirmed"
    code, out, _ = run("migrate", *place, "-p", projection_file, "--yes", "--json")
    (result,) = json.loads(out)
    assert (code, result["n_migrated"], result["current_dim"]) == (0, 30, 24)
    assert run("verify", *place)[0] == 0
    memory = server.client().get_collection("memory", embedding_function=None)
    memory.add(ids=["late"], embeddings=make_vectors(1, 24))
    code, _, err = run("rollback", *place, "--yes")
    assert code == 2
    assert "1 records were added" in err
    code, out, _ = run("rollback", *place, "--yes", "--written", "discard")
    assert code == 0
    assert "only in the replaced one" in out
    assert run("clean", *place, "--yes")[0] == 0
    assert [c.name for c in server.client().list_collections()] == ["memory"]


def test_what_names_no_database(run: Any, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "name one database" in run("doctor")[2]
    assert "name one database" in run("doctor", database, "--host", "127.0.0.1")[2]
    assert "no Chroma server answers at 127.0.0.1:9" in run("doctor", "--host", "127.0.0.1", "--port", 9)[2]
    words = ("doctor", "--host", "127.0.0.1", "--port", 9, "--header", "X-Chroma-Token")
    code, _, err = run(*words)
    assert code == 2
    assert "LIGHTMIGRATE_HEADER_X_CHROMA_TOKEN" in err
    for pair in ("X-Chroma-Token: a-secret", "X-Chroma-Token=a-secret", "X-Chroma-Token:a-secret"):
        code, out, err = run(*words[:-1], pair)
        assert code == 2
        assert "--header X-Chroma-Token:" in err
        assert "LIGHTMIGRATE_HEADER_X_CHROMA_TOKEN or asked for" in err
        assert "a-secret" not in (out + err).lower()
    monkeypatch.setenv("LIGHTMIGRATE_HEADER_X_CHROMA_TOKEN", "a-secret")
    code, out, err = run(*words)
    assert "no Chroma server answers" in err
    assert "a-secret" not in out + err


def test_resume(database: Path, projection: Projection, run: Any) -> None:
    def stop(progress: Any) -> None:
        if progress.step == "verify":
            raise KilledError

    before = folder_hash(database)
    assert "nothing was interrupted" in run("resume", database)[1]
    for _ in range(2):
        with pytest.raises(KilledError):
            ChromaMigrator(database, on_progress=stop).migrate_collection("notes", projection)
        assert folder_hash(database) == before
        code, out, err = run("resume", database, "--undo")
        assert (code, out.strip()) == (0, "discarded what the interrupted migration had built")
        assert "can be resumed: the database is unchanged" in err
    with pytest.raises(KilledError):
        ChromaMigrator(database, on_progress=stop).migrate_collection("notes", projection)
    code, out, _ = run("doctor", database)
    assert "lightmigrate resume" in out
    code, out, _ = run("resume", database, "--json")
    (result,) = json.loads(out)
    assert (code, result["collection_name"], result["n_migrated"]) == (0, "notes", 30)
    assert [path.name for path in database.parent.iterdir() if path.name.startswith(".")] == []
