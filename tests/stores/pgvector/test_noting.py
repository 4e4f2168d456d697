"""Which writes are noted: in any part, without the trigger, by an older one; and which need nothing on the way back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from lightmigrate import CollectionJob, Migrator
from lightmigrate.errors import WrittenSinceError
from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector.collection import PgCollection
from lightmigrate.stores.pgvector.store import PgStore
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors

ROWS = 30
KEY = "20260101_120000"
OLD, NEW = (sql.SQL(f"array_fill(0.5::real, '{{{n}}}')::vector") for n in (OLD_DIM, NEW_DIM))

# The function of an earlier version for a table `docs` with this number: it noted every write alike, and no part.
OLDER = """
    CREATE OR REPLACE FUNCTION lightmigrate_note_{0} () RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$ BEGIN
    IF tg_op <> 'INSERT' THEN
        INSERT INTO "public"."lightmigrate_changes" VALUES ({0}, ARRAY[old."id"::text], '', true, pg_current_xact_id())
        ON CONFLICT (rel, key, part) DO UPDATE SET deleted = excluded.deleted, xid = excluded.xid;
    END IF;
    IF tg_op <> 'DELETE' THEN
        INSERT INTO "public"."lightmigrate_changes" VALUES ({0}, ARRAY[new."id"::text], '', false, pg_current_xact_id())
        ON CONFLICT (rel, key, part) DO UPDATE SET deleted = excluded.deleted, xid = excluded.xid;
    END IF; RETURN NULL; END $$;
    DROP TABLE "public"."lightmigrate_touched"
