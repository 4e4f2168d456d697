"""Rights, passwords, locks of other sessions, and addresses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from lightmigrate import CollectionJob, Migrator
from lightmigrate.commands.conversation import AGREED
from lightmigrate.commands.database import DatabaseChoice, without_password
from lightmigrate.commands.doctor import doctor
from lightmigrate.errors import PasswordNeededError, RefusedError
from lightmigrate.stores.base import Address
from lightmigrate.stores.open import argument_of, open_database
from lightmigrate.stores.pgvector.store import PgStore
from tests.contract.postgres import PgMaker, server_address
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors
from tests.stores.pgvector.passwords import password_required

ROWS = 30


@pytest.fixture
def maker(tmp_path: Path) -> Iterator[PgMaker]:
    """A table `docs` with rows."""
    database = PgMaker(tmp_path)
    database.create("docs", OLD_DIM)
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        rows = [(f"id{row}", str(vector.tolist())) for row, vector in enumerate(make_vectors(ROWS))]
        connection.cursor().executemany("INSERT INTO docs (id, embedding) VALUES (%s, %s)", rows)
    yield database
    database.release()


@pytest.fixture
def guest(maker: PgMaker) -> Iterator[str]:
    """A role that may read the table and nothing else."""
    for statement in (
        "CREATE ROLE guest LOGIN PASSWORD 's3cret'", "CREATE ROLE owner", "ALTER TABLE docs OWNER TO owner",
        "GRANT SELECT ON docs TO guest", "REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC",
    ):  # fmt: skip
        name = psycopg.conninfo.conninfo_to_dict(maker.conninfo)["dbname"]
        maker.execute(sql.SQL(statement).format(sql.Identifier(str(name))))
    yield psycopg.conninfo.make_conninfo(maker.conninfo, user="guest", password="s3cret")
    maker.release()
    for statement in (
        "REASSIGN OWNED BY owner TO CURRENT_USER",
        "DROP OWNED BY guest, owner",
        "DROP ROLE guest, owner",
    ):
        maker.execute(sql.SQL(statement))


def test_missing_rights_are_named_as_the_grants_that_help(maker: PgMaker, guest: str) -> None:
    with PgStore(guest) as store:
        migrator = Migrator(store)
        with pytest.raises(RefusedError) as refused:
            migrator.plan([CollectionJob("docs", make_projection())])
        grants = str(refused.value).partition("grants it:  ")[2]
        assert grants.startswith('GRANT "owner" TO "guest"; GRANT CREATE ON SCHEMA "public" TO "guest"; ')
        assert migrator.refused(migrator.collections(), None).keys() == {Address("docs")}
        for statement in grants.split("; "):
            maker.execute(sql.SQL(statement))
        migrator.migrate([CollectionJob("docs", make_projection())])
        assert store.collection(Address("docs")).dimension == NEW_DIM
        migrator.rollback()
        migrator.clean()


def test_a_password_is_asked_for_and_never_shown(maker: PgMaker, guest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = maker.locator.replace("postgres:@", "guest@")
    with password_required(maker, "guest"):
        monkeypatch.delenv("PGPASSWORD", raising=False)
        with pytest.raises(PasswordNeededError, match="PGPASSWORD"):
            open_database(url)
        asked = DatabaseChoice(url, (without_password(url),), lambda: "s3cret")
        diagnosis = doctor(asked, conversation=AGREED)
        assert [facts.count for facts in diagnosis.collections] == [ROWS]
        assert "s3cret" not in str(diagnosis.to_json())
        monkeypatch.setenv("PGPASSWORD", "s3cret")
        database = open_database(url)
        assert isinstance(database, PgStore)
        database.close()


def test_an_address_can_be_given_again_and_has_no_password(maker: PgMaker) -> None:
    with PgStore(maker.conninfo + " password=s3cret") as store:
        again = argument_of(store).strip("'")
        assert "s3cret" not in again
        with PgStore(again) as other:
            assert [facts.name for facts in other.collections()] == ["docs"]
    for url, shown in (
        ("postgresql://u:p/@ss@h:5/db?sslmode=require", "postgresql://u@h:5/db?sslmode=require"),
        ("postgresql://h/db?password=x&user=u", "postgresql://h/db?user=u"),
        ("postgresql://u@h:5432/db", "postgresql://u@h:5432/db"),
    ):
        assert without_password(url) == shown
    assert server_address()


def test_others_who_wait_for_each_other_go_first(maker: PgMaker) -> None:
    """A session that holds rows and wants others makes a migration give way; neither fails."""
    with PgStore(maker.conninfo) as store:
        live = store.collection(Address("docs"))
        version = store.create_version(live, "k", NEW_DIM, None)
        page = live.records(list(live.ids()))
        failed: list[BaseException] = []

        def fill() -> None:
            try:
                version.add(page.with_vectors(make_projection().apply(page.vectors)))
            except BaseException as error:  # noqa: BLE001  # shown by the test
                failed.append(error)

        thread = threading.Thread(target=fill)
        with psycopg.connect(maker.conninfo) as application:
            application.execute("UPDATE docs SET content = 'held' WHERE id = 'id29'")
            thread.start()
            waits = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            with psycopg.connect(maker.conninfo, autocommit=True) as observer:
                while observer.execute(waits).fetchone() == (0,):
                    assert thread.is_alive()
            application.execute("UPDATE docs SET content = 'held' WHERE id <> 'id29'")
            application.commit()
        thread.join()
        assert failed == []
        assert version.count() == ROWS


def test_a_reader_who_stays_does_not_make_others_wait(maker: PgMaker) -> None:
    """The exchange asks for its lock again and again, so that writers pass between two attempts."""
    with PgStore(maker.conninfo) as store:
        live = store.collection(Address("docs"))
        version = store.create_version(live, "k", NEW_DIM, None)
        page = live.records(list(live.ids()))
        version.add(page.with_vectors(make_projection().apply(page.vectors)))
        store.finish(version)
        with psycopg.connect(maker.conninfo) as reader, psycopg.connect(maker.conninfo, autocommit=True) as writer:
            reader.execute("SELECT count(*) FROM docs")  # and its transaction goes on
            exchange = threading.Thread(target=lambda: store.exchange(version, live, "20260101_120000"))
            exchange.start()
            for row in range(20):
                writer.execute("UPDATE docs SET number = %s WHERE id = 'id0'", (row,))
            assert exchange.is_alive()
            reader.commit()
        exchange.join()
        assert store.collection(Address("docs")).dimension == NEW_DIM
