"""What the server builds an index with: memory for the whole graph and several processes, as far as it was given them.

An HNSW graph that does not fit into `maintenance_work_mem` (64 MB by default) is completed on the disk, several times
as slowly. And the server takes a small table for little work, however long the vectors are that it refers to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from psycopg import sql

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.pgvector.indexes import IndexSpec
from lightmigrate.stores.pgvector.session import QueryError, Session

# Bytes of an element of a graph besides its vector: its own, and those of each of its links (twice `m` on the lowest
# level, and one level above it for every m-th element).
_ELEMENT, _LINK = 200, 20
_LINKS = 16  # pgvector's default `m`

# How much of it may be used without being told: a tuned server has a quarter of its memory as `shared_buffers`.
_SHARE = 2

# The size of a graph that is worth the start of another process. How many there may be, the server's settings say.
_WORTH_PROCESSES = 4 << 20

# The server could not give so much: the disk (such as /dev/shm of a container) or the memory was full.
_TOO_MUCH = ("53100", "53200")


def needed_bytes(spec: IndexSpec, kind: str, rows: int, dimension: int) -> int:
    """About how much memory the graph of an index takes; 0 for an index that is no graph.

    Args:
        spec: the settings of the index.
        kind: the column's type, `vector` or `halfvec`.
        rows: number of vectors.
        dimension: of the vectors.
    """
    if spec.method != "hnsw":
        return 0
    bits = {"vector": 32, "halfvec": 16, "binary": 1}[spec.cast or kind]
    links = next((int(option[2:]) for option in spec.options if option.startswith("m=")), _LINKS)
    return rows * (dimension * bits // 8 + _ELEMENT + (2 * links + 1) * _LINK)


@contextlib.contextmanager
def resources_for(session: Session, needed: int) -> Iterator[None]:
    """Raise the session's `maintenance_work_mem` to what a graph needs, within a share of the server's memory.

    A graph of some size is built by as many processes as `max_parallel_maintenance_workers` allows.
    """
    limits = sql.SQL(
        "SELECT pg_size_bytes(current_setting('maintenance_work_mem')), "
        "pg_size_bytes(current_setting('shared_buffers'))"
    )
    given, shared = session.rows(limits)[0]
    raised = min(needed, _SHARE * shared)
    settings = {"maintenance_work_mem": f"{raised // 1024}kB"} if raised > given else {}
    if needed >= _WORTH_PROCESSES:
        settings["min_parallel_table_scan_size"] = "0"
    if not settings:
        yield
        return
    session.set(settings)
    try:
        yield
    finally:
        with contextlib.suppress(LightmigrateError):  # they end with the session
            session.execute(sql.SQL("; ").join(sql.SQL("RESET {}").format(sql.SQL(name)) for name in settings))


def build(session: Session, statement: sql.Composable, undo: sql.Composable, needed: int) -> None:
    """Build an index with what `resources_for` gives, or else with what the server does. Writes; not in a transaction.

    Args:
        session: the connection.
        statement: builds it.
        undo: removes what is left where that failed.
        needed: see `needed_bytes`.
    """
    try:
        with resources_for(session, needed):
            session.execute(statement)
            return
    except QueryError as error:
        if error.sqlstate not in _TOO_MUCH:
            raise
    session.execute(undo)
    session.execute(statement)
