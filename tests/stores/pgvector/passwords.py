"""Roles of the tests' server that have to give a password."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from tests.contract.postgres import PgMaker


@contextlib.contextmanager
def password_required(maker: PgMaker, role: str) -> Iterator[None]:
    """The server asks a role for its password; everybody else goes on without one."""
    with psycopg.connect(maker.conninfo) as connection:
        data = connection.execute("SHOW data_directory").fetchone()
    assert data is not None
    rules = Path(str(data[0])) / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all {role} scram-sha-256\n{before}")
    try:
        _reload(maker)
        yield
    finally:
        rules.write_text(before)
        _reload(maker)


def _reload(maker: PgMaker) -> None:
    """Have the server read its rules, and wait until new connections are held to them."""
    loaded = sql.SQL("SELECT pg_conf_load_time()")
    before = maker.rows(loaded)
    maker.execute(sql.SQL("SELECT pg_reload_conf()"))
    while maker.rows(loaded) == before:
        pass


@contextlib.contextmanager
def role_with_password(maker: PgMaker, role: str, password: str) -> Iterator[None]:
    """A role that has to give a password; at the end it is dropped, and what it owns goes to the administrator."""
    name = sql.Identifier(role)
    maker.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(password)))
    try:
        with password_required(maker, role):
            yield
    finally:
        maker.release()
        for statement in ("REASSIGN OWNED BY {} TO CURRENT_USER", "DROP OWNED BY {}", "DROP ROLE {}"):
            maker.execute(sql.SQL(statement).format(name))
