"""Collections whose index cannot be read: named, left as they are, and made anew from their texts when asked."""

from __future__ import annotations

import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from lightmigrate import CollectionJob, Migrator, auto_migrate
from lightmigrate.errors import DamagedCollectionError, InvalidVectorsError
from lightmigrate.migration.embed_again import EmbedAgain
from lightmigrate.projection.model import Model
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma import files, health, set_aside
from lightmigrate.stores.chroma.client import open_client
from tests import windows
from tests.budget.collections import CORPUS, texts
from tests.databases import make_projection
from tests.encoders import WordLlamaFunction, shared_wordllama

ROWS = 150
NEW = WordLlamaFunction(64)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two collections of one model whose vectors are all in index files, and none in the log."""
    folder = tmp_path_factory.mktemp("template") / "db"
    with open_client(folder) as client:
        for name in ("broken", "healthy"):
            collection = client.create_collection(
                name,
                embedding_function=None,
                configuration={"hnsw": {"space": "cosine", "sync_threshold": 50, "batch_size": 25}},
            )
            documents: list[str] = texts(ROWS)
            for start in range(0, ROWS, 50):
                rows = slice(start, start + 50)
                ids = [f"{name}{row}" for row in range(start, start + 50)]
                collection.add(ids, CORPUS.old_documents[rows], [{"row": row} for row in range(50)], documents[rows])
    return folder


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "db"))


def index_of(folder: Path, name: str) -> Path:
    """The index folder of a collection."""
    with closing(sqlite3.connect(folder / "chroma.sqlite3")) as connection:
        query = (
            "SELECT segments.id FROM segments JOIN collections ON collections.id = collection "
            "WHERE scope = 'VECTOR' AND name = ?"
        )
        return folder / str(connection.execute(query, (name,)).fetchone()[0])


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def lead_nowhere(file: Path) -> None:
    """Every link of every element leads to an element that is not there."""
    content = np.frombuffer(file.read_bytes(), np.uint8).reshape(ROWS, -1).copy()
    content[:, 4:8] = 0xFF
    content[:, 0] = np.maximum(content[:, 0], 1)
    file.write_bytes(content.tobytes())


def forget_records(index: Path) -> None:
    """The index as it was before the last records, as a crash leaves it."""
    with open_client(index.parent) as client:
        collection = client.get_collection("broken", embedding_function=None)
        older = {path.name: path.read_bytes() for path in index.iterdir()}
        new = [f"late{row}" for row in range(100)]
        collection.add(new, CORPUS.old_documents[:100], documents=texts(100))
    for name, content in older.items():
        (index / name).write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder gone": (shutil.rmtree, "its index folder is missing"),
    "pointer": (
        lambda index: (index / "data_level0.bin").write_text("version https://git-lfs.github.com/spec/v1\n"),
        "data_level0.bin of its index is a Git LFS pointer",
    ),
    "cut": (
        lambda index: cut(index / "data_level0.bin"),
        r"data_level0.bin of its index is cut short \(.* of .* bytes",
    ),
    "empty": (lambda index: (index / "length.bin").write_bytes(b""), "length.bin of its index is empty"),
    "file gone": (lambda index: (index / "index_metadata.pickle").unlink(), "its index lacks index_metadata.pickle"),
    "half a list": (lambda index: cut(index / "index_metadata.pickle"), "index_metadata.pickle is not whole"),
    "header": (lambda index: (index / "header.bin").write_bytes(bytes(100)), "header.bin of its index is damaged"),
    "links": (lambda index: lead_nowhere(index / "data_level0.bin"), "a link leads to no element"),
    "levels": (lambda index: cut(index / "link_lists.bin"), "link_lists.bin is cut short"),
    "behind the log": (forget_records, r"its index is behind the log: \d+ records have no vector"),
}


def state_of(folder: Path) -> Any:
    """Everything of the damaged collection that is on the disk."""
    index = index_of(folder, "broken")
    with closing(sqlite3.connect(folder / "chroma.sqlite3")) as connection:
        rows = connection.execute(
            "SELECT embedding_id, embeddings.seq_id FROM embeddings JOIN segments ON segments.id = segment_id "
            "JOIN collections ON collections.id = collection WHERE name = 'broken' ORDER BY 1"
        ).fetchall()
        indexed = connection.execute("SELECT seq_id FROM max_seq_id WHERE segment_id = ?", (index.name,)).fetchall()
    files = {path.name: path.read_bytes() for path in index.iterdir()} if index.is_dir() else None
    return rows, indexed, files


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_collection_is_named_and_left_alone_while_the_others_are_migrated(kind: str, database: Path) -> None:
    damage, said = DAMAGES[kind]
    damage(index_of(database, "broken"))
    diagnosis = Migrator(database).diagnose()
    assert list(diagnosis.damaged) == ["broken"]
    assert re.search(said, diagnosis.damaged["broken"])
    assert "--collection broken --embed-again" in diagnosis.damaged["broken"]
    before = state_of(database)
    report = auto_migrate(database, NEW, min_quality=0.0)
    actions = {one.finding.name: (one.finding.verdict, one.action) for one in report.collections}
    assert actions == {"broken": ("damaged", "refused"), "healthy": ("other dimension", "migrated")}
    assert state_of(database) == before
    with open_client(database) as client:
        healthy = client.get_collection("healthy", embedding_function=None)
        assert healthy.get(include=["embeddings"])["embeddings"].shape == (ROWS, 64)


def test_an_index_that_is_taken_out_of_the_copy_is_put_back_on_windows_too(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is renamed; a scanner of viruses that looks at it then is waited for."""
    damage, _ = DAMAGES["links"]
    damage(index_of(database, "broken"))
    before, index = state_of(database), index_of(database, "broken").name
    windows.pretend(monkeypatch)
    reader: list[IO[bytes]] = []
    aside = set_aside.set_aside

    def scanned(folder: Path, damaged: Collection[Address], place: Path) -> None:
        reader.append((folder / index / "data_level0.bin").open("rb"))
        aside(folder, damaged, place)

    monkeypatch.setattr(files, "set_aside", scanned)
    monkeypatch.setattr(time, "sleep", lambda seconds: reader[-1].close())
    report = auto_migrate(database, NEW, min_quality=0.0, refine="off")
    assert [one.action for one in report.collections] == ["refused", "migrated"]
    assert reader
    assert state_of(database) == before


