"""A migration of an application's own database: what is read as a record, and that all else stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import Migrator
from lightmigrate.errors import DatabaseError
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.open import open_database
from lightmigrate.stores.sqlite_vec.store import SqliteVecStore
from tests.contract.sqlite_vec import application, opened
from tests.databases import NEW_DIM, OLD_DIM, make_projection
from tests.stores.sqlite_vec.application import everything_else, insert_vector, make_application

NOTES = Address("notes_vec")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.sqlite"


def content(path: Path) -> Page:
    with opened(path) as store:
        return Page.joined(list(store.collection(NOTES).scan(1000)))


def searched(path: Path, vector: Any) -> list[Any]:
    """What the application's own query finds."""
    connection = application(path)
    found: list[Any] = connection.execute(
        "SELECT n.id, v.distance FROM notes_vec v JOIN notes n ON n.id = v.note_id WHERE embedding MATCH ? AND k = 3",
        (vector.tobytes(),),
    ).fetchall()
    connection.close()
    return found


def test_a_record_is_a_row_of_both_tables(path: Path) -> None:
    vectors = make_application(path)
    page = content(path)
    assert page.ids[:3] == ["1", "8", "15"]
    assert page.vectors.tobytes() == vectors.tobytes()
    assert page.texts[1] == "text 1"
    assert page.payloads[1] == {
        "title": "t1", "stars": 0.5, "raw": {"blob": "AP8="}, "owner": "owner 2", "kind": "short",
    }  # fmt: skip


def test_both_ways_of_reading_give_the_same(path: Path) -> None:
    make_application(path)
    application(path).execute(
        "CREATE VIRTUAL TABLE whole USING vec0(id text primary key, +a text, e float[2], +b float)"
    )
    application(path).execute(
        "INSERT INTO whole (id, a, e, b) VALUES ('x', 'text', '[1, 2]', 0.5), ('y', NULL, '[3, 4]', 1.5)"
    )
    with opened(path) as store:
        for name in ("notes_vec", "whole"):
            collection = store.collection(Address(name))
            fast = Page.joined(list(collection.scan(7)))
            checked = collection._catalog.read_in_parts
            assert checked[name]
            checked[name] = False  # as with a version of sqlite-vec that keeps its content in another way
            slow = Page.joined(list(collection.scan(7)))
            assert fast.vectors.tobytes() == slow.vectors.tobytes()
            assert (fast.ids, fast.texts, fast.payloads) == (slow.ids, slow.texts, slow.payloads)
            assert len(fast) in (40, 2)


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_there_and_back_to_the_bit_and_nothing_else_is_touched(path: Path, journal: str) -> None:
    vectors = make_application(path, journal=journal)
    before, rest, projection = content(path), everything_else(path), make_projection()
    found = searched(path, vectors[5])
    migrator = Migrator(path)
    migrator.migrate_collection("notes_vec", projection)
    after = content(path)
    np.testing.assert_allclose(after.vectors, projection.apply(vectors), atol=2e-5)
    assert (after.ids, after.texts, after.payloads) == (before.ids, before.texts, before.payloads)
    assert everything_else(path) == rest
    assert searched(path, projection.apply(vectors[5:6])[0])[0][0] == 36
    assert all(check.unchanged for check in migrator.verify())
    migrator.rollback()
    again = content(path)
    assert again.vectors.tobytes() == vectors.tobytes()
    assert searched(path, vectors[5]) == found
    assert everything_else(path) == rest
    migrator.clean()
    connection = application(path)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    assert [name for (name,) in tables if "lightmigrate" in name] == ["lightmigrate_tables"]


