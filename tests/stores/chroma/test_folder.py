"""A Chroma folder seen from outside, without chromadb and without writing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from lightmigrate.errors import DatabaseError
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.chroma.files import ChromaFiles
from lightmigrate.stores.chroma.folder import DATABASE_FILE, read_catalog
from lightmigrate.stores.chroma.indexes import remove_orphaned_indexes
from lightmigrate.stores.files import fingerprint, require_unused, users_of
from tests.databases import contents, folder_hash, make_vectors


def test_the_catalog_says_what_chroma_says(database: Path) -> None:
    before = folder_hash(database)
    found = {
        str(facts.address): (facts.count, facts.dimension, facts.space, facts.embedding_function)
        for facts in read_catalog(database)
    }
    assert found == {
        "thought_nodes": (60, 16, "cosine", None),
        "notes": (30, 16, "ip", None),
        "other_model": (20, 8, "l2", None),
        "empty": (0, None, "l2", None),
        "second_tenant/archive/thought_nodes": (30, 16, "l2", None),
    }
    assert folder_hash(database) == before


def test_the_catalog_knows_the_recorded_embedding_function(tmp_path: Path) -> None:
    with open_client(tmp_path) as client:
        client.create_collection("default_function")
    (facts,) = read_catalog(tmp_path)
    assert facts.embedding_function is not None
    assert facts.embedding_function["name"] == "default"


def test_the_catalog_of_a_database_from_before_schemas(database: Path) -> None:
    """Older Chroma versions have neither of the two configuration columns; the metadata says the distance."""
    with sqlite3.connect(database / "chroma.sqlite3") as connection:
        connection.execute("ALTER TABLE collections DROP COLUMN schema_str")
        connection.execute("ALTER TABLE collections DROP COLUMN config_json_str")
    connection.close()
    spaces = {str(facts.address): facts.space for facts in read_catalog(database)}
    assert spaces["notes"] == "ip"
    assert spaces["other_model"] == "l2"


def test_reading_the_catalog_while_somebody_writes(database: Path) -> None:
    with open_client(database) as client:
        client.get_collection("other_model", embedding_function=None).add(ids=["new"], embeddings=make_vectors(1, 8))
        counts = {str(facts.address): facts.count for facts in read_catalog(database)}
    assert counts["other_model"] == 21


def test_reading_the_catalog_after_a_crash_in_mid_write(database: Path, tmp_path: Path) -> None:
    """A hot journal must be played back before reading, and that writes: so it happens in a copy."""
    connection = sqlite3.connect(database / "chroma.sqlite3", isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN")
    connection.execute("UPDATE embeddings SET embedding_id = embedding_id || 'x'")
    connection.execute("DELETE FROM collections")
    crashed = Path(shutil.copytree(database, tmp_path / "crashed"))  # as the disk is if the process dies now
    connection.execute("ROLLBACK")
    connection.close()
    assert (crashed / "chroma.sqlite3-journal").stat().st_size > 0
    before = folder_hash(crashed)
    assert {facts.count for facts in read_catalog(crashed)} == {60, 30, 20, 0}
    assert folder_hash(crashed) == before


def test_what_is_no_chroma_folder(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="no such folder"):
        read_catalog(tmp_path / "nowhere")
    with pytest.raises(DatabaseError, match="is not a Chroma folder"):
        read_catalog(tmp_path)
    (tmp_path / "chroma.sqlite3").write_bytes(b"no database" * 100)
    with pytest.raises(DatabaseError, match="cannot read"):
        read_catalog(tmp_path)
    (tmp_path / "chroma.sqlite3").unlink()
    sqlite3.connect(tmp_path / "chroma.sqlite3").close()
    with pytest.raises(DatabaseError):
        read_catalog(tmp_path)


def test_names_that_need_quoting(database: Path, tmp_path: Path) -> None:
    odd = Path(shutil.copytree(database, tmp_path / "a folder?mode=rwc#x%20 é"))
    assert len(read_catalog(odd)) == 5


def test_who_has_it_open(database: Path) -> None:
    assert users_of(database / DATABASE_FILE) == []
    with open_client(database):
        assert users_of(database / DATABASE_FILE) == [os.getpid()]
    require_unused(ChromaFiles(database))
    assert users_of(database / "nowhere" / DATABASE_FILE) == []


def test_files_that_are_released_a_little_late_are_waited_for(database: Path) -> None:
    """Chroma's threads may close the sqlite file after close() has returned; here another thread does."""
    client = open_client(database)
    closing = threading.Timer(0.2, client.close)
    closing.start()
    require_unused(ChromaFiles(database))
    closing.join()
    assert users_of(database / DATABASE_FILE) == []


def test_the_fingerprint_changes_with_every_write(database: Path) -> None:
    first = fingerprint(database)
    assert fingerprint(database) == first
    with open_client(database) as client:
        client.get_collection("other_model", embedding_function=None).delete(ids=["id-1-é"])
    assert fingerprint(database) != first


def test_orphaned_index_folders_go_and_others_stay(database: Path) -> None:
    folders = {path.name for path in database.iterdir() if path.is_dir()}
    with open_client(database) as client:
        client.delete_collection("notes")
    (database / "somebody_elses").mkdir()
    kept = contents(database, (("default_tenant", "default_database", "thought_nodes"),))
    remove_orphaned_indexes(database)
    left = {path.name for path in database.iterdir() if path.is_dir()}
    assert len(left - {"somebody_elses"}) == len(folders) - 1
    assert "somebody_elses" in left
    again = contents(database, (("default_tenant", "default_database", "thought_nodes"),))
    assert again.keys() == kept.keys()
    with ChromaFolderStore(database):
        pass