"""


def table(maker: PgMaker, column: str, end: str = "") -> None:
    """A table `docs` with rows of the tenants `a` and `b` on the shelves `x` and `y`."""
    maker.execute(
        sql.SQL(
            "CREATE TABLE docs (id int PRIMARY KEY, tenant text, shelf text, content text, views int DEFAULT 0, "
            f"embedding {column}) {end}"
        )
    )
    if end:
        maker.execute(sql.SQL("CREATE TABLE docs_0 PARTITION OF docs FOR VALUES FROM (0) TO (100)"))
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        rows = [
            (row, "ab"[row % 2], "xy"[row * 2 // ROWS], str(vector.tolist()))
            for row, vector in enumerate(make_vectors(ROWS))
        ]
        insert = "INSERT INTO docs (id, tenant, shelf, content, embedding) VALUES (%s, %s, %s, 'text', %s)"
        connection.cursor().executemany(insert, rows)


@pytest.fixture
def docs(tmp_path: Path) -> Iterator[PgMaker]:
    """A database with the table, its column of a stated dimension."""
    maker = PgMaker(tmp_path)
    table(maker, f"vector({OLD_DIM})")
    yield maker
    maker.release()


def older(maker: PgMaker) -> None:
    (oid,) = maker.rows(sql.SQL("SELECT 'docs'::regclass::oid::int8"))[0]
    maker.execute(sql.SQL(OLDER.format(oid)))


def vectors(maker: PgMaker) -> list[tuple[object, ...]]:
    return maker.rows(sql.SQL("SELECT id, embedding::text FROM docs ORDER BY id"))


def migrated(maker: PgMaker) -> Migrator:
    migrator = Migrator(maker.locator)
    migrator.migrate([CollectionJob("docs", make_projection())])
    return migrator


def written(live: PgCollection, mark: str) -> list[str]:
    changes = live.changes(mark)
    assert changes is not None
    return sorted({*changes.written, *changes.deleted})


def mark_of(live: PgCollection) -> str:
    changes = live.changes()
    assert changes is not None
    return changes.mark


@pytest.mark.parametrize("by_older", [False, True])
def test_a_table_that_is_noted_as_a_whole_is_noted_by_its_parts_when_these_are_named(
    maker: PgMaker, by_older: bool
) -> None:
    table(maker, "vector")
    with PgStore(maker.conninfo) as store:
        live = store.collection(Address("docs"))
        whole = mark_of(store.create_version(live, "k1", NEW_DIM, None))
    if by_older:
        older(maker)
    maker.execute(sql.SQL("UPDATE docs SET embedding = {} WHERE id = 2").format(OLD))
    with PgStore(maker.conninfo, parts={"docs": "tenant"}) as store:
        part = store.collection(Address("docs", part="a"))
        store.create_version(part, "k2", NEW_DIM, None)
        assert written(part, whole) == ["2"]
        mark = mark_of(part)
        maker.execute(sql.SQL("UPDATE docs SET embedding = {} WHERE id IN (3, 4)").format(OLD))
        assert written(part, mark) == ["4"]
    with PgStore(maker.conninfo) as store:
        assert written(store.collection(Address("docs")), whole) == ["2", "3", "4"]


def test_a_part_of_another_column_than_the_noted_one_misses_nothing(maker: PgMaker) -> None:
    table(maker, "vector")
    with PgStore(maker.conninfo, parts={"docs": "tenant"}) as store:
        store.create_version(store.collection(Address("docs", part="a")), "k1", NEW_DIM, None)
    with PgStore(maker.conninfo, parts={"docs": "shelf"}) as store:
        part = store.collection(Address("docs", part="x"))
        store.create_version(part, "k2", NEW_DIM, None)
        mark = mark_of(part)
        maker.execute(sql.SQL("UPDATE docs SET embedding = {} WHERE id = 3").format(OLD))
        assert written(part, mark) == ["3"]
    with PgStore(maker.conninfo, parts={"docs": "tenant"}) as store:
        assert written(store.collection(Address("docs", part="a")), mark) == []
        assert written(store.collection(Address("docs", part="b")), mark) == ["3"]


def test_a_part_migrated_after_the_whole_refuses_a_way_back_over_a_replaced_vector(maker: PgMaker) -> None:
    table(maker, "vector")
    migrated(maker).rollback()
    with PgStore(maker.conninfo, parts={"docs": "tenant"}) as store:
        migrator = Migrator(store)
        migrator.migrate([CollectionJob(Address("docs", part="a"), make_projection())])
        maker.execute(sql.SQL("UPDATE docs SET embedding = {} WHERE id = 4").format(NEW))
        backup = next(each for each in store.versions() if each.own.part == "a")
        noted = store.written_since(backup)
        assert noted is not None
        assert (list(noted.written), list(noted.deleted)) == (["4"], [])


WITHOUT = (
    "CREATE TABLE docs_1 (LIKE docs INCLUDING ALL)",
    f"INSERT INTO docs_1 (id, embedding) VALUES (100, array_fill(0.5::real, '{{{NEW_DIM}}}')::vector)",
    "ALTER TABLE docs ATTACH PARTITION docs_1 FOR VALUES FROM (100) TO (200)",
)
DISABLED = (
    "ALTER TABLE docs DISABLE TRIGGER ALL",
    f"INSERT INTO docs (id, embedding) VALUES (99, array_fill(0.5::real, '{{{NEW_DIM}}}')::vector)",
    "ALTER TABLE docs ENABLE TRIGGER ALL",
)


@pytest.mark.parametrize("statements", [WITHOUT, DISABLED], ids=["attached", "disabled"])
def test_rows_that_came_without_the_trigger_are_refused_or_carried_on_the_way_back(
    maker: PgMaker, statements: tuple[str, ...]
) -> None:
    table(maker, f"vector({OLD_DIM})", "PARTITION BY RANGE (id)")
    before, migrator = vectors(maker), migrated(maker)
    for statement in statements:
        maker.execute(sql.SQL(statement))
    with pytest.raises(WrittenSinceError, match="1 records were added, 0 changed, 0 deleted"):
        migrator.rollback()
    assert migrator.rollback(written="carry").carried
    assert [row for row in vectors(maker) if row in before] == before
    assert all(text is not None for _, text in vectors(maker))


@pytest.mark.parametrize("statements", [WITHOUT, DISABLED], ids=["attached", "disabled"])
def test_rows_that_came_without_the_trigger_are_counted_before_the_exchange(
    maker: PgMaker, statements: tuple[str, ...]
) -> None:
    table(maker, f"vector({OLD_DIM})", "PARTITION BY RANGE (id)")
    with PgStore(maker.conninfo) as store:
        live = store.collection(Address("docs"))
        version = store.create_version(live, "k", NEW_DIM, None)
        page = live.records(list(live.ids()))
        version.add(page.with_vectors(make_projection().apply(page.vectors)))
        mark = mark_of(live)
        assert store.unequal(live, version, mark, written=True) == 0
        for statement in statements:
            maker.execute(sql.SQL(statement.replace(str(NEW_DIM), str(OLD_DIM))))
        assert store.unequal(live, version, mark, written=True) == 1


def test_a_disabled_trigger_is_no_log(docs: PgMaker, caplog: pytest.LogCaptureFixture) -> None:
    migrated(docs)
    docs.execute(sql.SQL("UPDATE docs SET embedding = {} WHERE id = 3").format(NEW))
    docs.execute(sql.SQL("ALTER TABLE docs DISABLE TRIGGER ALL"))
    with PgStore(docs.conninfo) as store:
        assert store.collection(Address("docs")).changes() is None
        noted = store.written_since(store.versions()[0])
        assert noted is not None
        assert list(noted.written) == ["3"]  # what was noted before is not forgotten
        (record,) = [each for each in caplog.records if "trigger is disabled" in each.getMessage()]
        docs.execute(sql.SQL(record.getMessage().rpartition(":  ")[2]))
        assert store.collection(Address("docs")).changes() is not None


def test_a_row_whose_vector_and_text_stay_needs_nothing_on_the_way_back(docs: PgMaker) -> None:
    before, migrator = vectors(docs), migrated(docs)
    with PgStore(docs.conninfo) as store:
        mark = mark_of(store.collection(Address("docs")))
        docs.execute(sql.SQL("UPDATE docs SET views = views + 1, embedding = embedding WHERE id < 5"))
        assert written(store.collection(Address("docs")), mark) == ["0", "1", "2", "3", "4"]  # a text can be made of it
    migrator.rollback()
    assert vectors(docs) == before


@pytest.mark.parametrize(
    "change", ["content = 'other'", f"embedding = array_fill(0.5::real, '{{{NEW_DIM}}}')::vector", "id = 77"]
)
def test_a_row_with_another_vector_text_or_key_is_refused_on_the_way_back_also_after_it_was_read(
    docs: PgMaker, change: str
) -> None:
    migrator = migrated(docs)
    docs.execute(sql.SQL(f"UPDATE docs SET {change} WHERE id = 3"))
    docs.execute(sql.SQL("UPDATE docs SET views = views + 1"))
    with pytest.raises(WrittenSinceError, match="0 records were added, 1 changed, 0 deleted"):
        migrator.rollback()


def test_a_log_of_an_older_trigger_is_read_and_the_next_migration_replaces_it(docs: PgMaker) -> None:
    migrator = migrated(docs)
    older(docs)
    docs.execute(sql.SQL("UPDATE docs SET views = 1 WHERE id = 3"))
    with pytest.raises(WrittenSinceError, match="1 changed"):  # it does not tell them apart
        migrator.rollback()
    migrator.rollback(written="discard")
    with PgStore(docs.conninfo) as store:
        live = store.collection(Address("docs"))
        assert written(live, mark_of(live)) == []
        store.create_version(live, "k", NEW_DIM, None)
        mark = mark_of(live)
        docs.execute(sql.SQL("UPDATE docs SET views = 2 WHERE id = 5"))
        assert written(live, mark) == ["5"]
        assert docs.rows(sql.SQL("SELECT key FROM lightmigrate_touched")) == [(["5"],)]
    migrator.clean()
