"""Bad input: a clear error of the right kind, and a database that nobody touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.errors import (
    CollectionNotFoundError,
    DatabaseChangedError,
    DatabaseError,
    DatabaseInUseError,
    DimensionError,
    DiskSpaceError,
    InvalidVectorsError,
    LightmigrateError,
    LocationError,
    NothingToMigrateError,
    ProjectionFileError,
    WrongDirectionError,
)
from lightmigrate.migration.history import HISTORY_FILE
from lightmigrate.stores.chroma.client import open_client
from tests.databases import NEW, OLD, folder_hash, make_database, make_projection, make_vectors

Untouched = Iterator[None]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def untouched(database: Path) -> Untouched:
    """Whatever the test does, the database and the folder around it are as before."""
    before, neighbours = folder_hash(database), names(database.parent)
    yield
    assert folder_hash(database) == before
    assert names(database.parent) == neighbours


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"no such folder: .*nowhere"):
        ChromaMigrator(tmp_path / "nowhere")


def test_not_a_chroma_folder_and_the_one_below_is_suggested(database: Path) -> None:
    with pytest.raises(DatabaseError, match=rf"is not a Chroma folder.*did you mean {database}"):
        ChromaMigrator(database.parent)


def test_a_file_that_is_not_sqlite(tmp_path: Path, projection: Projection) -> None:
    (tmp_path / "chroma.sqlite3").write_bytes(b"rubbish" * 1000)
    with pytest.raises(DatabaseError, match=r"chroma\.sqlite3 is not an SQLite file"):
        ChromaMigrator(tmp_path).migrate_collection("thought_nodes", projection)


@pytest.mark.usefixtures("untouched")
class TestNothingIsTouched:
    """Every one of these leaves the database and its surroundings byte for byte."""

    def test_no_such_collection_names_those_there_are(self, database: Path, projection: Projection) -> None:
        with pytest.raises(CollectionNotFoundError, match=r"no collection nope .*there are: .*thought_nodes"):
            ChromaMigrator(database).migrate_collection("nope", projection)

    def test_the_same_name_in_another_tenant_is_another_collection(
        self, database: Path, projection: Projection
    ) -> None:
        with pytest.raises(CollectionNotFoundError, match="second_tenant/archive/notes"):
            ChromaMigrator(database).migrate_collection("notes", projection, tenant="second_tenant", database="archive")

    def test_empty_collection(self, database: Path, projection: Projection) -> None:
        with pytest.raises(NothingToMigrateError, match="collection empty is empty"):
            ChromaMigrator(database).migrate_collection("empty", projection)

    def test_projection_of_the_wrong_dimension(self, database: Path, projection: Projection) -> None:
        with pytest.raises(DimensionError, match=r"collection other_model: .* 8 dimensions.* needs 16") as caught:
            ChromaMigrator(database).migrate_collection("other_model", projection)
        assert (caught.value.expected, caught.value.found) == (16, 8)

    def test_projection_in_the_wrong_direction(self, database: Path) -> None:
        backwards = make_projection(source=NEW, target=OLD)
        with pytest.raises(WrongDirectionError, match=r"collection thought_nodes: wrong direction.* 24 → 16"):
            ChromaMigrator(database).migrate_collection("thought_nodes", backwards)

    def test_projection_files_that_are_none(self, database: Path, projection_file: Path, tmp_path: Path) -> None:
        good = projection_file.read_bytes()
        at = good.index(b'"steps"') + 1
        bad = {
            "truncated.npz": good[: len(good) // 2],
            "flipped.npz": good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :],
            "rubbish.npz": b"rubbish",
            "empty.npz": b"",
        }
        for name, data in bad.items():
            (tmp_path / name).write_bytes(data)
        np.savez(tmp_path / "pickled.npz", header=np.array([{"a": 1}], dtype=object))
        for name in [*bad, "pickled.npz", "missing.npz"]:
            with pytest.raises(ProjectionFileError, match=name):
                ChromaMigrator(database).migrate_collection("thought_nodes", tmp_path / name)

    def test_one_bad_job_among_good_ones(self, database: Path, projection: Projection) -> None:
        jobs = [CollectionJob("thought_nodes", projection), CollectionJob("other_model", projection)]
        with pytest.raises(DimensionError):
            ChromaMigrator(database).migrate(jobs)

    def test_the_same_collection_twice(self, database: Path, projection: Projection) -> None:
        jobs = [CollectionJob("thought_nodes", projection)] * 2
        with pytest.raises(DatabaseError, match="2 jobs name 1 collections"):
            ChromaMigrator(database).migrate(jobs)

    def test_no_collection_at_all(self, database: Path) -> None:
        with pytest.raises(DatabaseError, match="no collection to migrate"):
            ChromaMigrator(database).migrate([])

    def test_not_enough_disk(self, database: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = shutil.disk_usage(database)._replace(free=1000)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(DiskSpaceError, match="not enough disk") as caught:
            ChromaMigrator(database).migrate_collection("thought_nodes", projection)
        assert caught.value.free_bytes == 1000 < caught.value.needed_bytes

    def test_a_symbolic_link_in_the_database(self, tmp_path: Path, projection: Projection) -> None:
        """Copied as a link, it would lead the copy's writes to the database itself."""
        elsewhere = make_database(tmp_path / "elsewhere", 20)
        linked = tmp_path / "linked"
        shutil.copytree(elsewhere, linked)
        (linked / "chroma.sqlite3").unlink()
        (linked / "chroma.sqlite3").symlink_to(elsewhere / "chroma.sqlite3")
        before = folder_hash(elsewhere)
        with pytest.raises(LocationError, match="is a symbolic link"):
            ChromaMigrator(linked).migrate_collection("thought_nodes", projection)
        assert folder_hash(elsewhere) == before

    def test_what_is_no_embedding_function(self, database: Path, projection: Projection) -> None:
        with pytest.raises(LightmigrateError, match="a str is neither an embedding function nor"):
            ChromaMigrator(database).migrate_collection("thought_nodes", projection, embedding_function="all-MiniLM")


