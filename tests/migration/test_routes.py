"""The three routes into a new index: the same database comes of each, and each gives way where it must."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.errors import VerificationError
from lightmigrate.migration.aside import build
from lightmigrate.migration.results import MigrationResult
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma import layout as chroma_layout
from lightmigrate.stores.chroma import replacement
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.hnsw import HnswFiles
from lightmigrate.stores.chroma.layout import Layout
from lightmigrate.stores.chroma.replacement import ChromaReplacement
from lightmigrate.stores.files import IndexRoute
from tests.databases import NEW_DIM, contents, folder_hash, make_projection, records
from tests.indexed import INDEXED, make_indexed

ROUTES: tuple[IndexRoute, ...] = ("keep", "rebuild", "rewrite")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_indexed(tmp_path_factory.mktemp("indexed") / "chroma_data")


@pytest.fixture(scope="module")
def expected(template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What rewriting every record gives: nothing but Chroma's public interface has touched it."""
    copy = Path(shutil.copytree(template, tmp_path_factory.mktemp("expected") / "chroma_data"))
    migrate(copy, "rewrite")
    return contents(copy, INDEXED)


@pytest.fixture
def indexed(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "home" / "chroma_data"))


def jobs(projection: Projection | None = None) -> list[CollectionJob]:
    return [
        CollectionJob(name, projection or make_projection(), None, tenant, database)
        for tenant, database, name in INDEXED
    ]


def migrate(database: Path, route: IndexRoute) -> list[MigrationResult]:
    return ChromaMigrator(database, page_size=50).migrate(jobs(), index=route)


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for key, one in expected.items():
        assert found[key]["rows"] == one["rows"]
        assert found[key]["schema"] == one["schema"]
        assert found[key]["metadata"] == one["metadata"]
        np.testing.assert_allclose(found[key]["vectors"], one["vectors"], atol=2e-6)


@pytest.mark.parametrize("in_memory", [60, 64, 101])
def test_a_large_index_is_written_to_the_disk_in_portions_and_is_whole(
    indexed: Path, expected: dict[str, Any], in_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replacement, "_IN_MEMORY", in_memory)
    assert [result.index for result in migrate(indexed, "rebuild")] == ["rebuild"] * 3
    same(contents(indexed, INDEXED), expected)


@given(total=st.integers(1, 2_000_000), page_size=st.integers(100, 5000))
def test_portions_end_with_the_last_record_and_never_a_little_before(total: int, page_size: int) -> None:
    together, ends = replacement._portions(total, page_size)
    waiting, start = 0, 0
    for end in ends:  # as Chroma does: it writes the index as soon as so many came since it did the last time
        assert 0 < end - start <= page_size
        waiting, start = waiting + end - start, end
        waiting = 0 if waiting >= together else waiting
        assert waiting < together < 2 * replacement._IN_MEMORY
    assert (start, waiting) == (total, 0)


def test_the_index_files_these_tests_are_about_are_there(template: Path) -> None:
    for tenant, database, name in INDEXED:
        layout = Layout.of(template, Address(name, tenant, database))
        assert layout is not None
        assert layout.indexed


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_makes_the_same_database_and_leads_back(
    route: IndexRoute, indexed: Path, expected: dict[str, Any]
) -> None:
    before = folder_hash(indexed)
    results = migrate(indexed, route)
    assert [result.index for result in results] == [route] * 3
    for result in results:
        assert result.verification is not None
        assert result.verification.recall == result.verification.recall_before == 1.0
    same(contents(indexed, INDEXED), expected)
    assert all(check.contents_equal and check.vectors_equal for check in ChromaMigrator(indexed).verify())
    ChromaMigrator(indexed).rollback(written="discard")
    assert folder_hash(indexed) == before


