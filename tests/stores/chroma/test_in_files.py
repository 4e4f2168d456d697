"""Records read from the files of a folder are those that Chroma's interface gives, whatever was written before."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromadb.api.models.Collection import Collection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightmigrate.errors import DatabaseError
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma import from_files, remembered
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.chroma.stored import StoredRecords
from tests.databases import make_vectors
from tests.indexed import INDEXED, make_indexed

NOTES, DIMENSION = Address("notes"), 5

_key = st.text("aÄ雪x_", min_size=1, max_size=3)
_text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=6)
_value = st.one_of(
    _text,
    st.booleans(),
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(_text, min_size=1, max_size=3),
    st.lists(st.booleans(), min_size=1, max_size=3),
    st.lists(st.integers(-9, 9), min_size=1, max_size=3),
)
_record = st.tuples(
    st.integers(0, 30),  # which record
    st.one_of(st.none(), _text),
    st.one_of(st.none(), st.dictionaries(_key, _value, max_size=4)),
    st.one_of(st.none(), _text),
    st.integers(0, 2**20),  # which vector
)
_step: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.just("upsert"), st.lists(_record, min_size=1, max_size=12, unique_by=lambda record: record[0])),
    st.tuples(st.just("vectors"), st.lists(_record, min_size=1, max_size=6, unique_by=lambda record: record[0])),
    st.tuples(st.just("delete"), st.lists(_record, min_size=1, max_size=6, unique_by=lambda record: record[0])),
    st.tuples(st.just("beside"), st.lists(_record, min_size=1, max_size=3, unique_by=lambda record: record[0])),
    st.tuples(st.just("reopen"), st.just([])),
)


@pytest.fixture(autouse=True)
def _small_collections_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(from_files, "SAMPLED", 1)
    monkeypatch.setattr(remembered, "MOST_RECORDS", 1)


def _vector(number: int) -> Any:
    """Of all lengths; one in eight is zero."""
    vector = np.random.default_rng(number).normal(size=DIMENSION) * 10.0 ** (number % 5 - 2)
    return (vector * (number % 8 > 0)).astype(np.float32)


def _write(client: Any, step: tuple[str, Any], known: set[str]) -> None:
    what, records = step
    collection = client.get_collection("beside" if what == "beside" else "notes", embedding_function=None)
    ids = [f"é{record[0]}" for record in records]
    vectors = [_vector(record[4]) for record in records]
    if what in ("upsert", "beside"):
        collection.upsert(
            ids=ids,
            embeddings=vectors,
            documents=[record[1] for record in records],
            metadatas=[record[2] or None for record in records],
            uris=[record[3] for record in records],
        )
        known |= set(ids) if what == "upsert" else set()
    elif what == "vectors" and (kept := [row for row, record in enumerate(ids) if record in known]):
        collection.update(ids=[ids[row] for row in kept], embeddings=[vectors[row] for row in kept])
    elif what == "delete":
        collection.delete(ids=ids)
        known -= set(ids)


def _same(folder: Path, address: Address) -> tuple[int, int]:
    """Compare both readers; returns how many records there are, and how many vectors only Chroma had."""
    with ChromaFolderStore(folder) as store:
        collection = store.collection(address)
        seen = Page.joined(list(collection.scan(1000)))
        read = store.records_in_files(address)
        assert read is not None or len(seen) <= from_files.SAMPLED
        if read is None:
            return 0, 0
        for size in (7, 1000):
            page = Page.joined(list(read.scan(size)))
            assert (list(page.ids), list(page.texts)) == (list(seen.ids), list(seen.texts))
            assert from_files._typed(list(page.payloads)) == from_files._typed(list(seen.payloads))
            assert page.vectors.tobytes() == seen.vectors.tobytes()
        assert [record for page in read.scan(5, contents=False, vectors=False) for record in page.ids] == list(seen.ids)
        return len(seen), len(read.stored.rows(range(len(seen)))[1])


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    space=st.sampled_from(["cosine", "l2", "ip"]),
    threshold=st.sampled_from([2, 5, 1000]),
    steps=st.lists(_step, min_size=1, max_size=8),
)
def test_both_readers_give_the_same_after_any_history(
    space: str, threshold: int, steps: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("history") / "db"
    index = {"space": space, "sync_threshold": threshold, "batch_size": 2}
    known: set[str] = set()
    client = open_client(folder)
    try:
        client.create_collection("notes", embedding_function=None, configuration={"hnsw": index})
        client.create_collection("beside", embedding_function=None)
        for step in steps:
            if step[0] == "reopen":
                client.close()
                client = open_client(folder)
            else:
                _write(client, step, known)
    finally:
        client.close()
    records, _ = _same(folder, NOTES)
    assert records == len(known) or len(known) <= 1
    shutil.rmtree(folder.parent)


@pytest.mark.parametrize("which", range(len(INDEXED)))
def test_an_index_with_deleted_elements_and_a_tail_in_the_log(which: int, tmp_path: Path) -> None:
    tenant, database, name = INDEXED[which]
    records, asked = _same(make_indexed(tmp_path / "db"), Address(name, tenant, database))
    assert records > asked
    assert (asked > 0) == (which < 2), "some vectors are in the index, and of two collections some in the log alone"


def _indexed(folder: Path, rows: int = 60) -> Path:
    with open_client(folder) as client:
        settings = {"space": "l2", "sync_threshold": 20, "batch_size": 20}
        collection = client.create_collection("notes", embedding_function=None, configuration={"hnsw": settings})
        for start in range(0, rows, 20):
            ids = [f"r{row}" for row in range(start, start + 20)]
            collection.add(ids=ids, embeddings=make_vectors(20, DIMENSION, start), documents=ids)
    return folder


def test_a_sample_is_read_once_and_by_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chroma reads all rows before an offset; what is compared with the files is the sample that was looked at."""
    monkeypatch.setattr(remembered, "MOST_RECORDS", 20)
    monkeypatch.setattr(from_files, "SAMPLED", 20)
    asked: list[int | None] = []
    plain = Collection.get

    def get(collection: Collection, *positional: Any, **named: Any) -> Any:
        asked.append(named.get("offset"))
        return plain(collection, *positional, **named)

    monkeypatch.setattr(Collection, "get", get)
    with ChromaFolderStore(_indexed(tmp_path / "db")) as store:
        collection = store.collection(NOTES)
        sample = collection.sample(20)
        assert sample.ids == [f"r{row}" for row in range(0, 60, 3)]
        assert collection.sample(20, seed=1).ids == [f"r{row}" for row in range(1, 60, 3)]
        before = len(asked)
        assert store.records_in_files(NOTES) is not None
        assert len(asked) == before
    assert asked == [None] * before