def test_open_in_this_process(database: Path, projection: Projection) -> None:
    with open_client(database) as client:
        client.get_collection("notes", embedding_function=None)
        with pytest.raises(DatabaseInUseError, match=r"this process .* call close\(\)") as caught:
            ChromaMigrator(database).migrate_collection("thought_nodes", projection)
    assert caught.value.processes == (os.getpid(),)
    assert names(database.parent) == [database.name]


def test_open_in_another_process(database: Path, projection: Projection) -> None:
    with other_process_with(database) as process:
        with pytest.raises(DatabaseInUseError, match=rf"open in process {process.pid} \(") as caught:
            ChromaMigrator(database).migrate_collection("thought_nodes", projection)
        assert caught.value.processes == (process.pid,)
    assert names(database.parent) == [database.name]


@pytest.mark.parametrize("read_only", [".", "chroma_data"])
def test_a_read_only_place(database: Path, projection: Projection, read_only: str) -> None:
    """Around the database: then everything happens inside it. The database itself: refused, nothing is copied."""
    # Root may write anywhere, so that root's tests run this as nobody, in a place where nobody may look.
    with tempfile.TemporaryDirectory() as place:
        home = Path(shutil.copytree(database.parent, Path(place) / "home"))
        before = folder_hash(home)
        Path(place).chmod(0o755)
        user = os.geteuid()
        for path in (home, *home.rglob("*")):
            os.chown(path, 65534 if user == 0 else -1, -1)
        (home / read_only).chmod(0o555)
        migrator = ChromaMigrator(home / "chroma_data")
        try:
            os.seteuid(65534 if user == 0 else user)
            migrator = ChromaMigrator(home / "chroma_data")
            if read_only == "chroma_data":
                with pytest.raises(LocationError, match=r"the database, .* is read-only for this user"):
                    migrator.migrate_collection("thought_nodes", projection)
            else:
                backup = migrator.migrate_collection("thought_nodes", projection).backup_path
                assert backup is not None
                assert backup.parent == home / "chroma_data"
                migrator.rollback()
                migrator.clean()
                (home / "chroma_data" / HISTORY_FILE).unlink()  # what was migrated stays known without the backups
        finally:
            os.seteuid(user)
            (home / read_only).chmod(0o755)
        assert folder_hash(home) == before


