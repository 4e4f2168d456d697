"""A trigger that notes which rows are written: one entry for each, with the transaction that wrote it last.

Writes to a vector or a text are noted in one table, and those that leave both as they were in another. Such a row has
another payload, which an embedded text can be made of on the way to a new model; on the way back its old vector is as
good as before. Of rows that are deleted it is noted which backups held them, and lose them with the row.
"""

from __future__ import annotations

from psycopg import sql

from lightmigrate.stores.base import Role
from lightmigrate.stores.pgvector.partitions import numbers_of
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Table

_LOG = "lightmigrate_changes"
_TOUCHED = "lightmigrate_touched"
_GONE = "lightmigrate_gone"
_TRIGGER = "lightmigrate_note"
_TRUNCATE = "lightmigrate_note_truncate"

# The names of lightmigrate's triggers on a table.
TRIGGERS = (_TRIGGER, _TRUNCATE)

_NOTE = """
    INSERT INTO {log} VALUES ({oid}, ARRAY[{key}], {part}, {deleted}, pg_current_xact_id())
    ON CONFLICT (rel, key, part) DO UPDATE SET deleted = excluded.deleted, xid = excluded.xid;
"""

# Bits are compared: what is equal is not the same, and the operators of vectors are in a schema of any name.
_BODY = """DECLARE held boolean;
BEGIN
    IF tg_op = 'TRUNCATE' THEN
        INSERT INTO {log} SELECT {oid}, ARRAY[{key}], {part}, true, pg_current_xact_id() FROM {table} t
        ON CONFLICT (rel, key, part) DO UPDATE SET deleted = true, xid = excluded.xid;
        {all_gone}
        RETURN NULL;
    END IF;
    IF tg_op = 'UPDATE' AND ROW({before})::record *= ROW({after})::record THEN
        IF old *= new THEN RETURN NULL; END IF;  -- nothing was changed
        INSERT INTO {touched} VALUES ({oid}, ARRAY[{new_key}], {new_part}, pg_current_xact_id())
        ON CONFLICT (rel, key, part) DO UPDATE SET xid = excluded.xid;
        RETURN NULL;
    END IF;
    IF tg_op <> 'INSERT' THEN {old} {gone} END IF;
    IF tg_op <> 'DELETE' THEN {new} END IF;
    RETURN NULL;
END"""

# Somebody may have dropped the column; the application's DELETE goes on.
_NOTE_GONE = """
    BEGIN held := old.{column} IS NOT NULL; EXCEPTION WHEN undefined_column THEN held := false; END;
    IF held AND (tg_op = 'DELETE' OR {old_part} <> {new_part}) THEN
        INSERT INTO {gone} VALUES ({oid}, ARRAY[{key}], {old_part}, {number}, pg_current_xact_id())
        ON CONFLICT (rel, key, part, number) DO UPDATE SET xid = excluded.xid;
    END IF;
"""
_NOTE_ALL_GONE = """
        BEGIN
            INSERT INTO {gone} SELECT {oid}, ARRAY[{key}], {part}, {number}, pg_current_xact_id() FROM {table} t
            WHERE t.{column} IS NOT NULL ON CONFLICT (rel, key, part, number) DO UPDATE SET xid = excluded.xid;
        EXCEPTION WHEN undefined_column THEN NULL; END;
"""


def ensure(session: Session, table: Table, part: str | None, text: str | None) -> None:
    """Note writes from now on, if they are not noted already, and so. Writes; within a transaction.

    What was noted without a part may be of any.

    Args:
        session: the connection.
        table: the table.
        part: the column that identifies collections; one that the log has already stays.
        text: the column with the embedded text.
    """
    part = part_column(session, table) or part
    if not is_on(session, table) or _noted_by(session, table) != _body(table, part, text):
        session.execute(sql.SQL("; ").join(starting(table, part, text)))


