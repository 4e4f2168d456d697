"""Chroma's log is read for all collections at once; a copy has more indexes only while it is worked on."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.files import ChromaFiles
from lightmigrate.stores.chroma.folder import DATABASE_FILE, reading
from lightmigrate.stores.chroma.layout import Layout
from lightmigrate.stores.chroma.log import logged_vectors, topic_of

COLLECTIONS = 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with open_client(tmp_path) as client:
        for number in range(COLLECTIONS):
            rows = np.eye(8, dtype=np.float32)[:3] + number
            client.create_collection(f"file-{number}", embedding_function=None).add(
                ids=["a", "b", "c"], embeddings=rows
            )
    return tmp_path


def schema(folder: Path) -> set[tuple[str, str, str]]:
    with reading(folder / DATABASE_FILE) as connection:
        return {tuple(row) for row in connection.execute("SELECT type, name, sql FROM sqlite_master")}


def test_what_was_added_for_the_work_is_deleted_after_it(folder: Path) -> None:
    before, files = schema(folder), ChromaFiles(folder)
    files.prepare()
    files.prepare()
    added = schema(folder) - before
    assert {kind for kind, _, _ in added} == {"index"}
    wanted = (
        "SELECT id FROM embeddings_queue WHERE topic = ? AND seq_id > 1 ORDER BY seq_id",
        "SELECT id FROM segments WHERE collection = ?",
    )
    with reading(folder / DATABASE_FILE) as connection:
        plans = [[tuple(row) for row in connection.execute(f"EXPLAIN QUERY PLAN {one}", ("x",))] for one in wanted]
    assert all(any(name in str(plan) for _, name, _ in added) for plan in plans)
    with files.open() as store:
        assert [store.collection(Address(f"file-{number}")).count() for number in range(COLLECTIONS)] == [3] * 20
    files.tidy()
    assert schema(folder) == before


def journal_mode(folder: Path) -> str:
    with reading(folder / DATABASE_FILE) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def test_a_copy_is_not_in_wal_mode_while_it_is_worked_on(folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / DATABASE_FILE)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    before, files = schema(folder), ChromaFiles(folder)
    files.prepare()
    files.prepare()
    assert journal_mode(folder) == "delete"
    files.tidy()
    files.tidy()
    assert journal_mode(folder) == "wal"
    assert schema(folder) == before


def test_few_collections_need_no_index(folder: Path) -> None:
    with open_client(folder) as client:
        for number in range(COLLECTIONS - 5):
            client.delete_collection(f"file-{number}")
    before = schema(folder)
    ChromaFiles(folder).prepare()
    assert schema(folder) == before


def test_the_writes_of_a_collection_are_found_under_any_topic(folder: Path) -> None:
    file = folder / DATABASE_FILE
    layout = Layout.of(folder, Address("file-7"))
    assert layout is not None
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "UPDATE embeddings_queue SET topic = ? WHERE topic = ?", (f"elsewhere/{layout.collection}", layout.topic)
        )
    with reading(file) as connection:
        assert topic_of(connection, layout.collection) == f"elsewhere/{layout.collection}"
        assert topic_of(connection, "unknown").endswith("/unknown")
        found = logged_vectors(connection, {layout.collection: 2, "unknown": 5, "none": 0})
    assert [record for record, _ in found[layout.collection]] == ["a", "b"]
    assert found["unknown"] == found["none"] == []
    np.testing.assert_array_equal(np.frombuffer(found[layout.collection][1][1], "<f4"), np.eye(8)[1] + 7)