def test_written_to_while_it_is_copied(database: Path, projection: Projection) -> None:
    def write(progress: object) -> None:
        (database / "chroma.sqlite3").touch()

    with pytest.raises(DatabaseChangedError, match="written to while it was copied"):
        ChromaMigrator(database, on_progress=write).migrate_collection("thought_nodes", projection)
    assert names(database.parent) == [database.name]


def test_written_to_between_copy_and_exchange(database: Path, projection: Projection) -> None:
    """A server that starts in the middle and writes: its record must not be lost with the exchange."""
    written = False

    def write(progress: object) -> None:
        nonlocal written
        if getattr(progress, "step", "") == "verify" and not written:
            written = True
            with open_client(database) as client:
                notes = client.get_collection("notes", embedding_function=None)
                notes.add(ids=["late"], embeddings=make_vectors(1))

    with pytest.raises(DatabaseChangedError, match="written to meanwhile"):
        ChromaMigrator(database, on_progress=write).migrate_collection("thought_nodes", projection)
    assert names(database.parent) == [database.name]
    with open_client(database) as client:
        assert client.get_collection("notes", embedding_function=None).get(ids=["late"])["ids"] == ["late"]


def test_a_client_that_opens_in_the_middle_stops_the_exchange(database: Path, projection: Projection) -> None:
    clients: list[Any] = []

    def open_once(progress: object) -> None:
        if getattr(progress, "step", "") == "verify" and not clients:
            clients.append(open_client(database))

    with pytest.raises(DatabaseInUseError):
        ChromaMigrator(database, on_progress=open_once).migrate_collection("thought_nodes", projection)
    clients[0].close()
    assert names(database.parent) == [database.name]


class TestVectorsThatMeanNothing:
    """Zero vectors can be stored through Chroma; NaN and infinity come from old or damaged folders."""

    @pytest.fixture
    def damaged(self, tmp_path: Path) -> Path:
        folder = tmp_path / "home" / "damaged"
        vectors = make_vectors(120)
        vectors[5] = 0
        with open_client(folder) as client:
            collection = client.create_collection(
                "memory", embedding_function=None, configuration={"hnsw": {"batch_size": 20, "sync_threshold": 20}}
            )
            collection.add(ids=[f"id-{row}" for row in range(120)], embeddings=vectors, documents=["text"] * 120)
        (data,) = folder.glob("*/data_level0.bin")
        content = data.read_bytes()
        for row, value in ((7, np.nan), (9, np.inf)):
            stored = vectors[row].tobytes()
            assert content.count(stored) == 1
            broken = vectors[row].copy()
            broken[3] = value
            content = content.replace(stored, broken.tobytes())
        data.write_bytes(content)
        return folder

    def test_they_are_counted_and_named(self, damaged: Path, projection: Projection) -> None:
        before = folder_hash(damaged)
        with pytest.raises(InvalidVectorsError, match="3 of 120 vectors in memory") as caught:
            ChromaMigrator(damaged, page_size=50).migrate_collection("memory", projection)
        assert caught.value.ids == ("id-5", "id-7", "id-9")
        assert "id-5" not in str(caught.value)
        assert folder_hash(damaged) == before

    def test_their_records_can_be_kept_with_the_centre_as_vector(self, damaged: Path, projection: Projection) -> None:
        ChromaMigrator(damaged).migrate_collection("memory", projection, invalid_vectors="centre")
        with open_client(damaged) as client:
            collection = client.get_collection("memory", embedding_function=None)
            rows = collection.get(ids=["id-5", "id-7", "id-9"], include=["embeddings", "documents"])
        centre = projection.apply(np.zeros(16))
        np.testing.assert_allclose(rows["embeddings"], np.tile(centre, (3, 1)), atol=1e-6)
        assert rows["documents"] == ["text"] * 3
        assert collection_count(damaged) == 120


def collection_count(folder: Path) -> int:
    with open_client(folder) as client:
        return int(client.get_collection("memory", embedding_function=None).count())


class other_process_with:  # noqa: N801  # reads as a phrase
    """Another process that has the database open, for the length of a block."""

    def __init__(self, folder: Path) -> None:
        script = (
            "import sys; from pathlib import Path; from lightmigrate.stores.chroma.client import open_client\n"
            "client = open_client(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> subprocess.Popen[str]:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "open\n"
        return self.process

    def __exit__(self, *exception: object) -> None:
        self.process.communicate("")
