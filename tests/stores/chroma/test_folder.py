"""A Chroma folder seen from outside, without chromadb and without writing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from lightmigrate import auto_migrate
from lightmigrate.errors import DatabaseError
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.chroma.files import ChromaFiles
from lightmigrate.stores.chroma.folder import DATABASE_FILE, read_catalog
from lightmigrate.stores.chroma.indexes import remove_orphaned_indexes
from lightmigrate.stores.files import fingerprint, require_unused
from lightmigrate.stores.users import users_of
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


def test_what_chroma_in_this_process_shares_in_wal_mode_is_not_written_to(database: Path) -> None:
    """Its SQLite is not Python's, so their locks do not show them each other; the catalog has what is in the log."""
    connection = sqlite3.connect(database / DATABASE_FILE)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    with open_client(database) as client:
        client.get_collection("notes").add(ids=["new"], embeddings=make_vectors(1, 16, seed=1))
        shared = (database / f"{DATABASE_FILE}-shm").stat().st_mtime_ns
        found = {facts.address.name: facts.count for facts in read_catalog(database)}
        assert (database / f"{DATABASE_FILE}-shm").stat().st_mtime_ns == shared
    assert found["notes"] == 31


def test_the_catalog_knows_the_recorded_embedding_function(tmp_path: Path) -> None:
    with open_client(tmp_path) as client:
        client.create_collection("default_function")
    (facts,) = read_catalog(tmp_path)
    assert facts.embedding_function is not None
    assert facts.embedding_function["name"] == "default"


def test_the_catalog_of_a_database_from_before_schemas(database: Path) -> None:
    """Older Chroma versions have neither of the two configuration columns; the index's metadata say the distance."""
    with sqlite3.connect(database / "chroma.sqlite3") as connection:
        connection.execute(
            "INSERT INTO segment_metadata (segment_id, key, str_value) SELECT segments.id, 'hnsw:space', 'ip' FROM "
            "segments JOIN collections ON collection = collections.id WHERE scope = 'VECTOR' AND name = 'notes'"
        )
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
    with pytest.raises(DatabaseError, match=r"is not an SQLite file \(1,100 bytes\): copy the database again"):
        read_catalog(tmp_path)
    (tmp_path / "chroma.sqlite3").write_bytes(b"")
    with pytest.raises(DatabaseError, match=r"is empty \(0 bytes\): copy it again, or delete it"):
        read_catalog(tmp_path)
    (tmp_path / "chroma.sqlite3").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(DatabaseError, match=r"Git LFS pointer .*: run  git lfs pull"):
        read_catalog(tmp_path)
    (tmp_path / "chroma.sqlite3").unlink()
    with sqlite3.connect(tmp_path / "chroma.sqlite3") as connection:
        connection.execute("CREATE TABLE bookmarks (id)")
    connection.close()
    with pytest.raises(DatabaseError, match=r"is an SQLite file, but not Chroma's: give the folder"):
        read_catalog(tmp_path)


def parquet_folder(folder: Path) -> Path:
    """A folder as Chroma 0.3 left it."""
    (folder / "index").mkdir(parents=True)
    for name in ("chroma-collections.parquet", "chroma-embeddings.parquet"):
        (folder / name).write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    return folder


def with_files(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


def test_what_a_folder_holds_in_place_of_a_database_is_said_with_what_helps(database: Path, tmp_path: Path) -> None:
    old = parquet_folder(tmp_path / "old home" / "old")
    with pytest.raises(DatabaseError, match=rf"did you mean {old}\? .*chroma-migrate"):
        ChromaFiles(old.parent).require()
    assert auto_migrate(old.parent, expected_dim=384).action == "nothing"  # a new database may begin beside it
    index = next(path.parent for path in database.glob("*/header.bin"))
    places = {
        old: r"is a database of Chroma 0\.3 .*pip install chroma-migrate && chroma-migrate",
        index: rf"is an index folder of a Chroma database: give {database}",
        database / DATABASE_FILE: f"is a file: give its folder, {database}",
        with_files(tmp_path / "qdrant", "raft_state.json"): "is a Qdrant storage",
        with_files(tmp_path / "numpy", "all.npz") / "all.npz": r"is a file of no kind that is known: .* NAME\.npy",
    }
    for folder, said in places.items():
        files = ChromaFiles(folder)
        with pytest.raises(DatabaseError, match=said) as caught:
            files.require()
        assert files.instead() == str(caught.value)
        report = auto_migrate(folder, expected_dim=384)
        assert (report.action, report.error) == ("failed", files.instead())
    for folder in (tmp_path / "nowhere", with_files(tmp_path / "empty")):
        assert ChromaFiles(folder).instead() is None
        assert auto_migrate(folder, expected_dim=384).action == "nothing"


def test_tables_of_a_newer_chroma_are_named(database: Path) -> None:
    with sqlite3.connect(database / DATABASE_FILE) as connection:
        connection.execute("INSERT INTO migrations SELECT dir, 11, filename, sql, hash FROM migrations LIMIT 1")
        connection.execute("UPDATE migrations SET dir = 'sysdb' WHERE version = 11")
        connection.execute("ALTER TABLE collections RENAME COLUMN dimension TO dimensions")
    connection.close()
    with pytest.raises(DatabaseError, match=r"was written by a newer Chroma \(sysdb 11\): update lightmigrate"):
        read_catalog(database)


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
