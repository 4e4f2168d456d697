"""An application that writes to pgvector while it is migrated: so many inserts, updates and deletes a second.

It is a process of its own, so that it shares no interpreter with the migration, and writes through several connections:
when one write takes longer than the time between two, the next ones are sent all the same. Every write has a time at
which it is due; what is late is sent as soon as its connection is free. Each connection has rows of its own, so that it
is known what the last write of every row was.
"""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import Any

import numpy as np
import psycopg
from store_contestant import COLLECTION, projected

from lightmigrate.stores.pgvector.vectors import read_vectors
from lightmigrate.vectors import Vectors

WRITES_PER_SECOND = 200
CONNECTIONS = 8


@dataclass
class Written:
    """What one connection has done, or all of them.

    Attributes:
        waits: of every write: when it was sent, and how long it took, in seconds since the first one was due.
        late: of every write: how long after it was due it was sent.
        rows: of every record that was inserted or updated: the number of the vector that it has.
        deleted: the records that are deleted.
    """

    waits: list[tuple[float, float]] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    def add(self, other: Written) -> None:
        """Add what another connection did."""
        self.waits += other.waits
        self.late += other.late
        self.rows |= other.rows
        self.deleted |= other.deleted

    def measures(self) -> dict[str, float]:
        """How many were written in a second, how long each took in milliseconds, and when the longest began."""
        self.waits.sort()
        waits = 1000 * np.array([wait for _, wait in self.waits])
        longest, end = int(waits.argmax()), max(begun + wait for begun, wait in self.waits)
        return {
            "writes": len(waits),
            "offered_per_second": WRITES_PER_SECOND,
            "writes_per_second": len(waits) / end,
            "p99_late_ms": 1000 * float(np.quantile(self.late, 0.99)),
            "longest_wait_ms": float(waits[longest]),
            "longest_wait_before_end_s": self.waits[-1][0] - self.waits[longest][0],
            "p99_wait_ms": float(np.quantile(waits, 0.99)),
            "median_wait_ms": float(np.median(waits)),
        }

    def compared(self, address: str, vectors: Vectors, seed: int) -> dict[str, float]:
        """Whether every record is what it should be, in the new model's space."""
        with psycopg.connect(address) as connection, connection.cursor(binary=True) as cursor:
            query = f"SELECT id, embedding FROM {COLLECTION}".encode()
            stored: dict[str, bytes | None] = dict(cursor.execute(query).fetchall())
        names = list(self.rows)
        expected = projected(vectors[[self.rows[name] for name in names]], seed)
        sent = [vector for name in names if (vector := stored.get(name)) is not None]
        whole = len(sent) == len(names)
        wrong = int((np.abs(read_vectors(sent) - expected).max(axis=1) > 1e-4).sum()) if whole else len(names)
        return {
            "compared": len(names),
            "missing": sum(name not in stored for name in names),
            "wrong": wrong,
            "deleted_and_back": len(self.deleted & stored.keys()),
            "without_new_vector": sum(vector is None for vector in stored.values()),
        }


class Application:
    """The process. It writes from the beginning of a block until its end, or until the column has another dimension.

    Args:
        address: of the database.
        vectors: what it writes, `(n, 384)`, of rows that exist.
        name: begins the ids that it inserts.

    Attributes:
        written: what it did; after the block.
    """

    def __init__(self, address: str, vectors: Vectors, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._done, (self._results, results) = context.Event(), context.Pipe(duplex=False)
        self._process = context.Process(target=_write_all, args=(address, vectors, name, self._done, results))
        self.written = Written()

    def __enter__(self) -> Application:
        self._process.start()
        self._results.recv()  # its connections are open
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self.written = self._results.recv()
        self._process.join()


def _write_all(address: str, vectors: Vectors, name: str, done: Event, results: Connection) -> None:
    """What the process does: one thread a connection."""
    lanes = [_Lane(address, vectors, name, number, done) for number in range(CONNECTIONS)]
    results.send("open")
    written, started = Written(), time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        for each in threads.map(lambda lane: lane.run(started), lanes):
            written.add(each)
    done.wait()
    results.send(written)


class _Lane:
    """One connection, and the rows whose number divided by the number of connections leaves its own."""

    def __init__(self, address: str, vectors: Vectors, name: str, number: int, done: Event) -> None:
        self._connection = psycopg.connect(address, autocommit=True)
        self._vectors, self._name, self._number, self._done = vectors, name, number, done
        self._own = len(vectors) // CONNECTIONS
        self.written = Written()

    def run(self, started: float) -> Written:
        """Inserts, updates and deletes in turn; returns what was done."""
        with self._connection:
            for turn in range(10**9):
                due = (turn * CONNECTIONS + self._number) / WRITES_PER_SECOND
                if self._done.wait(max(0.0, started + due - time.perf_counter())):
                    break
                number = self._row(turn)
                vector = str(self._vectors[number].tolist())
                begun = time.perf_counter() - started
                try:
                    self._write(turn, number, vector)
                except psycopg.errors.DataException:  # the new dimension: the exchange is done
                    break
                finally:
                    self.written.waits.append((begun, time.perf_counter() - started - begun))
                    self.written.late.append(begun - due)
        return self.written

    def _row(self, turn: int) -> int:
        return self._number + CONNECTIONS * (turn % self._own)

    def _write(self, turn: int, number: int, vector: str) -> None:
        if turn % 3 == 0:
            key = f"{self._name}-{self._number}-{turn}"
            insert = f"INSERT INTO {COLLECTION} (id, content, embedding) VALUES (%s, 'new', %s)".encode()
            self._connection.execute(insert, (key, vector))
            self.written.rows[key] = number
        elif turn % 3 == 1:
            key = f"record-{self._row(turn * 7):08d}"
            update = f"UPDATE {COLLECTION} SET embedding = %s WHERE id = %s".encode()
            if self._connection.execute(update, (vector, key)).rowcount:
                self.written.rows[key] = number
        else:
            key = f"record-{self._row(turn * 11):08d}"
            self._connection.execute(f"DELETE FROM {COLLECTION} WHERE id = %s".encode(), (key,))
            self.written.deleted.add(key)
            self.written.rows.pop(key, None)


def beside_application(address: str, vectors: Vectors, seed: int, seconds_alone: float, migrate: Any) -> dict[str, Any]:
    """How long an application waits while `migrate` runs, and how long it waits without it."""
    with Application(address, vectors, "before") as alone:
        time.sleep(seconds_alone)
    with Application(address, vectors, "meanwhile") as beside:
        started = time.perf_counter()
        migrate()
        seconds = time.perf_counter() - started
    before = {f"alone_{name}": value for name, value in alone.written.measures().items()}
    compared = beside.written.compared(address, vectors, seed)
    return {"seconds": seconds, **beside.written.measures(), **compared, **before}
