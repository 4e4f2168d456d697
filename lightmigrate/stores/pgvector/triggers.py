"""Write vectors without firing the application's triggers: rows keep their other columns, audits see no change."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from psycopg import sql

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.pgvector import noting
from lightmigrate.stores.pgvector.partitions import numbers_of
from lightmigrate.stores.pgvector.session import QueryError, Session
from lightmigrate.stores.pgvector.tables import Column, Table

_INSUFFICIENT_PRIVILEGE = "42501"

# The first server that has rights on parameters.
_GRANTS_PARAMETERS = 150000

# Until the end of the transaction; nothing else of lightmigrate changes it.
_OFF, _AS_BEFORE = (sql.SQL(f"SET LOCAL session_replication_role = {role}") for role in ("replica", "DEFAULT"))

Result = TypeVar("Result")


@contextlib.contextmanager
def quietly(session: Session, table: Table, written: Sequence[Column]) -> Iterator[None]:
    """A transaction, or a part of one, in which updates of these columns fire only lightmigrate's trigger.

    Raises:
        LightmigrateError: a trigger would fire; see `require_quiet`.
    """
    with contextlib.nullcontext() if session.in_transaction else session.transaction():
        require_quiet(session, table, written)
        if _may_be_replica(session):
            session.execute(_OFF)
        yield
        if _may_be_replica(session):
            session.execute(_AS_BEFORE)


def yielding_quietly(
    session: Session, table: Table, written: Sequence[Column], action: Callable[[], Result], *, flushed: bool = True
) -> Result:
    """The result of an action in a transaction as `Session.yielding` makes it, and as quiet as `quietly` makes it.

    Raises:
        LightmigrateError: a trigger would fire; see `require_quiet`.
    """
    if session.in_transaction:
        with quietly(session, table, written):
            return action()

    def quiet() -> Result:
        require_quiet(session, table, written)
        return action()

    # with the beginning of the transaction, whose end takes it back
    settings = [_OFF] if _may_be_replica(session) else []
    return session.yielding(quiet, flushed=flushed, settings=settings)


def require_quiet(session: Session, table: Table, written: Sequence[Column]) -> None:
    """Check that updates of these columns can be kept from firing a trigger of the application. Only reads.

    Raises:
        LightmigrateError: a trigger would fire; the message names it and a command that permits the update.
    """
    replica = _may_be_replica(session)
    # tgtype & 16: on UPDATE. `O` fires except on a replica, `R` only there, `A` always.
    rows = session.rows(
        sql.SQL(
            "SELECT t.tgname::text, t.tgenabled::text, n.nspname::text, c.relname::text FROM {} m "
            "JOIN pg_trigger t ON t.tgrelid = m.relid JOIN pg_class c ON c.oid = m.relid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal "
            "AND t.tgtype::int4 & 16 <> 0 AND t.tgenabled::text = ANY({}) AND t.tgname <> ALL({}) "
            "AND (cardinality(t.tgattr::int2[]) = 0 OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = m.relid "
            "AND a.attname = ANY({}) AND a.attnum = ANY(t.tgattr::int2[]))) "
            "ORDER BY m.relid <> {}, t.tgname, c.relname LIMIT 1"
        ).format(
            numbers_of(table),
            sql.Literal(["A", "R"] if replica else ["A", "O"]),
            sql.Literal(list(noting.TRIGGERS)),
            sql.Literal([column.name for column in written]),
            sql.Literal(table.oid),
        ),
        prepare=True,
    )
    for name, enabled, *relation in rows:
        way_out = (
            sql.SQL("ALTER TABLE {} ENABLE TRIGGER {}")
            .format(sql.Identifier(*relation), sql.Identifier(name))
            .as_string()
        )
        if enabled == "O":
            user = sql.Identifier(session.user).as_string()
            # before there were rights on parameters, only superusers could switch triggers off
            grants = session.version >= _GRANTS_PARAMETERS
            way_out = (
                f"GRANT SET ON PARAMETER session_replication_role TO {user}"
                if grants
                else f"ALTER ROLE {user} SUPERUSER"
            )
        raise LightmigrateError(
            f"trigger {name} on table {relation[1]} would fire for every row whose vector is written; to prevent "
            f"that:  {way_out}"
        )


def _may_be_replica(session: Session) -> bool:
    """Whether the user may switch triggers off for a session; a right once seen is not asked for again."""
    session.switches_triggers = session.switches_triggers or _tried(session)
    return session.switches_triggers


def _tried(session: Session) -> bool:
    try:
        with session.transaction():
            session.execute(_OFF)
            session.execute(_AS_BEFORE)
    except QueryError as error:
        if error.sqlstate != _INSUFFICIENT_PRIVILEGE:
            raise
        return False
    return True
