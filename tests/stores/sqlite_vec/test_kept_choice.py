"""Which texts belong to a vec0 table is decided once for a migration, whatever happens to other tables meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightmigrate import Migrator
from lightmigrate.errors import WrittenSinceError
from lightmigrate.stores.base import Address
from lightmigrate.stores.sqlite_vec.sql import ROWS_SUFFIX
from lightmigrate.stores.sqlite_vec.store import SqliteVecStore
from lightmigrate.vectors import Vectors
from tests.contract.sqlite_vec import application
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors

N = 30


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.sqlite"


def make(path: Path, articles: int) -> Vectors:
    """A vec0 table of N vectors, and a table of articles whose name does not tell whether it has the texts."""
    vectors = make_vectors(N)
    run(
        path,
        "CREATE TABLE articles (id INTEGER PRIMARY KEY, body TEXT)",
        f"CREATE VIRTUAL TABLE chunks USING vec0(embedding float[{OLD_DIM}])",
    )
    connection = application(path)
    for number in range(articles):
        connection.execute("INSERT INTO articles VALUES (?, ?)", (number + 1, f"text {number}"))
    for number, vector in enumerate(vectors):
        connection.execute("INSERT INTO chunks (rowid, embedding) VALUES (?, ?)", (number + 1, vector.tobytes()))
    connection.close()
    return vectors


def run(path: Path, *statements: str) -> None:
    connection = application(path)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def rows_of(path: Path, name: str = "chunks") -> str | None:
    with SqliteVecStore(path) as store:
        found = store.collection(Address(name)).layout.rows
        return found.table if found else None


def dimension(path: Path) -> int | None:
    with SqliteVecStore(path) as store:
        return store.collection(Address("chunks")).facts().dimension


@pytest.mark.parametrize(
    ("articles", "then", "rows"),
    [
        (N + 1, f"DELETE FROM articles WHERE id = {N + 1}", None),
        (N, f"INSERT INTO articles VALUES ({N + 1}, 'another')", "articles"),
    ],
    ids=["it had no texts", "it had texts"],
)
def test_another_tables_number_of_rows_changes_nothing_about_a_migration(
    path: Path, articles: int, then: str, rows: str | None
) -> None:
    vectors = make(path, articles)
    assert rows_of(path) == rows
    Migrator(path).migrate_collection("chunks", make_projection())
    run(path, then)
    assert rows_of(path) == rows
    assert [check.contents_equal for check in Migrator(path).verify()] == [True]
    assert Migrator(path).rollback().written == ()
    assert rows_of(path) == rows
    with SqliteVecStore(path) as store:
        page = next(store.collection(Address("chunks")).scan(N))
    assert page.vectors.tobytes() == vectors.tobytes()
    assert page.texts[0] == ("text 0" if rows else None)


def test_it_is_found_anew_once_the_backups_are_gone(path: Path) -> None:
    make(path, N + 1)
    Migrator(path).migrate_collection("chunks", make_projection())
    run(path, f"DELETE FROM articles WHERE id = {N + 1}")
    assert rows_of(path) is None
    Migrator(path).clean()
    assert rows_of(path) == "articles"


def test_a_version_that_is_being_built_keeps_it_and_takes_it_along(path: Path) -> None:
    make(path, N)
    with SqliteVecStore(path) as store:
        version = store.create_version(store.collection(Address("chunks")), "k1", NEW_DIM, None).address
    run(path, f"INSERT INTO articles VALUES ({N + 1}, 'another')")
    assert rows_of(path) == "articles"
    assert rows_of(path, version.name) == version.name + ROWS_SUFFIX
    with SqliteVecStore(path) as store:
        store.delete(version)
        assert not store.session.rows("SELECT 1 FROM sqlite_master WHERE name = 'lightmigrate_tables'")
    assert rows_of(path) is None


def test_what_is_written_to_the_texts_is_a_change_all_the_same(path: Path) -> None:
    make(path, N)
    Migrator(path).migrate_collection("chunks", make_projection())
    run(path, "UPDATE articles SET body = 'other' WHERE id = 3", f"INSERT INTO articles VALUES ({N + 1}, 'another')")
    with pytest.raises(WrittenSinceError, match="0 records were added, 1 changed, 0 deleted"):
        Migrator(path).rollback()


def test_a_table_of_texts_that_is_gone_is_looked_for_anew(path: Path) -> None:
    make(path, N)
    Migrator(path).migrate_collection("chunks", make_projection())
    run(path, "DROP TABLE articles")
    assert rows_of(path) is None
    Migrator(path).rollback(written="discard")
    assert dimension(path) == OLD_DIM
