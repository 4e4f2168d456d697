"""A connection to an SQLite file whose error messages contain no id or text."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lightmigrate.errors import DatabaseError, FailedError, LightmigrateError
from lightmigrate.stores.sqlite_vec.driver import Connection, Row, connect, error_types, load_sqlite_vec

# How long a statement waits for another connection that writes.
_WAIT_SECONDS = 60

_VEC0 = "type = 'table' AND sql LIKE 'create virtual table%' AND sql LIKE '%using%vec0%'"


def has_vec0_tables(path: Path) -> bool:
    """Whether a file is an SQLite database with vec0 tables; `False` also for no database. Only reads.

    SQLite itself opens the file: reading it in another way would drop the locks of this process when it is closed.
    """
    if not path.is_file():
        return False
    try:
        connection = connect(path, writable=False)
    except error_types():
        return False
    try:
        return bool(connection.execute(f"SELECT 1 FROM sqlite_master WHERE {_VEC0} LIMIT 1").fetchall())  # noqa: S608
    except error_types():
        return False
    finally:
        connection.close()


class Session:
    """One connection, every statement its own transaction unless within `transaction`.

    Several threads may use it: each waits until the statement or transaction of another has ended.

    Args:
        path: the file.
        may_be_new: whether there may be no such file yet: then nothing is found in it, and `create` makes it.

    Attributes:
        path: the file.
        writable: whether this user may write it.
        version: of sqlite-vec.
        rollbacks: number of transactions that were undone.

    Raises:
        DatabaseError: SQLite cannot open it.
        MissingExtraError: sqlite-vec, or an SQLite that loads extensions, is missing.
    """

    def __init__(self, path: Path, *, may_be_new: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._depth = 0
        self.rollbacks = 0
        self._is_new = may_be_new and not path.exists()
        self._open()

    def _open(self) -> None:
        self.writable = os.access(self.path.parent if self._is_new else self.path, os.W_OK)
        try:
            place = None if self._is_new else self.path
            self._connection: Connection = connect(place, writable=self.writable)
        except error_types() as error:
            raise DatabaseError(f"{self.path} cannot be opened: {_one_line(error)}") from None
        self.version = load_sqlite_vec(self._connection)
        self.execute(f"PRAGMA busy_timeout = {_WAIT_SECONDS * 1000}")
        # renamed tables must not be looked for in the views and triggers of the application
        self.execute("PRAGMA legacy_alter_table = ON")

    def create(self) -> None:
        """Create the file, where there is none yet. Writes."""
        if self._is_new:
            with self._lock:
                self._connection.close()
                self.path.touch()
                self._is_new = False
                self._open()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def execute(self, statement: str, values: Sequence[object] = ()) -> None:
        """Run a statement."""
        self.rows(statement, values)

    def execute_many(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run a statement for each row of values, in one transaction."""
        with self.transaction(), self._translated():
            self._connection.executemany(statement, rows)

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """All rows of a query."""
        with self._lock, self._translated():
            found: list[Row] = self._connection.execute(statement, tuple(values)).fetchall()
            return found

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction that makes other writers wait; within one, a part of it."""
        with self._lock:
            if not self._depth:
                self.begin()
            self._depth += 1
            try:
                yield
                if self._depth == 1:
                    self.commit()
            except BaseException:
                if self._depth == 1:
                    self.rollbacks += 1
                    with contextlib.suppress(LightmigrateError):  # SQLite may have rolled it back already
                        self.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Queries that see the same state of the file; writers need not wait for their end."""
        with self._lock:
            outermost = not self._depth
            if outermost:
                self.execute("BEGIN")
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if outermost:
                    self.execute("ROLLBACK")

    def begin(self) -> None:
        """Begin a transaction that makes other writers wait."""
        self.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """End it."""
        self.execute("COMMIT")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError:
            raise LightmigrateError(f"{self.path} holds a text that is not UTF-8: correct it first") from None
        except error_types() as error:
            message = _one_line(error)
            if "database is locked" in message or "BusyError" in message:
                raise LightmigrateError(
                    f"SQLite: another process has been writing for {_WAIT_SECONDS} s: run this again when it has ended"
                ) from None
            raise FailedError(f"SQLite: {message}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