def starting(table: Table, part: str | None, text: str | None) -> list[sql.Composed]:
    """The statements that start to note writes, except to lightmigrate's own columns, for columns of these names."""
    columns = sql.SQL(", ").join(column.sql for column in table.columns if not column.kept)
    trigger, truncate = sql.Identifier(_TRIGGER), sql.Identifier(_TRUNCATE)
    return [
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (rel oid, key text[], part text, deleted boolean NOT NULL, "
            "xid xid8 NOT NULL, PRIMARY KEY (rel, key, part))"
        ).format(log_of(table)),
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (rel oid, key text[], part text, xid xid8 NOT NULL, "
            "PRIMARY KEY (rel, key, part))"
        ).format(touched_of(table)),
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (rel oid, key text[], part text, number int, xid xid8 NOT NULL, "
            "PRIMARY KEY (rel, key, part, number))"
        ).format(gone_of(table)),
        _defining(table, part, text),
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


def refresh(session: Session, table: Table, part: str | None, text: str | None) -> None:
    """Note for the backups that the table has now; the triggers stay as they are. Writes. See `ensure`."""
    if is_known(session, table):
        session.execute(_defining(table, part_column(session, table) or part, text))


def stop(session: Session, table: Table) -> None:
    """Stop to note writes, and delete what was noted of the table. Writes; within a transaction."""
    session.execute(sql.SQL("; ").join(_dropping(table)))
    session.execute(sql.SQL("DROP FUNCTION IF EXISTS {} ()").format(_function(table)))
    others = sql.SQL(
        "SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n "
        "ON n.oid = c.relnamespace WHERE t.tgname = %s AND n.nspname = %s LIMIT 1"
    )
    needed = bool(session.rows(others, [_TRIGGER, table.schema]))
    for log in (log_of(table), touched_of(table), gone_of(table)):
        if needed and exists(session, log):
            session.execute(sql.SQL("DELETE FROM {} WHERE rel = %s").format(log), [table.oid])
        elif not needed:
            session.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(log))


def pause(session: Session, table: Table, *, on: bool) -> None:
    """Disable or enable the trigger, within a transaction that has locked the table. Writes."""
    session.execute(_enabling(table, _TRIGGER, on=not on))


def is_known(session: Session, table: Table) -> bool:
    """Whether the table has the trigger, which somebody may have disabled; only reads."""
    # after a dump and a restore the trigger is there, with the numbers of another table
    query = sql.SQL(
        "SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = tgfoid WHERE tgrelid = {} AND tgname = {} AND proname = {}"
    ).format(sql.Literal(table.oid), sql.Literal(_TRIGGER), sql.Literal(_function_name(table)))
    return bool(session.rows(query, prepare=True))


def is_on(session: Session, table: Table) -> bool:
    """Whether the table has the trigger, and it fires in every partition; only reads."""
    disabled = sql.SQL(
        "SELECT FROM pg_trigger WHERE tgrelid IN (SELECT relid FROM {} m) AND tgname = ANY({}) "
        "AND tgenabled NOT IN ('A', 'O') LIMIT 1"
    ).format(numbers_of(table), sql.Literal(list(TRIGGERS)))
    return is_known(session, table) and not session.rows(disabled, prepare=True)


def way_to_enable(table: Table) -> str:
    """The statements that enable the triggers of a table."""
    return "; ".join(_enabling(table, name, on=True).as_string() for name in TRIGGERS)


def part_column(session: Session, table: Table) -> str | None:
    """The column by whose values entries are told apart; `None` for none. Only reads."""
    body = _noted_by(session, table)
    return next((each.name for each in table.columns if _part(each.name, "new").as_string() in body), None)


def triggers(session: Session, table: Table) -> dict[int, str]:
    """What tells whether the trigger was there all the time, by the number of the table or partition; only reads.

    It changes when a partition is attached, and when the trigger is disabled, enabled or made anew.
    """
    query = sql.SQL(
        "SELECT m.relid::int8, t.oid::text || '.' || t.xmin::text FROM {} m "
        "LEFT JOIN pg_trigger t ON t.tgrelid = m.relid AND t.tgname = {}"
    ).format(numbers_of(table), sql.Literal(_TRIGGER))
    return {oid: found or "" for oid, found in session.rows(query, prepare=True)}


def log_of(table: Table) -> sql.Identifier:
    """The table of what was noted: of rows with another vector or text, new ones and deleted ones."""
    return sql.Identifier(table.schema, _LOG)


