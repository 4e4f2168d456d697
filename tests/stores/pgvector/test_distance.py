"""Another distance for a PostgreSQL table: its indexes are built anew with other operators, under their own names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest
from psycopg import sql

from lightmigrate import CollectionJob, Migrator
from lightmigrate.commands.conversation import AGREED
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.new_index import rebuild_indexes
from lightmigrate.errors import RefusedError
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector.store import PgStore
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors
from tests.migration.test_resume import KilledError, dies

ROWS = 60


@pytest.fixture
def database(tmp_path: Path) -> Iterator[PgMaker]:
    """A table `docs` with `ROWS` rows and an index for l2."""
    maker = PgMaker(tmp_path)
    maker.create("docs", OLD_DIM, "l2")
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        rows = [(f"id{row:02}", f"text {row}", str(vector.tolist())) for row, vector in enumerate(make_vectors(ROWS))]
        connection.cursor().executemany("INSERT INTO docs (id, content, embedding) VALUES (%s, %s, %s)", rows)
    yield maker
    maker.release()


def indexes(maker: PgMaker) -> dict[str, list[str]]:
    """The definition of every index that the application gave a name, its words in any order."""
    with psycopg.connect(maker.conninfo) as connection:
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'docs' AND indexname NOT LIKE 'light%'"
        found = connection.execute(query).fetchall()
    return {name: sorted(re.findall(r"[\w']+", text)) for name, text in found}


def vectors(maker: PgMaker) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    with psycopg.connect(maker.conninfo) as connection:
        rows = connection.execute("SELECT embedding::real[] FROM docs ORDER BY id").fetchall()
    return np.array([row[0] for row in rows], np.float32)


def test_there_and_back(database: PgMaker, caplog: pytest.LogCaptureFixture) -> None:
    before, migrator = indexes(database), Migrator(database.locator, page_size=25)
    (result,) = migrator.migrate([CollectionJob("docs", distance="cosine")])
    assert result.verification is not None
    assert (result.verification.space_before, result.verification.space) == ("l2", "cosine")
    assert indexes(database) == {
        name: sorted(word.replace("vector_l2_ops", "vector_cosine_ops") for word in words)
        for name, words in before.items()
    }
    assert "vector_cosine_ops" in indexes(database)["docs_hnsw"]
    assert "docs: its index is for cosine now; queries must use <=>" in caplog.text
    assert (vectors(database) == make_vectors(ROWS)).all()
    assert [facts.space for facts in migrator.collections()] == ["cosine"]
    assert migrator.verify()[0].unchanged
    migrator.rollback()
    assert "docs: its index is for l2 now; queries must use <->" in caplog.text
    assert indexes(database) == before
    assert (vectors(database) == make_vectors(ROWS)).all()
    migrator.rollback()  # and forward again
    assert "vector_cosine_ops" in indexes(database)["docs_hnsw"]


def test_with_a_projection_and_then_another_model_by_the_same_distance(database: PgMaker) -> None:
    migrator = Migrator(database.locator)
    migrator.migrate_collection("docs", make_projection(), distance="ip")
    assert vectors(database).shape == (ROWS, NEW_DIM)
    assert "vector_ip_ops" in indexes(database)["docs_hnsw"]
    migrator.migrate([CollectionJob("docs", make_projection(source=make_projection().info.target))], force=True)
    assert "vector_ip_ops" in indexes(database)["docs_hnsw"]
    migrator.rollback()
    migrator.rollback(migrator.backups()[0].name)
    assert "vector_l2_ops" in indexes(database)["docs_hnsw"]
    assert (vectors(database) == make_vectors(ROWS)).all()


def test_a_run_that_was_killed_goes_on_only_for_the_same_distance(database: PgMaker) -> None:
    for distance in ("ip", "cosine"):
        with pytest.raises(KilledError):
            Migrator(database.locator, page_size=25, on_progress=dies("project", 2)).migrate(
                [CollectionJob("docs", distance="ip")]
            )
        assert "vector_l2_ops" in indexes(database)["docs_hnsw"]
        migrator = Migrator(database.locator)
        migrator.migrate([CollectionJob("docs", distance="ip" if distance == "ip" else "cosine")])
        assert f"vector_{distance}_ops" in indexes(database)["docs_hnsw"]
        assert migrator.unfinished is None
        migrator.rollback()


def test_what_has_no_distance_of_its_own_is_refused(database: PgMaker) -> None:
    database.execute(sql.SQL("CREATE INDEX docs_more ON docs USING hnsw (embedding vector_ip_ops)"))
    with pytest.raises(RefusedError, match=r"docs cannot be changed to cosine: docs has indexes for l2 and ip: drop"):
        Migrator(database.locator).migrate([CollectionJob("docs", distance="cosine")])
    database.execute(sql.SQL("DROP INDEX docs_more; DROP INDEX docs_hnsw"))
    with pytest.raises(RefusedError, match=r"docs has no index, and the operator of a query \(such as <=>\) chooses"):
        Migrator(database.locator).migrate([CollectionJob("docs", distance="l2")])
    with PgStore(database.conninfo, parts={"docs": "content"}) as store:
        assert "all of them share its indexes" in (store.fixed_distance(Address("docs", part="text 1")) or "")
        assert store.versions() == []


def test_without_names_those_that_cannot_have_it_are_named_and_the_others_get_it(
    database: PgMaker, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("another", "plain"):
        database.create(name, OLD_DIM, "l2")
    database.execute(sql.SQL("CREATE INDEX another_more ON another USING hnsw (embedding vector_ip_ops)"))
    database.execute(sql.SQL("DROP INDEX plain_hnsw"))
    choice = DatabaseChoice(database.locator)
    (result,) = rebuild_indexes(choice, "cosine", MigrationOptions(), conversation=AGREED)
    assert (result.collection_name, "vector_cosine_ops" in indexes(database)["docs_hnsw"]) == ("docs", True)
    assert "left as it is: the distance of another cannot be changed to cosine: another has indexes for" in caplog.text
    assert "plain" not in caplog.text, "without an index its distance is what queries say, cosine by default"
    with pytest.raises(RefusedError, match="the distance of another cannot be changed to cosine"):
        rebuild_indexes(choice, "cosine", MigrationOptions(), conversation=AGREED)
    with pytest.raises(RefusedError, match="the distance of plain cannot be changed to l2: plain has no index"):
        rebuild_indexes(choice, "l2", MigrationOptions(), collections=["plain"], conversation=AGREED)