# What an application does after the migration, in a process of its own; it prints what it finds nearest.
_USE = """
import sys
import numpy as np
from lightmigrate.stores.chroma.client import open_client
with open_client(__import__("pathlib").Path(sys.argv[1])) as client:
    collection = client.get_collection(sys.argv[2], embedding_function=None)
    rng = np.random.default_rng(5)
    new = rng.normal(size=(60, {dim})).astype("float32")
    if sys.argv[3] == "write":
        ids = collection.get(include=[])["ids"]
        collection.add(ids=[f"new{{row}}" for row in range(60)], embeddings=new, documents=["new"] * 60)
        collection.update(ids=ids[:5], embeddings=new[:5] + 7, documents=["updated"] * 5)
        collection.delete(ids=ids[5:10])
    print(*(found[0] for found in collection.query(query_embeddings=new, n_results=1)["ids"]))
    print(*(found[0] for found in collection.query(query_embeddings=new[:5] + 7, n_results=1)["ids"]))
    print(collection.count())
"""


@pytest.mark.parametrize("route", ROUTES)
def test_an_application_goes_on_with_it_and_finds_it_again(route: IndexRoute, indexed: Path) -> None:
    migrate(indexed, route)
    with open_client(indexed) as client:
        ids = client.get_collection("thought_nodes", embedding_function=None).get(include=[])["ids"]
    program = _USE.format(dim=NEW_DIM)
    for what in ("write", "read"):
        command = [sys.executable, "-c", program, str(indexed), "thought_nodes", what]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        assert said[0].split() == [f"new{row}" for row in range(60)]
        assert set(said[1].split()) <= set(ids[:5])
        assert int(said[2]) == len(ids) + 60 - 5


def test_tables_that_are_not_known_are_not_written_to(
    indexed: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chroma_layout, "_KNOWN_TABLES", set())
    assert [result.index for result in migrate(indexed, "keep")] == ["rewrite"] * 3
    same(contents(indexed, INDEXED), expected)


@contextlib.contextmanager
def altered(database: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(database / "chroma.sqlite3")) as connection, connection:
        yield connection


def test_a_migration_of_the_tables_that_is_new_is_not_known(indexed: Path, expected: dict[str, Any]) -> None:
    with altered(indexed) as connection:
        connection.execute("UPDATE migrations SET hash = 'other' WHERE version = (SELECT max(version) FROM migrations)")
    assert Layout.of(indexed, Address("notes")) is None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE collections SET schema_str = NULL",
        "UPDATE collections SET dimension = NULL",
        "UPDATE segments SET type = 'urn:chroma:segment/vector/other' WHERE scope = 'VECTOR'",
        "UPDATE embeddings_queue SET encoding = 'INT32'",
        "DELETE FROM max_seq_id",
    ],
)
def test_what_is_not_as_it_is_known_is_left_to_chroma(change: str, indexed: Path) -> None:
    assert Layout.of(indexed, Address("notes")) is not None
    with altered(indexed) as connection:
        connection.execute(change)
    assert Layout.of(indexed, Address("notes")) is None