def test_a_connection_of_the_application_stays_open_and_finds_the_new_vectors(path: Path) -> None:
    vectors, projection = make_application(path), make_projection()
    connection = application(path)
    query = "SELECT note_id FROM notes_vec WHERE embedding MATCH ? AND k = 1"
    assert connection.execute(query, (vectors[3].tobytes(),)).fetchall() == [(22,)]
    Migrator(path).migrate_collection("notes_vec", projection)
    new = projection.apply(vectors[3:4])[0]
    assert connection.execute(query, (new.tobytes(),)).fetchall() == [(22,)]
    with pytest.raises(Exception, match=f"{NEW_DIM}.*{OLD_DIM}|[Dd]imension"):
        connection.execute(query, (vectors[3].tobytes(),)).fetchall()
    insert_vector(connection, 1000, new)
    assert connection.execute("DELETE FROM notes WHERE id = 22").fetchall() == []  # its trigger deletes the vector
    assert connection.execute("SELECT count(*) FROM notes_vec").fetchall() == [(40,)]
    connection.close()


def test_a_text_that_was_changed_since_is_noticed_and_carried(path: Path) -> None:
    vectors, migrator = make_application(path), Migrator(path)
    migrator.migrate_collection("notes_vec", make_projection())
    connection = application(path)
    connection.execute("UPDATE notes SET content = 'changed' WHERE id = 8")
    connection.execute("DELETE FROM notes WHERE id = 15")
    connection.close()
    result = migrator.rollback(written="carry")
    (counted,) = result.written
    assert (counted.added, counted.changed, counted.deleted) == (0, 1, 1)
    page = content(path)
    assert page.texts[1] == "changed"
    assert "15" not in page.ids
    kept = [row for row in range(40) if row not in (1, 2)]
    assert page.rows([0, *range(2, 39)]).vectors.tobytes() == vectors[kept].tobytes()


def test_the_table_with_the_texts_can_be_named(path: Path) -> None:
    make_application(path)
    connection = application(path)
    connection.execute("CREATE TABLE vec (number INTEGER UNIQUE, summary TEXT, other TEXT)")
    connection.execute("INSERT INTO vec SELECT id, 'summary ' || id, 'x' FROM notes")
    connection.execute("CREATE TABLE copies (number INTEGER, summary TEXT)")
    connection.execute("INSERT INTO copies SELECT 1, 'twice' FROM notes")
    connection.close()
    assert content(path).texts[0] is None  # the words of both names fit, and nothing else decides
    database = open_database(f"sqlite:///{path}?rows=vec.number&text=summary")
    assert isinstance(database, SqliteVecStore)
    with database as store:
        assert store.collection(NOTES).records(["8"]).texts == ["summary 8"]
        with open_database(str(store)) as again:  # type: ignore[union-attr]
            assert again.collection(NOTES).records(["8"]).texts == ["summary 8"]
    for rows, message in (("nothing.id", "nothing"), ("copies.number", "40 values and 1")):
        with pytest.raises(DatabaseError, match=message), SqliteVecStore(path, rows=rows) as store:
            store.collection(NOTES).records(["8"])


def test_a_table_whose_integers_happen_to_be_the_same_has_no_texts(path: Path) -> None:
    connection = application(path)
    connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
    connection.execute("CREATE VIRTUAL TABLE embeddings USING vec0(embedding float[2])")
    for row in range(1, 20):
        connection.execute("INSERT INTO users VALUES (?, 'somebody')", (row,))
        if row < 10:
            connection.execute("INSERT INTO embeddings (rowid, embedding) VALUES (?, '[1, 2]')", (row,))
    connection.close()
    with opened(path) as store:
        (page,) = store.collection(Address("embeddings")).scan(100)
    assert (len(page), set(page.texts), set(map(str, page.payloads))) == (9, {None}, {"None"})


def test_a_file_without_vec0_tables_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    application(file).execute("CREATE TABLE notes (id INTEGER)")
    with pytest.raises(DatabaseError, match="no vec0 tables"):
        open_database(f"sqlite:///{file}")
    with pytest.raises(DatabaseError, match="no file"):
        open_database(f"sqlite:///{tmp_path / 'missing.db'}")
    with pytest.raises(DatabaseError, match="not one of an SQLite file"):
        open_database(f"sqlite:///{file}?password=x")
    assert not isinstance(open_database(file), SqliteVecStore)
