"""`auto_migrate` and the command line on a PostgreSQL table, with real encoders."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

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


class CountingFunction(WordLlamaFunction):
    """Knows which texts it embedded."""

    def __init__(self) -> None:
        super().__init__(128)
        self.texts = set[str]()

    def embed(self, texts: list[str]) -> Any:
        self.texts.update(texts)
        return super().embed(texts)


def fill(maker: PgMaker, vectors: list[list[float]], texts: list[str], table: str = "docs") -> None:
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        columns = f"id int PRIMARY KEY, content text, embedding vector({len(vectors[0])})"
        connection.execute(f"CREATE TABLE {table} ({columns})".encode())
        connection.execute(f"CREATE INDEX ON {table} USING hnsw (embedding vector_cosine_ops)".encode())
        rows = [(row, text, str(vector)) for row, (text, vector) in enumerate(zip(texts, vectors, strict=True))]
        connection.cursor().executemany(f"INSERT INTO {table} VALUES (%s, %s, %s)".encode(), rows)


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


def test_a_table_that_cannot_be_changed_is_named_learned_nothing_for_and_stops_no_other(maker: PgMaker) -> None:
    old, new = ShortWordLlamaFunction(), CountingFunction()
    fill(maker, old.embed(TEXTS).tolist(), TEXTS)
    others = [text.replace("near", "behind") for text in TEXTS[:40]]
    fill(maker, old.embed(others).tolist(), others, "notes")
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        connection.execute("CREATE VIEW seen AS SELECT id, embedding FROM docs")
    report = auto_migrate(maker.locator, new, on_failure="raise")
    actions = {str(each.finding.address): (each.action, each.reason) for each in report.collections}
    assert actions["notes"][0] == "migrated"
    assert actions["docs"][0] == "refused"
    assert "view seen" in actions["docs"][1]
    with psycopg.connect(maker.conninfo) as connection:
        dims = "SELECT (SELECT max(vector_dims(embedding)) FROM docs), (SELECT max(vector_dims(embedding)) FROM notes)"
        assert connection.execute(dims).fetchone() == (64, new.dimension)
    assert set(TEXTS) - new.texts, "all texts of a table that stays were embedded"


@pytest.mark.parametrize(
    ("old", "distance"),
    [(WordLlamaFunction(256), None), (WordLlamaFunction(128), "l2")],
    ids=["vectors that are computed", "another distance"],
)
def test_nor_does_it_where_nothing_would_be_learned(
    maker: PgMaker, old: WordLlamaFunction, distance: str | None
) -> None:
    for table in ("docs", "notes"):
        fill(maker, old.embed(TEXTS).tolist(), TEXTS, table)
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        connection.execute("CREATE VIEW seen AS SELECT id, embedding FROM docs")
    report = auto_migrate(maker.locator, WordLlamaFunction(128), on_failure="raise", distance=distance)
    found = {str(each.finding.address): each for each in report.collections}
    assert "view seen" in found["docs"].reason
    assert not found["notes"].reason
    assert found["notes"].distance == distance
    assert report.action == ("warned" if distance else "refused")
    with psycopg.connect(maker.conninfo) as connection:
        dims = "SELECT (SELECT max(vector_dims(embedding)) FROM docs), (SELECT max(vector_dims(embedding)) FROM notes)"
        assert connection.execute(dims).fetchone() == (old.dimension, 128)


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