def test_the_digest_of_a_scan_is_that_of_the_tables_whatever_its_pages(tmp_path: Path) -> None:
    with ChromaFolderStore(_indexed(tmp_path / "db")) as store:
        digests = set()
        for size in (7, 20, 1000):
            read = store.records_in_files(NOTES)
            assert read is not None
            digests.add(read.contents_sha256())
            assert sum(map(len, read.scan(size, contents=size > 7))) == 60
            assert read.scanned_sha256 == read.contents_sha256()
            digests.add(read.contents_sha256())
    assert len(digests) == 1


def test_an_index_that_is_older_than_the_tables_is_not_believed(tmp_path: Path) -> None:
    """The log was deleted since, so nobody knows the vectors: as if Chroma was asked."""
    folder = _indexed(tmp_path / "db", 40)
    (index,) = (path.parent for path in folder.glob("*/header.bin"))
    older = shutil.copytree(index, tmp_path / "older")
    with open_client(folder) as client:
        collection = client.get_collection("notes", embedding_function=None)
        collection.add(ids=[f"n{row}" for row in range(40)], embeddings=make_vectors(40, DIMENSION))
    shutil.rmtree(index)
    shutil.copytree(older, index)
    with ChromaFolderStore(folder) as store:
        with pytest.raises(Exception, match=r".+") as plain:
            list(store.collection(NOTES).scan(1000))
        read = store.records_in_files(NOTES)
        assert read is not None, "the first record, which is the sample here, is in the index"
        with pytest.raises(type(plain.value)):
            list(read.scan(1000))