@pytest.mark.parametrize("name", ["header.bin", "data_level0.bin", "length.bin", "index_metadata.pickle"])
def test_an_index_that_is_not_known_is_built_anew(
    name: str, indexed: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy's file is cut short right before its vectors would be exchanged: Chroma itself read a whole one."""
    exchange = ChromaReplacement._exchange_vectors

    def damaged(self: ChromaReplacement, layout: Layout, draft: Any) -> None:
        path = layout.index / name
        path.write_bytes(path.read_bytes()[:-3])
        exchange(self, layout, draft)

    monkeypatch.setattr(ChromaReplacement, "_exchange_vectors", damaged)
    assert [result.index for result in migrate(indexed, "keep")] == ["rebuild"] * 3
    same(contents(indexed, INDEXED), expected)


def test_a_graph_that_finds_less_is_given_up(
    indexed: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "LOSS", -0.5)  # as if every graph that was kept found less than before
    assert [result.index for result in migrate(indexed, "keep")] == ["rebuild"] * 3
    same(contents(indexed, INDEXED), expected)


def test_an_index_that_chroma_does_not_leave_on_the_disk_is_not_used(
    indexed: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = ChromaReplacement._fill_scratch

    def without_files(self: ChromaReplacement, schema: Any, draft: Any) -> None:
        fill(self, schema, draft)
        (index,) = (path.parent for path in self._scratch.glob("*/header.bin"))
        shutil.rmtree(index)  # as if Chroma had not come to write it

    monkeypatch.setattr(ChromaReplacement, "_fill_scratch", without_files)
    assert [result.index for result in migrate(indexed, "rebuild")] == ["rewrite"] * 3
    same(contents(indexed, INDEXED), expected)


def test_a_collection_that_is_only_in_the_log_keeps_to_it(tmp_path: Path) -> None:
    with open_client(tmp_path / "home" / "db") as client:  # more than Chroma's batch, fewer than it writes to the disk
        client.create_collection("notes", embedding_function=None).add(**records(160))
    assert list((tmp_path / "home" / "db").glob("*/header.bin"))
    (result,) = ChromaMigrator(tmp_path / "home" / "db").migrate([CollectionJob("notes", make_projection())])
    assert (result.index, result.n_migrated) == ("keep", 160)
    assert ChromaMigrator(tmp_path / "home" / "db").verify()[0].vectors_equal


def test_a_start_that_was_interrupted_after_rewriting_is_gone_on_with(
    indexed: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(build, "verify", interrupt)
        with pytest.raises(KeyboardInterrupt):
            migrate(indexed, "rewrite")
    ChromaMigrator(indexed).resume()
    same(contents(indexed, INDEXED), expected)


@pytest.mark.parametrize("where", ["index", "log"])
def test_a_wrong_vector_in_a_kept_index_is_found(where: str, indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, keep = folder_hash(indexed), ChromaReplacement._keep

    def spoiled(self: ChromaReplacement, draft: Any) -> bool:
        done = keep(self, draft)
        if where == "index":
            path = self._folder / self._kept / "data_level0.bin"
            content = bytearray(path.read_bytes())
            at = HnswFiles.open(path.parent).vector_at
            content[at : at + 4] = np.float32(0.5).tobytes()
            path.write_bytes(content)
        else:
            with altered(self._folder) as connection:
                connection.execute(
                    "UPDATE embeddings_queue SET vector = "
                    "CAST(substr(vector, 1, length(vector) - 4) || x'0000003F' AS BLOB) WHERE id = 'late'"
                )
        return done

    monkeypatch.setattr(ChromaReplacement, "_keep", spoiled)
    with pytest.raises(VerificationError, match="vector"):
        migrate(indexed, "keep")
    assert folder_hash(indexed) == before


def interrupt(*given: Any, **named: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("stage", ["_exchange_vectors", "_take_place", "_built", "_rewrite"])
@pytest.mark.parametrize("again", ROUTES)
def test_an_interrupted_run_is_gone_on_with_by_whatever_route(
    stage: str, again: IndexRoute, indexed: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = folder_hash(indexed)
    route: IndexRoute = {"_built": "rebuild", "_rewrite": "rewrite"}.get(stage, "keep")  # type: ignore[assignment]
    done = 0
    original = getattr(ChromaReplacement, stage)

    def interrupted(self: ChromaReplacement, *given: Any, **named: Any) -> Any:
        nonlocal done
        done += 1
        if done == 2:  # the first collection is through, the second is not
            raise KeyboardInterrupt
        return original(self, *given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(ChromaReplacement, stage, interrupted)
        with pytest.raises(KeyboardInterrupt):
            migrate(indexed, route)
    assert folder_hash(indexed) == before
    migrator = ChromaMigrator(indexed, page_size=50)
    assert migrator.interrupted
    migrator.resume(index=again)
    same(contents(indexed, INDEXED), expected)
    migrator.rollback(written="discard")
    assert folder_hash(indexed) == before
