"""A server that cannot give the memory for an index: the process that builds it has a limit of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from psycopg import sql

from lightmigrate.stores.pgvector.memory import build, memory_of
from lightmigrate.stores.pgvector.session import QueryError, Session
from tests.contract.postgres import PgMaker

ROWS, DIMENSION = 2000, 1500

# What the graph is said to need, and what the process may have beside what it has already: less than that, and more
# than `maintenance_work_mem` of the database, in which the second try builds.
NEEDED, LEFT = 64 << 20, 8 << 20


def limit_memory(session: Session) -> None:
    """Let the server's process of a session have little more memory than it has; its owner may say so."""
    (pid,) = session.rows(sql.SQL("SELECT pg_backend_pid()"))[0]
    held = re.search(r"^VmSize:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert held is not None
    limit = (int(held[1]) << 10) + LEFT
    owner = Path(f"/proc/{pid}").stat()
    command = ["prlimit", "--pid", str(pid), f"--as={limit}"]
    subprocess.run(command, user=owner.st_uid, group=owner.st_gid, check=True)


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="only Linux limits the memory of a running process")
def test_an_index_is_built_in_less_memory_where_the_server_cannot_give_as_much_as_it_needs(maker: PgMaker) -> None:
    maker.execute(
        sql.SQL("ALTER DATABASE {} SET maintenance_work_mem = '1MB'").format(
            sql.Identifier(maker.rows(sql.SQL("SELECT current_database()"))[0][0])
        )
    )
    maker.execute(
        sql.SQL(
            "CREATE TABLE docs AS SELECT id, (SELECT array_agg(random()) FROM generate_series(1, {}) WHERE id > 0)"
            "::vector({}) AS embedding FROM generate_series(1, {}) AS id"
        ).format(DIMENSION, sql.Literal(DIMENSION), ROWS)
    )
    session = Session(maker.conninfo)
    statement = sql.SQL(
        "CREATE INDEX CONCURRENTLY docs_hnsw ON docs USING hnsw (embedding vector_l2_ops) "
        "WITH (m = 2, ef_construction = 4)"
    )
    undo = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS docs_hnsw")
    valid = sql.SQL("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('docs_hnsw')")
    session.execute(sql.SQL("SELECT count(embedding <-> embedding) FROM docs"))  # loads the extension
    limit_memory(session)
    with pytest.raises(QueryError) as refused, memory_of(session, NEEDED):
        session.execute(statement)
    assert refused.value.sqlstate == "53200", "the limit is one that the server meets"
    assert maker.rows(valid) == [(False,)], "what is left of it"
    session.execute(undo)
    build(session, statement, undo, NEEDED)
    assert maker.rows(valid) == [(True,)]
    assert session.rows(sql.SQL("SHOW maintenance_work_mem")) == [("1MB",)]
    with pytest.raises(QueryError) as refused:
        build(session, sql.SQL("SELECT 1 / 0"), sql.SQL("DROP TABLE docs"), NEEDED)
    assert refused.value.sqlstate == "22012", "another error is not tried again"
    assert maker.rows(sql.SQL("SELECT count(*) FROM docs")) == [(ROWS,)]
    session.close()