def touched_of(table: Table) -> sql.Identifier:
    """The table of what else was noted; there is none where the trigger is of an earlier version."""
    return sql.Identifier(table.schema, _TOUCHED)


def gone_of(table: Table) -> sql.Identifier:
    """The table of the rows that a backup held and that were deleted, by the number of the backup's column."""
    return sql.Identifier(table.schema, _GONE)


def exists(session: Session, log: sql.Identifier) -> bool:
    """Whether there is a table; only reads."""
    return session.rows(sql.SQL("SELECT to_regclass(%s) IS NOT NULL"), [log.as_string()]) == [(True,)]


def key_of(table: Table, row: str) -> sql.Composed:
    """The primary key of a row as texts, as it is noted."""
    return sql.SQL(", ").join(sql.SQL(row + ".{}::text").format(column.sql) for column in table.keys)


def _defining(table: Table, part: str | None, text: str | None) -> sql.Composed:
    """The statement that makes the trigger's function, or replaces it."""
    # the writers' connections have other settings and rights than this one
    return sql.SQL(
        "CREATE OR REPLACE FUNCTION {} () RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
        "SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' "
        "SET intervalstyle = 'postgres' SET bytea_output = 'hex' SET extra_float_digits = 1 AS {}"
    ).format(_function(table), sql.Literal(_body(table, part, text)))


def _body(table: Table, part: str | None, text: str | None) -> str:
    compared = [
        *(column.name for column in (*table.keys, *table.own_vectors)),
        *(name for name in (part, text) if name),
    ]

    def values(row: str) -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL(row + ".{}").format(sql.Identifier(name)) for name in compared)

    def note(row: str, deleted: str) -> sql.Composed:
        return sql.SQL(_NOTE).format(
            log=log_of(table),
            oid=sql.Literal(table.oid),
            key=key_of(table, row),
            part=_part(part, row),
            deleted=sql.SQL(deleted),
        )

    def gone(template: str) -> sql.Composed:
        """What is noted for each column that holds a backup."""
        backups = [each for each in table.kept if any(kept.role == Role.BACKUP.value for kept in each.kept)]
        return sql.Composed([
            sql.SQL(template).format(
                column=each.sql, number=sql.Literal(each.number), gone=gone_of(table), oid=sql.Literal(table.oid),
                key=key_of(table, "t" if template is _NOTE_ALL_GONE else "old"), part=_part(part, "t"),
                old_part=_part(part, "old"), new_part=_part(part, "new"), table=table.sql,
            )
            for each in backups
        ])  # fmt: skip

    return (
        sql.SQL(_BODY)
        .format(
            log=log_of(table),
            touched=touched_of(table),
            oid=sql.Literal(table.oid),  # not `tg_relid`, which is that of a partition
            key=key_of(table, "t"),
            part=_part(part, "t"),
            table=table.sql,
            before=values("old"),
            after=values("new"),
            new_key=key_of(table, "new"),
            new_part=_part(part, "new"),
            old=note("old", "true"),
            new=note("new", "false"),
            gone=gone(_NOTE_GONE),
            all_gone=gone(_NOTE_ALL_GONE),
        )
        .as_string()
    )


def _noted_by(session: Session, table: Table) -> str:
    """The body of the trigger's function; empty where there is none."""
    query = sql.SQL(
        "SELECT p.prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
        "WHERE n.nspname = %s AND p.proname = %s"
    )
    return next((body for (body,) in session.rows(query, [table.schema, _function_name(table)])), "")


def _enabling(table: Table, trigger: str, *, on: bool) -> sql.Composed:
    action = sql.SQL("ENABLE ALWAYS" if on else "DISABLE")
    return sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(table.sql, action, sql.Identifier(trigger))


def _dropping(table: Table) -> list[sql.Composed]:
    return [sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(name), table.sql) for name in TRIGGERS]


def _part(part: str | None, row: str) -> sql.Composable:
    if part is None:
        return sql.SQL("''")
    return sql.SQL("coalesce(" + row + ".{}::text, '')").format(sql.Identifier(part))


def _function_name(table: Table) -> str:
    return f"{_TRIGGER}_{table.oid}"


def _function(table: Table) -> sql.Identifier:
    return sql.Identifier(table.schema, _function_name(table))
