"""The order in which rows are updated, so that most of them stay in their block and no index has to be written.

PostgreSQL writes an updated row anew. Where the new one does not fit into the same block, every index gets another
entry for it, also the one on the old vectors: that takes as long as building the index. But what a transaction left
behind is room for the next one. So a transaction updates only a few of the rows of each block: these go elsewhere, and
the rows of the next transactions take their place. The longest rows go first, because every other one fits into theirs.
"""

from __future__ import annotations

from collections import defaultdict

from psycopg import sql

from lightmigrate.stores.pgvector.session import Session
from lightmigrate.stores.pgvector.tables import Table

# Transactions among which the rows of a block are divided, if it has so many.
_TURNS = 8

# A longer row has its longest values stored elsewhere, and such a reference to each (TOAST_TUPLE_THRESHOLD).
_LONGEST, _REFERENCE = 2032, 18


def in_turns(session: Session, table: Table, stage: sql.Identifier, joined: sql.Composed) -> list[list[str]]:
    """Where in the stage the rows are that exist, as `tid` texts, those of the first turn first. Only reads.

    Args:
        session: the connection.
        table: that has the rows.
        stage: their keys.
        joined: see `key_condition`.
    """
    # not of the values themselves, which may be stored elsewhere: their lengths are known without fetching them
    lengths = [sql.SQL("coalesce(pg_column_size(t.{}), 0)").format(column.sql) for column in table.columns]
    query = sql.SQL("SELECT s.ctid::text, t.tableoid::int8, t.ctid::text, ARRAY[{}] FROM {} t, {} s WHERE {}").format(
        sql.SQL(", ").join(lengths), table.sql, stage, joined
    )
    blocks: dict[tuple[int, str], list[str]] = defaultdict(list)
    for staged, oid, place, _ in sorted(session.rows(query), key=lambda row: -_in_block(row[-1])):
        blocks[oid, place.partition(",")[0]].append(staged)
    turns: list[list[str]] = [[] for _ in range(_TURNS)]
    for rows in blocks.values():
        at_once = -(-len(rows) // _TURNS)
        for number, staged in enumerate(rows):
            turns[number // at_once].append(staged)
    return [turn for turn in turns if turn]


def _in_block(values: list[int]) -> int:
    """About how long a row with values of such lengths is in its block."""
    total = sum(values)
    for longest in sorted(values, reverse=True):
        if total <= _LONGEST:
            break
        total += _REFERENCE - longest
    return total
