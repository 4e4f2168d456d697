"""What was written to a table since a point in time, as `noting` noted it.

These are the writes that were not visible in PostgreSQL's snapshot of that time. So no write is missed or returned
twice, however transactions overlap.
"""

from __future__ import annotations

from dataclasses import replace

from psycopg import sql

from lightmigrate.stores.base import WrittenRecords
from lightmigrate.stores.pgvector import noting
from lightmigrate.stores.pgvector.part import Part
from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Column, Table
from lightmigrate.stores.pgvector.values import encode_key

# The end of a condition for entries of some parts only.
_OF_PARTS = " AND l.part = ANY(%s)"


def snapshot(session: Session) -> str:
    """PostgreSQL's present snapshot, which tells the visible transactions; only reads."""
    return str(session.rows(sql.SQL("SELECT pg_current_snapshot()::text"))[0][0])


def mark(session: Session, table: Table) -> str:
    """The present point in time: a `snapshot`, and the triggers that note what comes after it; only reads."""
    taken = snapshot(session)
    return " ".join([taken, *(f"{oid}:{found}" for oid, found in noting.triggers(session, table).items())])


def written(session: Session, table: Table, part: Part, since: str | None, *, touched: bool) -> WrittenRecords:
    """What was noted of a table, or a part of it, since a mark or a `snapshot`; empty if that is `None`. Only reads.

    A row that went from one part to another was deleted in one and written in the other. Rows of other parts are among
    them where the parts are not told apart by this column.

    Args:
        session: the connection.
        table: that is noted.
        part: the rows that are asked for.
        since: the mark.
        touched: whether rows count whose vector and text are as before.
    """
    now = mark(session, table)  # before the query: a write in between is returned twice rather than never
    if since is None:
        return WrittenRecords(written=[], deleted=[], mark=now)
    parts = _parts(session, table, part)
    logs = [sql.SQL("SELECT rel, key, part, deleted, xid FROM {}").format(noting.log_of(table))]
    if touched and noting.exists(session, noting.touched_of(table)):
        logs.append(sql.SQL("SELECT rel, key, part, NULL, xid FROM {}").format(noting.touched_of(table)))
    rows = session.rows(
        sql.SQL(
            "SELECT key, coalesce(bool_and(deleted), false) FROM ({}) l WHERE {}{} GROUP BY key ORDER BY key"
        ).format(sql.SQL(" UNION ALL ").join(logs), _noted(table, since), sql.SQL(_OF_PARTS if parts else "")),
        parts,
    )
    return WrittenRecords(
        written=[encode_key(key) for key, deleted in rows if not deleted],
        deleted=[encode_key(key) for key, deleted in rows if deleted],
        mark=now,
    )


def with_shared(
    session: Session, table: Table, columns: tuple[Column, Column], part: Part, since: str, noted: WrittenRecords
) -> WrittenRecords:
    """The same, with the numbers of rows of which something else was written, and of those that are gone. Only reads.

    See `with_unnoted` for the arguments.
    """
    if not all(noting.exists(session, each) for each in (noting.gone_of(table), noting.touched_of(table))):
        return noted  # an earlier version made the trigger
    one, other = columns
    parts = _parts(session, table, part)
    own = sql.SQL(_OF_PARTS if parts else "")
    gone = sql.SQL("SELECT count(*) FROM {} l WHERE {} AND l.number = {}{}").format(
        noting.gone_of(table), _noted(table, since), sql.Literal(other.number), own
    )
    touched = sql.SQL(
        "SELECT count(DISTINCT l.key) FROM {} l JOIN {} t ON {} WHERE {} AND t.{} IS NOT NULL{} "
        "AND NOT EXISTS (SELECT FROM {} w WHERE w.rel = l.rel AND w.key = l.key AND {})"
    ).format(
        noting.touched_of(table), table.sql, _same_key(table), _noted(table, since), one.sql, part.condition("t"),
        noting.log_of(table), _since("w", since),
    )  # fmt: skip
    return replace(noted, gone=session.rows(gone, parts)[0][0], touched=session.rows(touched, part.values)[0][0])


