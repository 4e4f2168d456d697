"""A folder whose records are read from its files: Chroma gives a sample, every fault is found, a kill loses nothing."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, Projection
from lightmigrate.errors import VerificationError
from lightmigrate.migration.aside.draft import Draft
from lightmigrate.migration.options import Verify
from lightmigrate.stores.chroma import from_files, remembered
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.folder import DATABASE_FILE
from lightmigrate.stores.chroma.hnsw import HnswFiles
from lightmigrate.stores.chroma.remembered import RememberedCollection
from lightmigrate.stores.chroma.replacement import ChromaReplacement
from lightmigrate.stores.chroma.stored import StoredRecords
from tests.databases import contents, folder_hash, make_projection
from tests.indexed import INDEXED, make_indexed
from tests.migration.test_resume import KilledError, dies, jobs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With deleted and updated records, some of them only in the log; small collections are read from files, too."""
    monkeypatch.setattr(from_files, "SAMPLED", 20)
    monkeypatch.setattr(remembered, "MOST_RECORDS", 20)
    return make_indexed(tmp_path / "home" / "chroma_data")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records with a vector were asked of Chroma, call by call."""
    sizes: list[int] = []
    plain = ChromaCollection._page

    def page(self: ChromaCollection, rows: Any, vectors: bool, *cursor: Any) -> Any:
        sizes.append(len(rows["ids"]) if vectors else 0)
        return plain(self, rows, vectors, *cursor)

    monkeypatch.setattr(ChromaCollection, "_page", page)
    return sizes


def test_the_result_is_the_same_whoever_reads(folder: Path, projection: Projection, tmp_path: Path) -> None:
    results, states = [], []
    ways: list[Verify] = [True, "full"]
    for verify in ways:
        copy = make_indexed(tmp_path / str(verify) / "chroma_data")
        results.append(ChromaMigrator(copy).migrate_collection("thought_nodes", projection, verify=verify))
        states.append(contents(copy, INDEXED))
        assert ChromaMigrator(copy).verify()[0].vectors_equal
    fast, full = (result.verification for result in results)
    assert fast is not None
    assert full is not None
    assert results[0].index == results[1].index == "keep"
    assert (fast.content_sha256, fast.records) == (full.content_sha256, full.records)
    assert [sorted(state) for state in states[:1]] == [sorted(state) for state in states[1:]]


def test_chroma_is_asked_for_a_sample(asked: list[int], tmp_path: Path, projection: Projection) -> None:
    rows, vectors = 1300, np.random.default_rng(0).normal(size=(1300, 16)).astype(np.float32)
    counts: dict[str, int] = {}
    ways: list[tuple[str, Verify]] = [("files", True), ("chroma", "full")]
    for name, verify in ways:
        folder = tmp_path / name / "chroma_data"
        with open_client(folder) as client:
            collection = client.create_collection("notes", embedding_function=None)
            collection.add(ids=[f"r{row}" for row in range(rows)], embeddings=vectors)
        asked.clear()
        result = ChromaMigrator(folder).migrate_collection("notes", projection, verify=verify)
        assert result.index == "keep"
        counts[name] = sum(asked)
    assert counts["chroma"] - counts["files"] == 2 * rows, (
        "all of it twice, against the samples that are looked at anyway"
    )


def _vector_in_index(folder: Path) -> None:
    for header in folder.glob("*/header.bin"):
        index = HnswFiles.open(header.parent)
        file = header.parent / "data_level0.bin"
        content = bytearray(file.read_bytes())
        for element in range(index.elements):  # all of them, whichever is a record's
            content[element * index.size + index.vector_at + 2] ^= 0x40
        file.write_bytes(content)


def _sql(*statements: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with contextlib.closing(sqlite3.connect(folder / DATABASE_FILE)) as connection, connection:
            for statement in statements:
                assert connection.execute(statement).rowcount, "nothing was changed"

    return change


# The ids of two records change places.
_TWO = "(SELECT id, embedding_id FROM embeddings WHERE embedding_id LIKE 'id-%' ORDER BY id LIMIT 2)"
_EXCHANGE = (
    f"CREATE TEMP TABLE two AS SELECT * FROM {_TWO}",
    "UPDATE embeddings SET embedding_id = 'x' || id WHERE id IN (SELECT id FROM two)",
    "UPDATE embeddings SET embedding_id = (SELECT embedding_id FROM two WHERE two.id <> embeddings.id) "
    "WHERE id IN (SELECT id FROM two)",
)
FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "vector": (_vector_in_index, "another vector"),
    "document": (_sql("UPDATE embedding_metadata SET string_value = 'x' WHERE key = 'chroma:document'"), "tables"),
    "a number": (_sql("UPDATE embedding_metadata SET int_value = int_value + 1 WHERE key = 'int'"), "tables"),
    "an item of a list": (_sql("UPDATE embedding_metadata_array SET string_value = 'x' WHERE key = 'texts'"), "tables"),
    "a field": (_sql("DELETE FROM embedding_metadata WHERE key = 'yes'"), "tables"),
    "id": (_sql(*_EXCHANGE), "another id"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_files(
    fault: str, folder: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = folder_hash(folder)
    spoil, message = FAULTS[fault]
    put = ChromaReplacement.put

    def put_and_spoil(self: ChromaReplacement, *given: Any) -> Any:
        route = put(self, *given)
        spoil(self._folder)
        return route

    monkeypatch.setattr(ChromaReplacement, "put", put_and_spoil)
    with pytest.raises(VerificationError, match=message):
        ChromaMigrator(folder).migrate_collection("thought_nodes", projection)
    assert folder_hash(folder) == before


def test_another_collection_that_changes_is_seen(
    folder: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = ChromaReplacement.put
    spoil = _sql(
        "UPDATE embedding_metadata SET string_value = 'x' WHERE key = 'chroma:document' AND id IN "
        "(SELECT embeddings.id FROM embeddings JOIN segments ON segments.id = segment_id "
        "JOIN collections ON collections.id = collection WHERE collections.name = 'notes')"
    )

    def put_and_spoil(self: ChromaReplacement, *given: Any) -> Any:
        route = put(self, *given)
        spoil(self._folder)
        return route

    monkeypatch.setattr(ChromaReplacement, "put", put_and_spoil)
    with pytest.raises(VerificationError, match="not to be migrated changed"):
        ChromaMigrator(folder).migrate_collection("thought_nodes", projection)


def test_what_chroma_says_counts(folder: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are right do not excuse another answer: then Chroma is asked for everything, which finds the fault."""
    sample, draft, scan = RememberedCollection.sample, Draft.write, ChromaCollection.scan
    drafted: list[object] = []

    def other(self: RememberedCollection, n: int, seed: int = 0) -> Any:
        page = sample(self, n, seed)
        return page.with_vectors(page.vectors * np.float32(1.5)) if drafted and n == from_files.SAMPLED else page

    def scanned(self: ChromaCollection, *given: Any, **named: Any) -> Any:
        return (page.with_vectors(page.vectors * np.float32(1.5)) for page in scan(self, *given, **named))

    def write(*given: Any) -> Draft:
        drafted.append(written := draft(*given))
        monkeypatch.setattr(ChromaCollection, "scan", scanned)
        return written

    monkeypatch.setattr(RememberedCollection, "sample", other)
    monkeypatch.setattr(Draft, "write", write)
    with pytest.raises(VerificationError, match="another vector"):
        ChromaMigrator(folder).migrate_collection("thought_nodes", projection)


@pytest.mark.parametrize(("step", "call"), [("project", 2), ("write", 2), ("verify", 1)])
def test_an_interrupted_run_is_gone_on_with(step: str, call: int, folder: Path) -> None:
    with pytest.raises(KilledError):
        ChromaMigrator(folder, page_size=10, on_progress=dies(step, call)).migrate(jobs(make_projection()))
    results = ChromaMigrator(folder).resume()
    assert [result.n_migrated for result in results]
    assert all(check.contents_equal and check.vectors_equal for check in ChromaMigrator(folder).verify())


def test_files_are_not_read_where_chroma_is_to_be_asked(
    folder: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: Any) -> None:
        raise AssertionError("the files were read")

    monkeypatch.setattr(StoredRecords, "of", never)
    ChromaMigrator(folder).migrate_collection("thought_nodes", projection, verify="full")