def test_healthy_collections_are_not_called_damaged(database: Path) -> None:
    assert Migrator(database).damaged() == {}
    with open_client(database) as client:  # records in the log, and deleted ones
        collection = client.get_collection("broken", embedding_function=None)
        collection.add(["new"], CORPUS.old_documents[:1], documents=["new"])
        collection.delete([f"broken{row}" for row in range(20)])
    assert Migrator(database).damaged() == {}


def test_it_is_not_read_and_the_message_says_what_helps(database: Path) -> None:
    shutil.rmtree(index_of(database, "broken"))
    job = CollectionJob("broken", make_projection(source=Model("old", 256), target=Model("new", 64)))
    with pytest.raises(DamagedCollectionError, match=r"index folder is missing; embed its documents again: .*migrate"):
        Migrator(database).migrate([job])
    with pytest.raises(DamagedCollectionError, match="embed its documents again"):
        Migrator(database).train("broken", ChromaProvider(NEW))
    assert Migrator(database).train("healthy", ChromaProvider(NEW), samples=60).gate


def test_of_a_named_collection_all_documents_are_taken_where_there_are_fewer(database: Path) -> None:
    assert len(Migrator(database).calibration_data("healthy", 1000).texts) == ROWS


def test_the_command_of_the_message_makes_it_anew(database: Path, tmp_path: Path) -> None:
    shutil.rmtree(index_of(database, "broken"))
    fault = Migrator(database).damaged()[Address("broken")]
    command = shlex.split(fault.partition("again:  ")[2].replace("MODEL", "default"))
    more = ["--target-provider", "chroma", "--cache", str(tmp_path / "cache"), "--yes"]
    done = subprocess.run([sys.executable, "-m", *command, *more, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    again = EmbedAgain(ChromaProvider(NEW).model, ChromaProvider(NEW).embed_each)
    (result,) = Migrator(database).migrate([CollectionJob("broken", again, NEW)])
    assert (result.n_migrated, result.current_dim, result.lost_vectors, result.index) == (ROWS, 64, 0, "rewrite")
    assert Migrator(database).damaged() == {}
    with open_client(database) as client:
        rows = client.get_collection("broken", embedding_function=None).get(
            include=["embeddings", "documents", "metadatas"]
        )
    assert rows["ids"] == [f"broken{row}" for row in range(ROWS)]
    assert rows["documents"] == texts(ROWS)
    assert rows["metadatas"][7] == {"row": 7}
    np.testing.assert_allclose(rows["embeddings"], shared_wordllama(64).embed(texts(ROWS)), atol=1e-6)
    Migrator(database).rollback()
    assert list(Migrator(database).damaged()) == [Address("broken")]


def test_records_without_a_text_are_counted_as_lost_and_kept_when_asked(database: Path) -> None:
    index = index_of(database, "broken")
    with open_client(database) as client:
        collection = client.get_collection("broken", embedding_function=None)
        collection.update(["broken3"], CORPUS.old_documents[:1], documents=[""])
        collection.add(["image"], CORPUS.old_documents[:1], uris=["file:///image"])
    shutil.rmtree(index)
    job = CollectionJob("broken", EmbedAgain(ChromaProvider(NEW).model, ChromaProvider(NEW).embed_each))
    with pytest.raises(
        InvalidVectorsError, match=r"2 of 151 records in broken have no text .*--invalid-vectors centre"
    ):
        Migrator(database).migrate([job])
    (result,) = Migrator(database).migrate([job], invalid_vectors="centre")
    assert (result.n_migrated, result.lost_vectors) == (ROWS + 1, 2)
    with open_client(database) as client:
        rows = client.get_collection("broken", embedding_function=None).get(include=["embeddings", "uris"])
    assert rows["uris"][-1] == "file:///image"
    vectors = np.asarray(rows["embeddings"])
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(vectors[3], vectors[-1], atol=1e-6)


def test_texts_by_id_are_embedded_and_not_written(database: Path) -> None:
    with open_client(database) as client:
        collection = client.get_collection("broken", embedding_function=None)
        collection.update(["broken3"], CORPUS.old_documents[:1], documents=[""])
    shutil.rmtree(index_of(database, "broken"))
    again = EmbedAgain(ChromaProvider(NEW).model, ChromaProvider(NEW).embed_each)
    Migrator(database).migrate([CollectionJob("broken", again, texts={"broken3": "kept elsewhere"})])
    with open_client(database) as client:
        rows = client.get_collection("broken", embedding_function=None).get(
            "broken3", include=["embeddings", "documents"]
        )
    assert rows["documents"] == [""]
    np.testing.assert_allclose(rows["embeddings"], shared_wordllama(64).embed(["kept elsewhere"]), atol=1e-6)


def test_a_start_makes_it_anew_only_where_the_policy_allows(database: Path) -> None:
    shutil.rmtree(index_of(database, "broken"))
    report = auto_migrate(database, NEW, min_quality=0.0, embed_again=True)
    assert {one.finding.name: one.action for one in report.collections} == {"broken": "migrated", "healthy": "migrated"}
    (anew,) = (one for one in report.collections if one.finding.name == "broken")
    assert anew.made_anew
    assert anew.exact == anew.migrated > 0
    assert auto_migrate(database, NEW).action == "nothing"


def emptied(folder: Path, metadata: dict[str, Any]) -> Path:
    """A collection of which all records were deleted, and that keeps its dimension."""
    with open_client(folder) as client:
        collection = client.create_collection("memories", embedding_function=None, metadata=metadata)
        collection.add(["a", "b"], CORPUS.old_documents[:2], documents=["one", "two"])
        collection.delete(["a", "b"])
        client.create_collection("never", embedding_function=None)
    return folder


@pytest.mark.parametrize("told", [{}, {"expected_dim": 64}])
def test_an_emptied_collection_is_made_anew_for_the_new_dimension(told: dict[str, Any], tmp_path: Path) -> None:
    folder = emptied(tmp_path / "db", {"hnsw:space": "cosine", "owner": "someone"})
    report = auto_migrate(folder, NEW if not told else None, **told)
    assert {one.finding.name: one.action for one in report.collections} == {"memories": "migrated", "never": "nothing"}
    with open_client(folder) as client:
        collection = client.get_collection("memories", embedding_function=None)
        assert collection.metadata == {"hnsw:space": "cosine", "owner": "someone"}
        collection.add(["c"], shared_wordllama(64).embed(["three"]), documents=["three"])
        assert collection.query(shared_wordllama(64).embed(["three"]), n_results=1)["ids"] == [["c"]]
    assert auto_migrate(folder, NEW if not told else None, **told).action == "nothing"


def test_it_is_only_warned_about_where_nothing_may_be_migrated(tmp_path: Path) -> None:
    folder = emptied(tmp_path / "db", {"owner": "someone"})
    report = auto_migrate(folder, NEW, on_mismatch="warn")
    assert [one.action for one in report.collections] == ["warned", "nothing"]


def test_migrate_makes_an_emptied_collection_anew_too(tmp_path: Path) -> None:
    folder = emptied(tmp_path / "db", {"owner": "someone"})
    job = CollectionJob("memories", make_projection(source=Model("old", 256), target=Model("new", 64)))
    (result,) = Migrator(folder).migrate([job])
    assert (result.n_migrated, result.previous_dim, result.current_dim) == (0, 256, 64)
    assert {facts.name: facts.dimension for facts in Migrator(folder).collections()} == {
        "memories": None,
        "never": None,
    }


def test_an_emptied_collection_of_an_open_client_is_made_anew(tmp_path: Path) -> None:
    folder = emptied(tmp_path / "db", {"owner": "someone"})
    with open_client(folder) as client:
        held = client.get_collection("memories", embedding_function=None)
        report = auto_migrate(client, NEW)
        assert {one.finding.name: one.action for one in report.collections}["memories"] == "migrated"
        held.add(["c"], shared_wordllama(64).embed(["three"]), documents=["three"])
        assert held.count() == 1


def test_files_are_looked_into_once_as_long_as_nothing_changed(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []

    def counting(folder: Path, *, thorough: bool) -> dict[Address, str]:
        looked.extend([folder] if thorough else [])
        return health.damaged_indexes(folder, thorough=thorough)

    monkeypatch.setattr(files, "damaged_indexes", counting)
    projection = make_projection(source=Model("old", 256), target=Model("new", 64))
    migrator = Migrator(database)
    assert not migrator.damaged()
    assert migrator.find_texts("broken")
    migrator.migrate([CollectionJob("healthy", projection)])
    assert looked == [database]
    assert not migrator.damaged(), "it is another database now"
    cut(index_of(database, "broken") / "data_level0.bin")
    assert list(migrator.damaged()) == [Address("broken")]
    assert looked == [database] * 3
