"""Tables of bytes by record id that may hold a whole collection, outside of memory.

They are tables of SQLite's temporary kind of database: what fits into its cache stays in memory, and the rest goes to
a file that has no name, so that the system deletes it with the process, whatever ends that. It is in the folder for
temporary files: `TMPDIR`, else `/var/tmp`, or what Windows calls `TEMP`.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lightmigrate.errors import LightmigrateError

# What all tables of one object hold in memory, in KiB; about 150,000 records with their digests.
CACHE_KIB = 16 * 1024

# In the order of the ids, so that those of a page that was read in that order are together.
_SCHEMA = """
    CREATE TABLE records (
        owner INTEGER NOT NULL, id BLOB NOT NULL, number INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY (owner, id)
    ) WITHOUT ROWID
"""

# SQLite's smallest limit of parameters in a statement is 999.
_MOST = 900


class RecordTables:
    """Tables that share a cache and a file. Several threads may use them at once. The file goes when nothing needs it.

    Raises:
        LightmigrateError: (all methods, and those of the tables) the disk with temporary files is full.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._numbers = itertools.count()
        with _guarded():
            self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            # a crash loses the file in any case, so nothing is written to get it back
            for setting in ("journal_mode = OFF", "temp_store = FILE", f"cache_size = -{CACHE_KIB}"):
                self._connection.execute(f"PRAGMA {setting}")
            self._connection.execute(_SCHEMA)
        weakref.finalize(self, self._connection.close)

    def table(self) -> RecordTable:
        """A new, empty table."""
        return RecordTable(self, next(self._numbers))

    @contextlib.contextmanager
    def using(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread, in one transaction."""
        with self._lock, _guarded(), self._connection:
            self._connection.execute("BEGIN")
            yield self._connection


class RecordTable:
    """Bytes by id, of as many records as there are.

    Args:
        tables: that it is one of.
        owner: its number among them.
    """

    def __init__(self, tables: RecordTables, owner: int) -> None:
        self._tables, self._owner = tables, owner
        self._count = 0
        self._next = 0  # the number that the next new record gets

    def __len__(self) -> int:
        return self._count

    def get(self, ids: Sequence[str]) -> dict[str, bytes]:
        """The bytes of those of some records that are held, by id."""
        return {record: value for record, (_, value) in self.held(ids).items()}

    def put(self, values: Mapping[str, bytes]) -> None:
        """Hold these bytes by id; earlier ones of the same ids are replaced."""
        held = self.held(list(values))
        new = [record for record in values if record not in held]
        added = [
            (self._owner, as_key(record), number, values[record]) for number, record in enumerate(new, start=self._next)
        ]
        changed = [(values[record], self._owner, as_key(record)) for record, (_, value) in held.items()]
        with self._tables.using() as connection:
            connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", added)
            connection.executemany("UPDATE records SET value = ? WHERE owner = ? AND id = ?", changed)
        self._next += len(new)
        self._count += len(new)

    def remove(self, ids: Iterable[str]) -> None:
        """Hold nothing of these records any more."""
        with self._tables.using() as connection:
            done = connection.executemany(
                "DELETE FROM records WHERE owner = ? AND id = ?", ((self._owner, as_key(record)) for record in ids)
            )
            self._count -= max(0, done.rowcount)

    def clear(self) -> None:
        """Hold nothing any more."""
        with self._tables.using() as connection:
            connection.execute("DELETE FROM records WHERE owner = ?", (self._owner,))
        self._count = 0

    def numbers(self, ids: Sequence[str]) -> dict[str, int]:
        """The numbers of those of some records that are held: from 0 on, in the order in which they were added."""
        return {record: number for record, (number, _) in self.held(ids).items()}

    def round(self, start: int = 0) -> Round:
        """Begin to go through a collection, to find which of the records held now it lacks.

        Args:
            start: records of a smaller number count as met.
        """
        return Round(self, start, self._next)

    def pages(self, size: int) -> Iterator[list[tuple[str, int]]]:
        """All ids with their numbers, at most `size` at a time; the table may be written to meanwhile."""
        return ([(of_key(key), number) for key, number, _ in rows] for rows in self._rows(size))

    def _rows(self, size: int) -> Iterator[list[tuple[bytes, int, bytes]]]:
        last = b""
        query = "SELECT id, number, value FROM records WHERE owner = ? AND id {} ? ORDER BY id LIMIT ?"
        comparison = ">="  # an id may be empty
        while True:
            with self._tables.using() as connection:
                rows = connection.execute(query.format(comparison), (self._owner, last, size)).fetchall()
            if not rows:
                return
            last, comparison = rows[-1][0], ">"
            yield rows

    def items(self, size: int) -> Iterator[dict[str, bytes]]:
        """The bytes of all records by id, as `pages`."""
        return ({of_key(key): value for key, _, value in rows} for rows in self._rows(size))

    def values(self, size: int) -> Iterator[list[bytes]]:
        """The bytes of all records, in the order of their ids as UTF-8, as `pages`."""
        return ([value for _, _, value in rows] for rows in self._rows(size))

    def held(self, ids: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        """Number and bytes of those of some records that are held, by id."""
        found: dict[str, tuple[int, bytes]] = {}
        if not self._count:
            return found
        keys = [as_key(record) for record in ids]
        with self._tables.using() as connection:
            for start in range(0, len(keys), _MOST):
                some = keys[start : start + _MOST]
                places = ", ".join("?" * len(some))
                query = f"SELECT id, number, value FROM records WHERE owner = ? AND id IN ({places})"  # noqa: S608
                rows = connection.execute(query, (self._owner, *some))
                found.update((of_key(key), (number, value)) for key, number, value in rows)
        return found


class Round:
    """Which of some records of a table were met; a bit for each of them.

    Args:
        table: the table, which may be written to meanwhile.
        start: the records are those with this number or a larger one,
        end: and a smaller one than this.
    """

    def __init__(self, table: RecordTable, start: int, end: int) -> None:
        self._table, self._start, self._end = table, start, end
        self._left = max(0, end - start)
        self._met = bytearray(-(-self._left // 8))

    def meet(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Note that these records were met; the bytes of those that the table holds, by id."""
        held = self._table.held(ids)
        self._note(number for number, _ in held.values())
        return {record: value for record, (_, value) in held.items()}

    def newly_met(self, ids: Sequence[str]) -> set[str]:
        """Note that these records were met; those of them that had not been met before."""
        numbers = self._table.numbers(ids)
        new = {record for record, number in numbers.items() if self._is_left(number)}
        self._note(numbers.values())
        return new

    def missed(self, size: int) -> Iterator[list[str]]:
        """The records that were not met and are still held, at most `size` at a time."""
        if not self._left:
            return
        for page in self._table.pages(size):
            if some := [record for record, number in page if self._is_left(number)]:
                yield some

    def _note(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            if self._is_left(number):
                place = number - self._start
                self._met[place >> 3] |= 1 << (place & 7)
                self._left -= 1

    def _is_left(self, number: int) -> bool:
        place = number - self._start
        return self._start <= number < self._end and not self._met[place >> 3] >> (place & 7) & 1


def as_key(record: str) -> bytes:
    """An id as bytes. Any text can be an id, and SQLite refuses some as text."""
    return record.encode("utf-8", "surrogatepass")


def of_key(key: bytes) -> str:
    """The id for what `as_key` gave."""
    return key.decode("utf-8", "surrogatepass")


@contextlib.contextmanager
def _guarded() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise LightmigrateError(
            f"cannot write temporary files ({error}): they take about 100 bytes for each record of the collection; "
            "free some space in /var/tmp, or name another folder by the environment variable TMPDIR"
        ) from None
