"""`auto_migrate` and the command line on a PostgreSQL table, with real encoders."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import psycopg
import pytest

from lightmigrate import auto_migrate
from lightmigrate.cli.app import main
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors
from tests.encoders import ShortWordLlamaFunction, WordLlamaFunction

WORDS = (
    ("cat", "horse", "whale", "sparrow", "beetle"),
    ("sleeps", "sings", "hides", "eats"),
    ("forest", "river", "barn"),
)
TEXTS = [f"the {animal} {verb} near the {place}" for animal, verb, place in itertools.product(*WORDS)]


def fill(maker: PgMaker, vectors: list[list[float]], texts: list[str]) -> None:
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        columns = f"id int PRIMARY KEY, content text, embedding vector({len(vectors[0])})"
        connection.execute(f"CREATE TABLE docs ({columns})".encode())
        connection.execute("CREATE INDEX ON docs USING hnsw (embedding vector_cosine_ops)")
        rows = [(row, text, str(vector)) for row, (text, vector) in enumerate(zip(texts, vectors, strict=True))]
        connection.cursor().executemany("INSERT INTO docs VALUES (%s, %s, %s)", rows)


def test_a_starting_server_moves_to_its_model(maker: PgMaker) -> None:
    old, new = ShortWordLlamaFunction(), WordLlamaFunction(128)
    fill(maker, old.embed(TEXTS).tolist(), TEXTS)
    report = auto_migrate(maker.locator, new, on_failure="raise")
    assert report.action == "migrated"
    assert report.database.startswith("postgresql://")
    with psycopg.connect(maker.conninfo) as connection:
        (vector,) = new.embed(["a beetle that hides in the barn"]).tolist()
        nearest = "SELECT content FROM docs ORDER BY embedding <=> %s LIMIT 1"
        assert connection.execute(nearest, (str(vector),)).fetchone() == ("the beetle hides near the barn",)
    assert auto_migrate(maker.locator, new, on_failure="raise").action == "nothing"


def test_every_command_works(maker: PgMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(maker, make_vectors(60).tolist(), [f"text {row}" for row in range(60)])
    file, url = tmp_path / "projection.npz", maker.locator
    make_projection().save(file)

    def run(*words: str) -> object:
        with pytest.raises(SystemExit) as ended:
            main([*words, "--json"])
        captured = capsys.readouterr()
        assert ended.value.code == 0, captured.err
        return json.loads(captured.out)

    def dimension() -> object:
        with psycopg.connect(maker.conninfo) as connection:
            return connection.execute("SELECT DISTINCT vector_dims(embedding) FROM docs").fetchall()

    run("doctor", url)
    run("migrate", url, "-p", str(file), "--yes")
    assert dimension() == [(NEW_DIM,)]
    run("verify", url)
    run("status", url)
    run("rollback", url, "--yes")
    assert dimension() == [(OLD_DIM,)]
    run("clean", url, "--yes")
    with psycopg.connect(maker.conninfo) as connection:
        assert connection.execute("SELECT relname FROM pg_class WHERE relname LIKE 'lightmigrate%'").fetchall() == []
