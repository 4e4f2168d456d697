"""Rows that an application deletes after a migration: both versions lose them, and every count says so."""

from __future__ import annotations

import numpy as np
import psycopg
import pytest
from psycopg import sql
from rich.console import Console

from lightmigrate import CollectionJob, Migrator
from lightmigrate.cli.show import databases
from lightmigrate.errors import WrittenSinceError
from lightmigrate.migration.results import ChangesSince, CollectionCheck
from lightmigrate.stores.base import Address
from lightmigrate.stores.pgvector.store import PgStore
from tests.contract.postgres import PgMaker
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors

ROWS = 60
GONE = sql.SQL("SELECT to_regclass('lightmigrate_gone') IS NOT NULL")


def table(maker: PgMaker, *, embedding: str = f"vector({OLD_DIM})") -> None:
    """A table `docs` of two tenants."""
    create = f"CREATE TABLE docs (id int PRIMARY KEY, tenant text, content text, embedding {embedding}, views int)"
    with psycopg.connect(maker.conninfo, autocommit=True) as connection:
        connection.execute(create.encode())
        rows = [(row, "ab"[row % 2], f"text {row}", str(v.tolist())) for row, v in enumerate(make_vectors(ROWS))]
        connection.cursor().executemany("INSERT INTO docs VALUES (%s, %s, %s, %s)", rows)


def write(maker: PgMaker, *statements: str) -> None:
    for statement in statements:
        maker.execute(sql.SQL(statement))


def migrated(maker: PgMaker) -> Migrator:
    table(maker)
    migrator = Migrator(maker.locator)
    migrator.migrate([CollectionJob("docs", make_projection())])
    return migrator


def checked(migrator: Migrator) -> CollectionCheck:
    (check,) = migrator.verify()
    return check


def shown(content: object) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(content)
    return captured.get()


def test_verify_tells_what_was_deleted_and_a_rollback_says_that_it_stays_so(maker: PgMaker) -> None:
    migrator = migrated(maker)
    assert checked(migrator).unchanged
    assert checked(migrator).written == ChangesSince("docs", 0, 0, 0)
    write(maker, "DELETE FROM docs WHERE id < 20")
    check = checked(migrator)
    assert (check.records, check.records_migrated, check.unchanged) == (40, 60, False)
    assert check.written == ChangesSince("docs", 0, 0, 0, gone=20)
    assert "40 (then 60)" in shown(databases.checks([check]))
    said = shown(databases.verdict([check]))
    assert "docs: 0 added, 0 changed, 20 deleted since the migration" in said
    assert "as the migration left it" not in said

    done = migrator.rollback()  # there is nothing to decide: these rows are in neither
    assert done.written == (ChangesSince("docs", 0, 0, 0, gone=20),)
    said = shown(databases.rolled_back(done))
    assert "docs: 20 deleted since the migration stay deleted: both share their rows" in said
    assert "0 added" not in said
    assert maker.rows(sql.SQL("SELECT count(*), min(vector_dims(embedding)) FROM docs")) == [(40, OLD_DIM)]
    check = checked(migrator)
    assert (check.records, check.records_migrated, check.unchanged) == (40, 40, True)
    migrator.clean()
    assert maker.rows(GONE) == [(False,)]


