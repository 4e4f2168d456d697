"""A connection to PostgreSQL whose error messages contain no password, id or text."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from lightmigrate.errors import DatabaseError, LightmigrateError

# With these settings values as text are exact, and the same for every client.
_SETTINGS = (
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("row_security", "off"),  # rows that a policy hides raise an error instead of being left behind
)

Row = tuple[Any, ...]
Result = TypeVar("Result")


class QueryError(LightmigrateError):
    """PostgreSQL refused a statement.

    Attributes:
        sqlstate: PostgreSQL's error code.
    """

    def __init__(self, message: str, *, sqlstate: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Session:
    """One connection, every statement its own transaction unless within `transaction`.

    Several threads may use it: each waits until the statement or transaction of another has ended.

    Args:
        conninfo: a URL or a `key=value` string, as libpq takes it.

    Raises:
        DatabaseError: no server answers.
    """

    def __init__(self, conninfo: str) -> None:
        self._lock = threading.RLock()
        try:
            self._connection = psycopg.connect(conninfo, autocommit=True)
        except psycopg.OperationalError as error:
            raise DatabaseError(f"cannot connect to PostgreSQL: {_one_line(error)}") from None
        except psycopg.Error:  # the message can contain a part of the password
            raise DatabaseError("the address is not one that PostgreSQL takes: postgresql://user@host/name") from None
        self._connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        for name, value in _SETTINGS:
            self.execute(sql.SQL("SELECT set_config({}, {}, false)").format(name, value))

    def __str__(self) -> str:
        info = self._connection.info
        port = "" if info.port == 5432 else f":{info.port}"
        return f"postgresql://{info.user}@{info.host}{port}/{info.dbname}"

    @property
    def user(self) -> str:
        """The role that is connected."""
        return str(self._connection.info.user)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def execute(self, query: sql.Composable, values: Sequence[object] = ()) -> int:
        """Run a statement; returns the number of affected rows."""
        with self._lock, _translated():
            return self._connection.execute(_composed(query), values or None).rowcount

    def rows(self, query: sql.Composable, values: Sequence[object] = ()) -> list[Row]:
        """All rows of a query. Values of types that psycopg does not know are returned as PostgreSQL's bytes."""
        with self._lock, _translated(), self._connection.cursor(binary=True) as cursor:
            return cursor.execute(_composed(query), values or None).fetchall()

    def copy(self, query: sql.Composable, blocks: Iterable[bytes]) -> None:
        """Send data to `COPY ... FROM STDIN`."""
        with self._lock, _translated(), self._connection.cursor() as cursor, cursor.copy(_composed(query)) as copy:
            for block in blocks:
                copy.write(block)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction, or a savepoint within one, which can fail without the rest."""
        with self._lock, _translated(), self._connection.transaction():
            yield

    def trying(self, action: Callable[[], Result], otherwise: Callable[[], Result]) -> Result:
        """The result of `action`, or of `otherwise` when a value does not fit the type it is compared with."""
        try:
            with self.transaction():
                return action()
        except QueryError as error:
            if not error.sqlstate.startswith("22"):  # data exceptions
                raise
        return otherwise()


def _composed(query: sql.Composable) -> sql.Composed:
    return query if isinstance(query, sql.Composed) else sql.Composed([query])


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        # the primary message names columns and types; details, which hold values, are left out
        raise QueryError(f"PostgreSQL: {_one_line(error)}", sqlstate=error.sqlstate or "") from None


def _one_line(error: psycopg.Error) -> str:
    return " ".join((error.diag.message_primary or str(error)).split())
