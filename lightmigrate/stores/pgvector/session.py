"""A connection to PostgreSQL whose error messages contain no password, id or text."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from lightmigrate.errors import DatabaseError, FailedError, LightmigrateError, PasswordNeededError
from lightmigrate.stores.pgvector.vectors import BinaryVectors, BinaryVectorsDumper

# With these settings values as text are exact, and the same for every client.
_SETTINGS = (
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    ("statement_timeout", "0"),  # what builds an index may take hours
    ("idle_in_transaction_session_timeout", "0"),
    ("row_security", "off"),  # rows that a policy hides raise an error instead of being left behind
)

# Other limits that a role or a database may have, and that end what takes hours; not every server has each.
_LIMITS = ("lock_timeout", "idle_session_timeout", "transaction_timeout")

# How long a statement waits for a lock before it lets others go first; less than PostgreSQL's `deadlock_timeout`, so
# that of two sessions which wait for each other this one gives way. And how long it is tried again.
_LOCK_MILLISECONDS, _PAUSE_SECONDS, _LONGEST_SECONDS = 300, 0.2, 120.0

# More than the default of `deadlock_timeout`.
_VACUUM_MILLISECONDS = 3000

_LOCKED = "55P03"

Row = tuple[Any, ...]
Result = TypeVar("Result")


class QueryError(FailedError):
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
            if error.pgconn is not None and error.pgconn.needs_password:
                raise PasswordNeededError(
                    "PostgreSQL asks for a password: set the environment variable PGPASSWORD, or write it to the file "
                    "~/.pgpass (PGPASSFILE)"
                ) from None
            raise DatabaseError(f"cannot connect to PostgreSQL: {_one_line(error)}") from None
        except psycopg.Error:  # the message can contain a part of the password
            raise DatabaseError("the address is not one that PostgreSQL takes: postgresql://user@host/name") from None
        self.rows_at_once = 50  # that are changed in one transaction; see `writing`
        self.switches_triggers = False  # as far as is known
        self._numbers: dict[str, int] = {}
        self._address = _address(self._connection.info)
        self._connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        self._connection.adapters.register_dumper(BinaryVectors, BinaryVectorsDumper)
        self.set(dict(_SETTINGS))
        self.rows(
            sql.SQL("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = ANY({})").format([*_LIMITS])
        )

    def __str__(self) -> str:
        return self._address

    @property
    def user(self) -> str:
        """The role that is connected."""
        return str(self._connection.info.user)

    @property
    def version(self) -> int:
        """The server's: 150003 for 15.3."""
        return self._connection.info.server_version

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def execute(self, query: sql.Composable, values: Sequence[object] = ()) -> int:
        """Run a statement; returns the number of affected rows. Without values it may be several, with `;` between."""
        with self._lock, _translated():
            prepare = None if values else False  # several cannot be prepared
            return self._connection.execute(_composed(query, values), values or None, prepare=prepare).rowcount

    def execute_unflushed(self, statement: sql.Composable) -> None:
        """Run a statement, without waiting until it is on the disk unless it is within a transaction."""
        setting = sql.SQL("" if self.in_transaction else "SET LOCAL synchronous_commit = off; ")
        self.execute(setting + statement)

    def rows(self, query: sql.Composable, values: Sequence[object] = (), *, prepare: bool | None = None) -> list[Row]:
        """All rows of a query. Values of types that psycopg does not know are returned as PostgreSQL's bytes.

        Args:
            query: the query.
            values: of its parameters.
            prepare: whether the server is to keep its plan, as for what is asked again and again; `None` keeps that of
                a query from the sixth time on.
        """
        with self._lock, _translated(), self._connection.cursor(binary=True) as cursor:
            return cursor.execute(_composed(query, values), values or None, prepare=prepare).fetchall()

    def set(self, settings: Mapping[str, str], *, local: bool = False) -> None:
        """Set parameters of the server for this session, or until the end of the transaction. Writes nothing else."""
        each = sql.SQL("set_config({}, {}, {})")
        chosen = [each.format(name, value, sql.Literal(local)) for name, value in settings.items()]
        self.rows(sql.SQL("SELECT {}").format(sql.SQL(", ").join(chosen)))

    def number_of(self, name: str) -> int:
        """PostgreSQL's number of a type; asked for once."""
        if name not in self._numbers:
            self._numbers[name] = int(self.rows(sql.SQL("SELECT %s::regtype::oid::int8"), [name])[0][0])
        return self._numbers[name]

    def copy(self, query: sql.Composable, blocks: Iterable[bytes]) -> None:
        """Send data to `COPY ... FROM STDIN`."""
        with self._lock, _translated(), self._connection.cursor() as cursor, cursor.copy(_composed(query, ())) as copy:
            for block in blocks:
                copy.write(block)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction, or a savepoint within one, which can fail without the rest."""
        with self._lock, _translated(), self._connection.transaction():
            yield

    @contextlib.contextmanager
    def _beginning_with(self, statements: sql.Composable) -> Iterator[None]:
        """A transaction, not within another, that begins with some statements, sent with its beginning."""
        with self._lock, _translated():
            try:
                self._connection.execute(sql.SQL("BEGIN; {}").format(statements), prepare=False)
                yield
            except BaseException:
                with contextlib.suppress(psycopg.Error):  # the connection has ended, and so has the transaction
                    self._connection.rollback()
                raise
            self._connection.commit()

    @contextlib.contextmanager
    def holding(self, lock: sql.Composed, before: Callable[[], object] = lambda: None) -> Iterator[None]:
        """A transaction that begins with a lock; while others have it, they are let go first, again and again.

        Who asks for a lock makes all wait who come later. So it is asked for in short attempts.

        Args:
            lock: the `LOCK TABLE` statement.
            before: called before every attempt, not in a transaction.

        Raises:
            DatabaseError: another session held it all the time.
        """
        deadline = time.monotonic() + _LONGEST_SECONDS
        while True:
            before()
            with contextlib.ExitStack() as attempt:
                try:
                    attempt.enter_context(self.transaction())
                    self.execute(
                        sql.SQL("SET LOCAL lock_timeout = {}; {}; SET LOCAL lock_timeout = 0").format(
                            sql.Literal(_LOCK_MILLISECONDS), lock
                        )
                    )
                except QueryError as error:
                    if error.sqlstate != _LOCKED or time.monotonic() > deadline:
                        raise _held(error) from None
                else:
                    held = attempt.pop_all()
                    break
            time.sleep(_PAUSE_SECONDS)
        with held:
            yield

    def end_vacuum(self, table: sql.Composable) -> None:
        """Have PostgreSQL end an automatic vacuum of a table, which would have to be waited for; writers go on.

        The server does that for who has waited for a lock for `deadlock_timeout`. So this lock, which writers do not
        notice, is waited for instead of the one that they do.
        """
        with contextlib.suppress(QueryError), self.transaction():
            self.execute(
                sql.SQL("SET LOCAL lock_timeout = {}; LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(
                    sql.Literal(_VACUUM_MILLISECONDS), table
                )
            )

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction of this thread is open."""
        with self._lock:
            return self._connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE

    def yielding(
        self, action: Callable[[], Result], *, flushed: bool = True, settings: Sequence[sql.SQL] = ()
    ) -> Result:
        """The result of an action in a transaction that gives way to others: it is repeated when it waits for a lock.

        Within a transaction, which has its locks already, the action is simply done.

        Args:
            action: may be done several times.
            flushed: whether it is on the disk on return; otherwise when the next transaction is.
            settings: statements that the transaction begins with.

        Raises:
            DatabaseError: another session held the lock all the time.
        """
        if self.in_transaction:
            return action()
        deadline = time.monotonic() + _LONGEST_SECONDS
        first = [sql.SQL(f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}"), *settings]
        if not flushed:
            first.append(sql.SQL("SET LOCAL synchronous_commit = off"))
        beginning = sql.SQL("; ").join(first)
        while True:
            try:
                with self._beginning_with(beginning):
                    return action()
            except QueryError as error:
                if error.sqlstate != _LOCKED or time.monotonic() > deadline:
                    raise _held(error) from None
            time.sleep(_PAUSE_SECONDS)

    def trying(self, action: Callable[[], Result], otherwise: Callable[[], Result]) -> Result:
        """The result of `action`, or of `otherwise` when a value does not fit the type it is compared with."""
        try:
            with self.transaction():
                return action()
        except QueryError as error:
            if not error.sqlstate.startswith("22"):  # data exceptions
                raise
        return otherwise()


def _held(error: QueryError) -> LightmigrateError:
    if error.sqlstate != _LOCKED:
        return error
    return DatabaseError(
        f"other sessions held a lock for {_LONGEST_SECONDS:.0f} s: end their transactions (those in "
        "pg_stat_activity that are not idle), and run the same command again: it goes on where it stopped"
    )


def _composed(query: sql.Composable, values: Sequence[object]) -> sql.Composed:
    """A statement as psycopg takes it: with values a `%` in a name or a literal is written twice."""
    composed = query if isinstance(query, sql.Composed) else sql.Composed([query])
    return sql.Composed([_doubled(part) for part in composed]) if values else composed


def _doubled(part: sql.Composable) -> sql.Composable:
    if isinstance(part, sql.Composed):
        return sql.Composed([_doubled(each) for each in part])
    return part if isinstance(part, sql.SQL) else sql.SQL(part.as_string().replace("%", "%%"))


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        # the primary message names columns and types; details, which hold values, are left out
        raise QueryError(f"PostgreSQL: {_one_line(error)}", sqlstate=error.sqlstate or "") from None


def _one_line(error: psycopg.Error) -> str:
    return " ".join((error.diag.message_primary or str(error)).split())


def _address(info: psycopg.ConnectionInfo) -> str:
    """The address of a connection, as it can be given again; without a password."""
    port = "" if info.port == 5432 else f":{info.port}"
    user, name = quote(info.user, safe=""), quote(info.dbname, safe="")
    if info.host.startswith("/"):  # a socket
        options = {"host": info.host} | ({"port": str(info.port)} if port else {})
        return f"postgresql://{user}@/{name}?{urlencode(options, safe='/')}"
    host = f"[{info.host}]" if ":" in info.host else info.host
    return f"postgresql://{user}@{host}{port}/{name}"