def test_the_number_of_then_is_right_whatever_was_written(maker: PgMaker) -> None:
    migrator = migrated(maker)
    write(
        maker,
        "DELETE FROM docs WHERE id < 3",
        "INSERT INTO docs (id, content, embedding) SELECT id + 100, content, embedding FROM docs WHERE id < 8",
        "INSERT INTO docs (id, embedding) SELECT id + 200, embedding FROM docs WHERE id < 30",  # and gone again
        "DELETE FROM docs WHERE id >= 200",
        "INSERT INTO docs (id, content, embedding) SELECT 2, content, embedding FROM docs WHERE id = 9",  # as before
        "UPDATE docs SET id = 300 WHERE id = 10",
        "UPDATE docs SET content = 'other' WHERE id = 11",
        "UPDATE docs SET views = 1 WHERE id IN (11, 12, 13)",
        "UPDATE docs SET embedding = NULL WHERE id = 14",
        "UPDATE docs SET views = views, content = content, embedding = embedding",  # which changes nothing
    )
    check = checked(migrator)
    assert (check.records, check.records_migrated) == (60 - 3 + 5 + 1 - 1, 60)
    # the row with another key is one that was changed, of 300, and so are 11, 12 and 13
    assert check.written == ChangesSince("docs", added=5 + 1, changed=4, deleted=1, gone=3)
    with pytest.raises(WrittenSinceError, match=r"6 records were added, 2 changed, 4 deleted \(3 of them for good"):
        migrator.rollback()
    done = migrator.rollback(written="carry")
    assert done.written == (ChangesSince("docs", added=6, changed=2, deleted=1, gone=3),)
    assert maker.rows(sql.SQL("SELECT count(embedding), count(*) FROM docs")) == [(62, 63)]


def test_what_is_deleted_by_truncate_or_while_a_version_is_built_is_told_apart(maker: PgMaker) -> None:
    table(maker)
    migrator, conninfo = Migrator(maker.locator), maker.conninfo
    with PgStore(conninfo) as store:
        live = store.collection(Address("docs"))
        version = store.create_version(live, "k1", NEW_DIM, None)
        page = live.records(list(live.ids()))
        version.add(page.with_vectors(make_projection().apply(page.vectors)))
        write(maker, "DELETE FROM docs WHERE id < 5")
        store.exchange(version, live, "20260101_120000")
    assert checked(migrator).written == ChangesSince("docs", 0, 0, 0)
    write(maker, "DELETE FROM docs WHERE id < 10", "TRUNCATE docs")
    check = checked(migrator)
    assert (check.records, check.records_migrated) == (0, 55)
    assert check.written == ChangesSince("docs", 0, 0, 0, gone=55)


def test_parts_of_a_table_count_their_own_rows(maker: PgMaker) -> None:
    table(maker, embedding="vector")
    with PgStore(maker.conninfo, parts={"docs": "tenant"}) as store:
        migrator = Migrator(store)
        jobs = [CollectionJob(Address("docs", part=part), make_projection()) for part in "ab"]
        migrator.migrate(jobs)
        write(maker, "DELETE FROM docs WHERE id < 10 AND tenant = 'a'", "DELETE FROM docs WHERE id = 1")
        written = {check.collection_name: (check.records_migrated, check.written) for check in migrator.verify()}
        assert written == {
            "docs[a]": (30, ChangesSince("docs[a]", 0, 0, 0, gone=5)),
            "docs[b]": (30, ChangesSince("docs[b]", 0, 0, 0, gone=1)),
        }
        done = migrator.rollback()
        assert [changes.gone for changes in done.written] == [5, 1]


def test_each_backup_of_several_counts_its_own_and_a_dropped_one_stops_no_delete(maker: PgMaker) -> None:
    migrated(maker)
    write(maker, "DELETE FROM docs WHERE id < 5")
    with PgStore(maker.conninfo) as store:
        live = store.collection(Address("docs"))
        version = store.create_version(live, "k2", NEW_DIM, None)
        page = live.records(list(live.ids()))
        version.add(page.with_vectors(np.ascontiguousarray(page.vectors[:, ::-1])))
        store.exchange(version, live, "20990101_120000")
        write(maker, "DELETE FROM docs WHERE id < 9")
        first, second = store.versions()
        counted = [store.written_since(each) for each in (first, second)]
        assert [each and each.gone for each in counted] == [9, 4]
        store.delete(second.address)
        write(maker, "DELETE FROM docs WHERE id = 9")
        after = store.written_since(first)
        assert after is not None
        assert after.gone == 10
        column = store.collection(first.address).column.name
    write(maker, f"ALTER TABLE docs DROP COLUMN {column}", "DELETE FROM docs WHERE id < 20", "TRUNCATE docs")
