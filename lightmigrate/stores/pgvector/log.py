"""A trigger logs which rows were written: one entry for each, with the transaction that wrote it last.

The writes since a point in time are those that were not visible in PostgreSQL's snapshot of that time. So no write is
missed or returned twice, however transactions overlap.
"""

from __future__ import annotations

from psycopg import sql

from lightmigrate.stores.base import WrittenRecords
from lightmigrate.stores.pgvector.part import Part
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Column, Table
from lightmigrate.stores.pgvector.values import encode_key

_LOG = "lightmigrate_changes"
_TRIGGER = "lightmigrate_note"
_TRUNCATE = "lightmigrate_note_truncate"

# The names of lightmigrate's triggers on a table.
TRIGGERS = (_TRIGGER, _TRUNCATE)

_NOTE = """
    INSERT INTO {log} VALUES ({oid}, ARRAY[{key}], {part}, {deleted}, pg_current_xact_id())
    ON CONFLICT (rel, key, part) DO UPDATE SET deleted = excluded.deleted, xid = excluded.xid;
"""


def start(session: Session, table: Table, part_column: str | None) -> None:
    """Start to log writes, except to lightmigrate's own columns. Writes; within a transaction."""
    session.execute(sql.SQL("; ").join(starting(table, part_column)))


def starting(table: Table, part_column: str | None) -> list[sql.Composed]:
    """The statements of `start`, for columns of these names."""
    body = sql.SQL(
        "BEGIN IF tg_op = 'TRUNCATE' THEN INSERT INTO {log} SELECT {oid}, ARRAY[{key}], {part}, true, "
        "pg_current_xact_id() FROM {table} t ON CONFLICT (rel, key, part) DO UPDATE SET deleted = true, "
        "xid = excluded.xid; RETURN NULL; END IF; "
        "IF tg_op <> 'INSERT' THEN {old} END IF; IF tg_op <> 'DELETE' THEN {new} END IF; RETURN NULL; END"
    ).format(
        log=_log(table),
        oid=sql.Literal(table.oid),  # not `tg_relid`, which is that of a partition
        key=_key(table, "t"),
        part=_part(part_column, "t"),
        table=table.sql,
        old=_note(table, part_column, "old", "true"),
        new=_note(table, part_column, "new", "false"),
    )
    columns = sql.SQL(", ").join(column.sql for column in table.columns if not column.kept)
    trigger, truncate = sql.Identifier(_TRIGGER), sql.Identifier(_TRUNCATE)
    return [
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (rel oid, key text[], part text, deleted boolean NOT NULL, "
            "xid xid8 NOT NULL, PRIMARY KEY (rel, key, part))"
        ).format(_log(table)),
        # the writers' connections have other settings and rights than this one
        sql.SQL(
            "CREATE OR REPLACE FUNCTION {} () RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
            "SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' "
            "SET intervalstyle = 'postgres' SET bytea_output = 'hex' SET extra_float_digits = 1 AS {}"
        ).format(_function(table), sql.Literal(body.as_string())),
        *_dropping(table),
        sql.SQL(
            "CREATE TRIGGER {} AFTER INSERT OR DELETE OR UPDATE OF {} ON {} FOR EACH ROW EXECUTE FUNCTION {} ()"
        ).format(trigger, columns, table.sql, _function(table)),
        sql.SQL("CREATE TRIGGER {} BEFORE TRUNCATE ON {} FOR EACH STATEMENT EXECUTE FUNCTION {} ()").format(
            truncate, table.sql, _function(table)
        ),
        # replication, which fires no ordinary trigger, writes rows as well
        *(_enabling(table, name, on=True) for name in TRIGGERS),
    ]


def stop(session: Session, table: Table) -> None:
    """Stop logging, and delete the log of the table. Writes; within a transaction."""
    session.execute(sql.SQL("; ").join(_dropping(table)))
    session.execute(sql.SQL("DROP FUNCTION IF EXISTS {} ()").format(_function(table)))
    if _exists(session, table):
        others = sql.SQL(
            "SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n "
            "ON n.oid = c.relnamespace WHERE t.tgname = %s AND n.nspname = %s LIMIT 1"
        )
        if session.rows(others, [_TRIGGER, table.schema]):
            session.execute(sql.SQL("DELETE FROM {} WHERE rel = %s").format(_log(table)), [table.oid])
        else:
            session.execute(sql.SQL("DROP TABLE {}").format(_log(table)))


def pause(session: Session, table: Table, *, on: bool) -> None:
    """Disable or enable the trigger, within a transaction that has locked the table. Writes."""
    session.execute(_enabling(table, _TRIGGER, on=not on))