def test_files_that_say_something_else_than_chroma_are_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(from_files, "SAMPLED", 10)
    folder = _indexed(tmp_path / "db")
    plain = StoredRecords.rows

    def other(stored: StoredRecords, rows: Any) -> Any:
        page, missing = plain(stored, rows)
        return page.with_vectors(page.vectors + np.float32(1e-6)), missing

    monkeypatch.setattr(StoredRecords, "rows", other)
    with ChromaFolderStore(folder) as store:
        assert store.records_in_files(NOTES) is None
    assert "other things than its files" in caplog.text


@pytest.mark.parametrize("name", ["header.bin", "data_level0.bin", "index_metadata.pickle"])
def test_damaged_files_are_not_read(name: str, tmp_path: Path) -> None:
    folder = _indexed(tmp_path / "db")
    (file,) = folder.glob(f"*/{name}")
    with ChromaFolderStore(folder) as store:
        store.collection(NOTES).sample(1)  # Chroma has it in memory
        file.write_bytes(file.read_bytes()[:-1])
        assert store.records_in_files(NOTES) is None


def test_files_that_are_written_meanwhile(tmp_path: Path) -> None:
    folder = _indexed(tmp_path / "db")
    with ChromaFolderStore(folder) as store:
        read = store.records_in_files(NOTES)
        assert read is not None
        pages = read.scan(10)
        next(pages)
        collection = store.collection(NOTES)
        collection.add(Page([f"n{row}" for row in range(20)], make_vectors(20, DIMENSION), [None] * 20, [None] * 20))
        with pytest.raises(DatabaseError, match=r"meanwhile.*--verify full"):
            list(pages)


def test_the_digest_shows_every_change_of_a_record(tmp_path: Path) -> None:
    folder = _indexed(tmp_path / "db")
    changes: list[dict[str, Any]] = [
        {"documents": ["another"]},
        {"metadatas": [{"n": 1}]},
        {"metadatas": [{"n": True}]},
        {"metadatas": [{"n": 1.0}]},
        {"metadatas": [{"n": [1, 2]}]},
        {"metadatas": [{"n": [2, 1]}]},
        {"uris": ["file:///1"]},
        {"metadatas": [{"another": "1"}]},
    ]
    seen = []
    for change in [None, None, *changes]:
        if change is not None:
            with open_client(folder) as client:
                vector = make_vectors(1, DIMENSION)  # or Chroma would embed a new document
                client.get_collection("notes", embedding_function=None).update(["r7"], vector, **change)
        with ChromaFolderStore(folder) as store:
            read = store.records_in_files(NOTES)
            assert read is not None
            seen.append(read.contents_sha256())
    assert seen[0] == seen[1]
    assert len(set(seen)) == len(changes) + 1


def test_small_collections_are_read_through_chroma(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(from_files, "SAMPLED", 60)
    with ChromaFolderStore(_indexed(tmp_path / "db")) as store:
        assert store.records_in_files(NOTES) is None


def test_tables_of_another_version_are_read_through_chroma(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _indexed(tmp_path / "db")
    monkeypatch.setattr("lightmigrate.stores.chroma.layout._KNOWN_TABLES", set())
    with ChromaFolderStore(folder) as store:
        assert store.records_in_files(NOTES) is None
        assert len(Page.joined(list(store.collection(NOTES).scan(100)))) == 60