def with_unnoted(
    session: Session, table: Table, columns: tuple[Column, Column], part: Part, since: str, noted: WrittenRecords
) -> WrittenRecords:
    """The same, and the rows that only the first of two columns has a vector of: they came without the trigger.

    So do those of a partition that is attached, and what is restored with triggers disabled. Only reads, and only the
    partitions in which the trigger is not known to be the same as then.

    Args:
        session: the connection.
        table: that is noted.
        columns: of the collection, and of what it replaced.
        part: the rows that are looked at.
        since: the mark of when it was replaced, or a `snapshot`.
        noted: what was noted since then.
    """
    changed = _without_trigger(session, table, since)
    if not changed:
        return noted
    one, other = (column.sql for column in columns)
    query = sql.SQL(
        "SELECT ARRAY[{0}] FROM {1} t WHERE t.tableoid = ANY({2}::oid[]) AND t.{3} IS NOT NULL AND t.{4} IS NULL{5} "
        "AND NOT EXISTS (SELECT FROM {6} l WHERE l.key = ARRAY[{0}] AND {7})"
    ).format(
        noting.key_of(table, "t"), table.sql, sql.Literal(changed), one, other, part.condition("t"),
        noting.log_of(table), _noted(table, since),
    )  # fmt: skip
    found = [encode_key(key) for (key,) in session.rows(query, part.values)]
    return replace(noted, written=[*noted.written, *sorted(found)])


def unequal(
    session: Session, table: Table, columns: tuple[Column, Column], part: Part, since: str, *, written: bool
) -> int:
    """Number of rows in which only one of two columns is NULL; only reads.

    Args:
        session: the connection.
        table: that is noted.
        columns: the two.
        part: the rows that are looked at.
        since: a mark.
        written: whether those that were written since are counted, or all others. Rows count as written that may have
            come without the trigger: a partition was attached, or the trigger disabled for a time.
    """
    one, other = (column.sql for column in columns)
    differing = sql.SQL("(t.{} IS NULL) <> (t.{} IS NULL){}").format(one, other, part.condition("t"))
    unnoted = sql.SQL(
        "SELECT count(*) FROM {} t WHERE {} AND NOT EXISTS (SELECT FROM {} l WHERE l.key = ARRAY[{}] AND {})"
    ).format(table.sql, differing, noting.log_of(table), noting.key_of(table, "t"), _noted(table, since))
    if not written:
        return int(session.rows(unnoted, part.values)[0][0])
    query = sql.SQL("SELECT count(DISTINCT l.key) FROM {} l JOIN {} t ON {} WHERE {} AND {}").format(
        noting.log_of(table), table.sql, _same_key(table), _noted(table, since), differing
    )
    count = int(session.rows(query, part.values)[0][0])
    if changed := _without_trigger(session, table, since):
        within = sql.SQL(" AND t.tableoid = ANY({}::oid[])").format(sql.Literal(changed))
        count += int(session.rows(unnoted + within, part.values)[0][0])
    return count


def _parts(session: Session, table: Table, part: Part) -> list[object]:
    """The parameter with the parts that entries of a part have; none where entries are not told apart by them."""
    if part.value and part.column is not None and noting.part_column(session, table) == part.column.name:
        return [[part.value, ""]]  # what was noted without a part may be of any
    return []


def _same_key(table: Table) -> sql.Composed:
    """The condition that an entry `l` is of the row `t`."""
    return sql.SQL(" AND ").join(
        sql.SQL("t.{} = l.key[{}]::" + column.type).format(column.sql, sql.Literal(number))
        for number, column in enumerate(table.keys, 1)
    )


def _snapshot_of(mark: str) -> str:
    return mark.partition(" ")[0]


def _without_trigger(session: Session, table: Table, since: str) -> list[int]:
    """The tables and partitions in which the trigger may not have fired all the time since a mark; only reads."""
    before = {*since.split(" ")[1:]}
    return [oid for oid, found in noting.triggers(session, table).items() if f"{oid}:{found}" not in before]


def _noted(table: Table, since: str) -> sql.Composed:
    """The condition that an entry `l` is of the table, and of a write since a mark."""
    return sql.SQL("l.rel = {} AND {}").format(sql.Literal(table.oid), _since("l", since))


def _since(entry: str, since: str) -> sql.Composed:
    return sql.SQL(f"NOT pg_visible_in_snapshot({entry}.xid, {{}}::pg_snapshot)").format(
        sql.Literal(_snapshot_of(since))
    )