def is_on(session: Session, table: Table) -> bool:
    """Whether the table has the trigger; only reads."""
    # after a dump and a restore the trigger is there, with the numbers of another table
    query = sql.SQL("SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = tgfoid WHERE tgrelid = %s AND proname = %s")
    return bool(session.rows(query, [table.oid, f"{_TRIGGER}_{table.oid}"]))


def snapshot(session: Session) -> str:
    """PostgreSQL's present snapshot, which tells the visible transactions; only reads."""
    return str(session.rows(sql.SQL("SELECT pg_current_snapshot()::text"))[0][0])


def written(session: Session, table: Table, part: str, since: str | None) -> WrittenRecords:
    """What was written to a table, or a part of it, since a `snapshot`; empty if `since` is `None`. Only reads.

    A row that went from one part to another was deleted in one and written in the other.
    """
    mark = snapshot(session)  # before the query: a write in between is returned twice rather than never
    rows = (
        []
        if since is None
        else session.rows(
            sql.SQL(
                "SELECT key, bool_and(deleted) FROM {} WHERE rel = %s AND NOT pg_visible_in_snapshot(xid, "
                "%s::pg_snapshot){} GROUP BY key ORDER BY key"
            ).format(_log(table), sql.SQL(" AND part = %s" if part else "")),
            [table.oid, since, *([part] if part else [])],
        )
    )
    return WrittenRecords(
        written=[encode_key(key) for key, deleted in rows if not deleted],
        deleted=[encode_key(key) for key, deleted in rows if deleted],
        mark=mark,
    )


def unequal(
    session: Session, table: Table, columns: tuple[Column, Column], part: Part, since: str, *, written: bool
) -> int:
    """Number of rows in which only one of two columns is NULL; only reads.

    Args:
        session: the connection.
        table: that is logged.
        columns: the two.
        part: the rows that are looked at.
        since: a `snapshot`.
        written: whether those that were written since are counted, or all others.
    """
    one, other = (column.sql for column in columns)
    differing = sql.SQL("(t.{} IS NULL) <> (t.{} IS NULL){}").format(one, other, part.condition("t"))
    logged = sql.SQL("l.rel = {} AND NOT pg_visible_in_snapshot(l.xid, {}::pg_snapshot)").format(
        sql.Literal(table.oid), sql.Literal(since)
    )
    if written:
        keys = sql.SQL(" AND ").join(
            sql.SQL("t.{} = l.key[{}]::" + column.type).format(column.sql, sql.Literal(number))
            for number, column in enumerate(table.keys, 1)
        )
        query = sql.SQL("SELECT count(DISTINCT l.key) FROM {} l JOIN {} t ON {} WHERE {} AND {}").format(
            _log(table), table.sql, keys, logged, differing
        )
    else:
        query = sql.SQL(
            "SELECT count(*) FROM {} t WHERE {} AND NOT EXISTS (SELECT FROM {} l WHERE l.key = ARRAY[{}] AND {})"
        ).format(table.sql, differing, _log(table), _key(table, "t"), logged)
    return int(session.rows(query, part.values)[0][0])


def _enabling(table: Table, trigger: str, *, on: bool) -> sql.Composed:
    action = sql.SQL("ENABLE ALWAYS" if on else "DISABLE")
    return sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(table.sql, action, sql.Identifier(trigger))


def _dropping(table: Table) -> list[sql.Composed]:
    return [sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(name), table.sql) for name in TRIGGERS]


def _exists(session: Session, table: Table) -> bool:
    return session.rows(sql.SQL("SELECT to_regclass(%s) IS NOT NULL"), [_log(table).as_string()]) == [(True,)]


def _note(table: Table, part_column: str | None, row: str, deleted: str) -> sql.Composed:
    return sql.SQL(_NOTE).format(
        log=_log(table),
        oid=sql.Literal(table.oid),
        key=_key(table, row),
        part=_part(part_column, row),
        deleted=sql.SQL(deleted),
    )


def _key(table: Table, row: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL(row + ".{}::text").format(column.sql) for column in table.keys)


def _part(part_column: str | None, row: str) -> sql.Composable:
    if part_column is None:
        return sql.SQL("''")
    return sql.SQL("coalesce(" + row + ".{}::text, '')").format(sql.Identifier(part_column))


def _log(table: Table) -> sql.Identifier:
    return sql.Identifier(table.schema, _LOG)


def _function(table: Table) -> sql.Identifier:
    return sql.Identifier(table.schema, f"{_TRIGGER}_{table.oid}")
