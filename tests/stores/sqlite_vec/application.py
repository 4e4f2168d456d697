"""A database as an application has it: notes, their vectors by rowid, and tables that have nothing to do with them."""

from __future__ import annotations

from pathlib import Path

from lightmigrate.stores.sqlite_vec.driver import Connection
from lightmigrate.vectors import Vectors
from tests.contract.sqlite_vec import application
from tests.databases import OLD_DIM, make_vectors

TABLES = (
    "CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT, content TEXT NOT NULL, raw BLOB, "
    "stars REAL)",
    "CREATE VIRTUAL TABLE notes_vec USING vec0(note_id integer primary key, owner text partition key, kind text, "
    f"embedding float[{OLD_DIM}] distance_metric=cosine)",
    "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)",
    "CREATE VIEW titles AS SELECT n.title, v.kind FROM notes n JOIN notes_vec v ON v.note_id = n.id",
    "CREATE TRIGGER gone AFTER DELETE ON notes BEGIN DELETE FROM notes_vec WHERE note_id = old.id; END",
    "CREATE VIRTUAL TABLE notes_fts USING fts5(content, content='notes', content_rowid='id')",
    "CREATE INDEX by_title ON notes (title)",
)


def make_application(path: Path, n: int = 40, journal: str = "WAL") -> Vectors:
    """Create the database; returns the vectors `(n, OLD_DIM)`."""
    vectors = make_vectors(n)
    connection = application(path)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    for statement in TABLES:
        connection.execute(statement)
    connection.execute("BEGIN")
    for row, vector in enumerate(vectors):
        number = row * 7 + 1
        note = (number, f"t{row}", f"text {row}", b"\x00\xff", 0.5)
        connection.execute("INSERT INTO notes VALUES (?, ?, ?, ?, ?)", note)
        insert_vector(connection, number, vector)
        connection.execute("INSERT INTO users VALUES (?, 'somebody')", (number,))
    connection.execute("COMMIT")
    connection.close()
    return vectors


def insert_vector(connection: Connection, number: int, vector: Vectors) -> None:
    """The vector of a note, as the application inserts it."""
    values = (number, f"owner {number % 3}", "a kind of more than twelve letters" if number % 2 else "short")
    statement = "INSERT INTO notes_vec (note_id, owner, kind, embedding) VALUES (?, ?, ?, ?)"
    connection.execute(statement, (*values, vector.tobytes()))


def everything_else(path: Path) -> list[object]:
    """All that a migration must not touch: the schema, and what the other tables hold."""
    connection = application(path)
    others = "name NOT LIKE '%\\_vec%' ESCAPE '\\'"
    schema = f"SELECT type, name, tbl_name, sql FROM sqlite_master WHERE {others} ORDER BY name"
    queries = (schema, "SELECT * FROM notes", "SELECT * FROM users", "SELECT title FROM titles ORDER BY 1")
    found = [connection.execute(query).fetchall() for query in queries]
    found.append(connection.execute("SELECT rowid FROM notes_fts WHERE notes_fts MATCH 'text' ORDER BY 1").fetchall())
    connection.close()
    return [row for rows in found for row in rows if "lightmigrate_tables" not in str(row)]
