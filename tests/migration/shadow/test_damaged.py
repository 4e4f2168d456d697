"""A collection behind a server whose index is gone: named, left as it is, and the others are migrated."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lightmigrate import CollectionJob, Migrator, auto_migrate
from lightmigrate.commands.conversation import AGREED
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.migrate import migrate_with_projection
from lightmigrate.errors import DamagedCollectionError, DatabaseError
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from tests.databases import make_projection, make_vectors
from tests.encoders import WordLlamaFunction
from tests.migration.shadow.server import Server, running_server
from tests.migration.test_damaged import index_of

ROWS = 150
BROKEN = Address("broken")
WAY_OUT = "--collection broken --embed-again --target-model MODEL"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """It serves two collections, and the index folder of one is missing, as after a copy that left it out."""
    folder = indexed(tmp_path / "db")
    shutil.rmtree(index_of(folder, "broken"))
    with running_server(folder) as running:
        yield running


def indexed(folder: Path) -> Path:
    """A folder of two collections whose vectors are in files."""
    settings = {"hnsw": {"space": "cosine", "sync_threshold": 50, "batch_size": 25}}
    with open_client(folder) as client:
        for name in ("broken", "healthy"):
            collection = client.create_collection(name, embedding_function=None, configuration=settings)
            for start in range(0, ROWS, 50):
                ids = [f"{name}{row}" for row in range(start, start + 50)]
                documents = [f"text {row}" for row in range(start, start + 50)]
                collection.add(ids, make_vectors(ROWS)[start : start + 50], documents=documents)
    return folder


def dimensions(server: Server) -> dict[str, int | None]:
    return {facts.name: facts.dimension for facts in Migrator(server.client()).collections()}


def test_it_is_named_and_the_others_are_migrated(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fault = Migrator(server.client()).damaged()
    assert list(fault) == [BROKEN]
    assert "its index cannot be read" in fault[BROKEN]
    assert "stop the server, and embed its documents again in the folder:  lightmigrate migrate" in fault[BROKEN]
    assert fault[BROKEN].endswith(WAY_OUT)
    diagnosis = Migrator(server.client()).diagnose()
    assert list(diagnosis.damaged) == ["broken"]
    assert list(diagnosis.samples) == ["healthy"]

    with pytest.raises(DamagedCollectionError, match="collection broken cannot be read: its index cannot be read"):
        Migrator(server.client()).migrate([CollectionJob("broken", make_projection())])
    file = make_projection().save(tmp_path / "p.npz")
    options = MigrationOptions()
    (result,) = migrate_with_projection(DatabaseChoice(server.client()), file, options, conversation=AGREED)
    assert result.collection_name == "healthy"
    assert "collection broken cannot be read and is left as it is" in caplog.text
    assert dimensions(server) == {"broken": 16, "healthy": result.current_dim}
    assert len(server.client().get_collection("broken", embedding_function=None).get()["documents"]) == ROWS


def test_a_start_names_it_and_migrates_the_others(server: Server) -> None:
    report = auto_migrate(server.client(), WordLlamaFunction(64), embed_again=True)
    actions = {one.finding.name: one.action for one in report.collections}
    assert actions == {"broken": "refused", "healthy": "migrated"}
    assert report.collections[0].reason.endswith(WAY_OUT)
    assert dimensions(server) == {"broken": 16, "healthy": 64}


def overwrite(file: Path, start: int, count: int) -> None:
    content = bytearray(file.read_bytes())
    content[start : start + count] = b"\xff" * count
    file.write_bytes(content)


def test_damage_in_the_middle_of_an_index_is_named(tmp_path: Path) -> None:
    """The vectors of the first record and the last can be read."""
    folder = indexed(tmp_path / "db")
    size = (index_of(folder, "broken") / "data_level0.bin").stat().st_size
    overwrite(index_of(folder, "broken") / "data_level0.bin", size // 2, size // 10)
    with running_server(folder) as server:
        diagnosis = Migrator(server.client()).diagnose()
    assert list(diagnosis.damaged) == ["broken"]
    assert list(diagnosis.samples) == ["healthy"]


def test_a_collection_that_cannot_even_be_counted_does_not_look_empty(tmp_path: Path) -> None:
    folder = indexed(tmp_path / "db")
    overwrite(index_of(folder, "broken") / "header.bin", 8, 16)
    with running_server(folder) as server:
        with pytest.raises(
            DatabaseError, match=r"collection broken of 127.* cannot be read \(InternalError: .* doctor"
        ):
            Migrator(server.client()).diagnose()
        report = auto_migrate(server.client(), WordLlamaFunction(64))
    assert report.action == "failed"
    assert "collection broken" in report.error
