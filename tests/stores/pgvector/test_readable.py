"""Tables that the role cannot read, or not all of: they are named with what helps, and the others are as ever."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from rich.console import Console

from lightmigrate import CollectionJob, Migrator
from lightmigrate.cli.show import databases
from lightmigrate.errors import DamagedCollectionError, RefusedError
from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector.store import PgStore
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors

ROWS = 30


def shown(content: object) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(content)
    return captured.get()


OTHER = Address("other")

# What makes a table `other` unreadable, and what is said of it.
CASES = {
    "no SELECT": ("ALTER TABLE other OWNER TO postgres", "may not read table other"),
    "no schema": (
        "CREATE SCHEMA hidden; ALTER TABLE other SET SCHEMA hidden; ALTER TABLE hidden.other OWNER TO postgres;"
        "GRANT SELECT ON hidden.other TO reader",
        "may not read table other",
    ),
    "forced policy": (
        "ALTER TABLE other ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "row-level security may hide rows of table other",
    ),
    "policy": (
        "ALTER TABLE other OWNER TO keeper; ALTER TABLE other ENABLE ROW LEVEL SECURITY;"
        "GRANT SELECT ON other TO reader",
        "row-level security may hide rows of table other",
    ),
}


@pytest.fixture
def reader(maker: PgMaker) -> Iterator[str]:
    """The address for a role that owns the tables `docs` and `other`."""
    maker.execute(sql.SQL("CREATE ROLE reader LOGIN; CREATE ROLE keeper; GRANT ALL ON SCHEMA public TO reader"))
    for name in ("docs", "other"):
        maker.execute(
            sql.SQL(
                "CREATE TABLE {0} (id int PRIMARY KEY, content text, embedding vector({1})); "
                "ALTER TABLE {0} OWNER TO reader"
            ).format(sql.Identifier(name), sql.Literal(OLD_DIM))
        )
        with psycopg.connect(maker.conninfo, autocommit=True) as connection:
            rows = [(row, "text", str(vector.tolist())) for row, vector in enumerate(make_vectors(ROWS))]
            insert = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s)").format(sql.Identifier(name))
            connection.cursor().executemany(insert, rows)
    yield psycopg.conninfo.make_conninfo(maker.conninfo, user="reader")
    maker.release()
    maker.execute(sql.SQL("DROP OWNED BY reader, keeper; DROP ROLE reader, keeper"))


@pytest.mark.parametrize("case", CASES)
def test_a_table_that_cannot_be_read_is_named_with_what_helps_and_the_others_migrate(
    maker: PgMaker, reader: str, case: str
) -> None:
    statements, said = CASES[case]
    other = Address("hidden.other") if case == "no schema" else OTHER
    maker.execute(sql.SQL(statements))
    with PgStore(reader) as store:
        migrator = Migrator(store)
        diagnosis = migrator.diagnose()
        assert {facts.address: facts.count for facts in diagnosis.collections} == {Address("docs"): ROWS, other: 0}
        assert list(diagnosis.samples) == ["docs"]
        assert list(diagnosis.damaged) == [str(other)]
        fault = diagnosis.damaged[str(other)]
        assert said in fault
        table = shown(databases.diagnosis(diagnosis))
        assert re.search(rf"{re.escape(str(other))}\W+– +– +cannot be read", table)
        with pytest.raises(DamagedCollectionError, match=said):
            migrator.plan([CollectionJob(other, make_projection())])
        with pytest.raises(RefusedError, match=said):
            migrator.migrate([CollectionJob(other, make_projection())])
        migrator.migrate([CollectionJob("docs", make_projection())])
        assert store.collection(Address("docs")).dimension == NEW_DIM
        migrator.rollback()
        migrator.clean()
    maker.execute(sql.SQL(fault.rpartition(":  ")[2]))
    with PgStore(reader) as store:
        diagnosis = Migrator(store).diagnose()
        assert diagnosis.damaged == {}
        assert {facts.address: facts.count for facts in diagnosis.collections} == {Address("docs"): ROWS, other: ROWS}


def test_a_table_of_which_some_columns_may_be_read_is_counted_and_named(maker: PgMaker, reader: str) -> None:
    maker.execute(sql.SQL("ALTER TABLE other OWNER TO postgres; GRANT SELECT (id, embedding) ON other TO reader; "))
    with PgStore(reader) as store:
        migrator = Migrator(store)
        diagnosis = migrator.diagnose()
        assert [facts.count for facts in diagnosis.collections] == [ROWS, ROWS]
        assert list(diagnosis.damaged) == ["other"]
        with pytest.raises(RefusedError, match="GRANT SELECT ON"):
            migrator.migrate([CollectionJob("other", make_projection())])
        maker.execute(sql.SQL(diagnosis.damaged["other"].rpartition(":  ")[2]))
        assert migrator.diagnose().damaged == {}


def test_a_policy_is_refused_also_when_a_store_is_asked_at_once(maker: PgMaker, reader: str) -> None:
    maker.execute(sql.SQL(CASES["forced policy"][0]))
    with PgStore(reader) as store:
        assert "BYPASSRLS" in (store.refusal(OTHER, NEW_DIM) or "")
        assert store.refusal(Address("docs"), NEW_DIM) is None


def test_a_migrated_table_that_became_unreadable_leaves_the_others_usable(maker: PgMaker, reader: str) -> None:
    jobs = [CollectionJob(name, make_projection()) for name in ("docs", "other")]
    with PgStore(reader) as store:
        Migrator(store).migrate(jobs[1:])
    maker.execute(sql.SQL(CASES["forced policy"][0]))
    with PgStore(reader) as store:
        migrator = Migrator(store)
        migrator.migrate(jobs[:1])
        assert list(migrator.diagnose().damaged) == ["other"]
        assert len(migrator.backups()) == 2
        migrator.rollback()


def test_a_column_with_vectors_of_two_lengths_leaves_the_others_usable(maker: PgMaker) -> None:
    maker.execute(sql.SQL(
        "CREATE TABLE mixed (id int PRIMARY KEY, embedding vector); INSERT INTO mixed VALUES (1, '[1]'), (2, '[1, 2]');"
        "CREATE TABLE docs (id int PRIMARY KEY, embedding vector); INSERT INTO docs VALUES (1, '[1, 2, 3]')"
    ))  # fmt: skip
    with PgStore(maker.conninfo) as store:
        diagnosis = Migrator(store).diagnose()
        assert {facts.name: (facts.count, facts.dimension) for facts in diagnosis.collections} == {
            "docs": (1, 3),
            "mixed": (2, None),
        }
        assert diagnosis.damaged == {"mixed": "the column holds vectors of 1 and of 2 numbers"}


def test_names_of_collections_that_cannot_be_read_are_named_with_the_grant(maker: PgMaker, reader: str) -> None:
    maker.execute(sql.SQL(
        "CREATE TABLE langchain_pg_collection (uuid int PRIMARY KEY, name text);"
        "CREATE TABLE langchain_pg_embedding (id int PRIMARY KEY, collection_id int REFERENCES langchain_pg_collection,"
        "embedding vector, document text, cmetadata jsonb); INSERT INTO langchain_pg_collection VALUES (1, 'notes');"
        "INSERT INTO langchain_pg_embedding VALUES (1, 1, '[1, 2]'); ALTER TABLE langchain_pg_embedding OWNER TO reader"
    ))  # fmt: skip
    with PgStore(reader) as store:
        fault = Migrator(store).diagnose().damaged["langchain_pg_embedding"]
        assert "may not read table langchain_pg_collection" in fault
        maker.execute(sql.SQL(fault.rpartition(":  ")[2]))
        diagnosis = Migrator(store).diagnose()
        assert diagnosis.damaged == {}
        assert "langchain_pg_embedding[notes]" in [str(facts.address) for facts in diagnosis.collections]
    maker.execute(sql.SQL("DROP TABLE langchain_pg_embedding, langchain_pg_collection"))
