"""Where each row's vector comes from: projected, projected with an extract, or exact.

Kept in a SQLite file in the database's folder, or among the user's files for a server; never in the metadata of
records. A row that is not listed was written by the application with the new model: it is exact. Each listed row keeps
the vector it had in the old space, so that the projection can be refitted on the exact rows and applied to the others.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.errors import LightmigrateError, ProjectionError
from lightmigrate.migration.aside.location import PROVENANCE_FILE
from lightmigrate.projection.projection import Projection
from lightmigrate.refinement.provenance_rows import NOT_EXACT as NOT_EXACT  # who uses the file finds these here, too
from lightmigrate.refinement.provenance_rows import Row as Row
from lightmigrate.refinement.provenance_rows import VectorOrigin as VectorOrigin
from lightmigrate.refinement.provenance_rows import old_vectors_of as old_vectors_of
from lightmigrate.refinement.provenance_rows import row_of, stored_vector
from lightmigrate.refinement.provenance_tables import prepare, sha256
from lightmigrate.results import read_as
from lightmigrate.stores.base import Address
from lightmigrate.stores.page import batches
from lightmigrate.training.texts import TextsFile

# Ids read at once, and parameters of a statement.
_IDS_AT_ONCE, _MOST = 5000, 900

_SELECT_FILES = "SELECT sha256, content FROM files"
_SELECT_VERSIONS = "SELECT version, file FROM projections WHERE collection = ?"
_SELECT_ROWS = "SELECT id, origin, old_vector, fingerprints, fitted FROM rows"


class Provenance:
    """The open provenance file of a database; a context manager.

    Args:
        path: of the file; it is created, with its folder, if it does not exist.

    Raises:
        LightmigrateError: (all methods) it cannot be used, or was written by a newer lightmigrate.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._together = False
        self._saved: dict[int, tuple[Projection, bytes]] = {}
        with self._guarded():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
            try:
                prepare(self._connection, path)
            except BaseException:
                self._connection.close()
                raise

    @classmethod
    def of(cls, place: Path) -> Provenance:
        """Open or create the file in a folder: the folder of the database, or the user's folder for a server."""
        return cls(cls.file_in(place))

    @classmethod
    def existing(cls, place: Path, database: str = "DATABASE") -> Provenance:
        """Open the file in a folder if there is one; creates nothing. `database` is what a command is to be given.

        Raises:
            LightmigrateError: there is none: of no collection it is kept which rows are exact.
        """
        if not cls.file_in(place).exists():
            raise LightmigrateError(
                f"{place}: nothing keeps which rows are exact (after  migrate --embed-again  all are, after  "
                "migrate --projection  none); a plan does:  "
                f"lightmigrate plan {database} --target-model MODEL"
            )
        return cls.of(place)

    @staticmethod
    def file_in(place: Path) -> Path:
        """The path of the file in a folder."""
        return place / PROVENANCE_FILE

    def __enter__(self) -> Provenance:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """All changes of this block in one transaction: writing a thousand collections takes one wait for the disk."""
        with self._guarded(), self._connection:
            self._together = True
            try:
                yield
            finally:
                self._together = False

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """One transaction, or a part of that of `together`."""
        with self._guarded(), contextlib.nullcontext() if self._together else self._connection:
            yield

    def addresses(self) -> list[Address]:
        """The collections with provenance; only reads."""
        addresses = self._select("SELECT address FROM collections ORDER BY number")
        return [Address(*json.loads(address)) for (address,) in addresses]

    def start(self, address: Address, facts: Mapping[str, Any], projection: Projection) -> None:
        """Drop what is stored of a collection, and store the facts and the projection of its migration."""
        with self._changing():
            self._insert_projection(self._insert(address, facts), 0, projection)

    def _insert(self, address: Address, facts: Mapping[str, Any]) -> int:
        """A new entry in place of what is stored of a collection; its number."""
        self._drop(address)
        values = (_key(address), json.dumps(facts))
        return int(
            self._connection.execute("INSERT INTO collections (address, facts) VALUES (?, ?)", values).lastrowid or 0
        )

    def add(self, address: Address, rows: Iterable[Row]) -> None:
        """Store rows of a collection that was started, in place of rows with the same ids."""
        number = self._number(address)
        with self._changing():
            self._connection.executemany(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (number, r.id, int(r.origin), int(r.fitted), r.fingerprints, stored_vector(r.old_vector))
                    for r in rows
                ),
            )

    def take_over(self, other: Path) -> None:
        """Copy all collections of another provenance file, in place of the same collections in this one."""
        with Provenance(other) as theirs, self.together():
            for address in theirs.addresses():
                number = self._insert(address, theirs.facts(address))
                self._connection.executemany(
                    "INSERT INTO projections VALUES (?, ?, ?)",
                    [
                        (number, version, file)
                        for version, file in theirs._select(_SELECT_VERSIONS, theirs._number(address))
                    ],
                )
                self.add(address, theirs.rows(address))
            self._connection.executemany("INSERT OR IGNORE INTO files VALUES (?, ?)", theirs._select(_SELECT_FILES))

    def facts(self, address: Address) -> dict[str, Any]:
        """The facts of a collection's migration; only reads."""
        stored = self._select("SELECT facts FROM collections WHERE address = ?", _key(address))
        if not stored:
            raise LightmigrateError(
                f"{self.path} holds nothing about the collection {address}: only a collection that was migrated by a "
                "plan can be refined:  lightmigrate plan DATABASE --target-model MODEL"
            )
        try:
            facts = dict(json.loads(stored[0][0]))
            if not {"model", "provider", "dimension", "reads_texts", "expected"} <= facts.keys():
                raise ValueError("facts are missing")
            facts["texts_file"] = read_as(TextsFile, facts.get("texts_file", {})).to_json()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._damaged(error) from None
        return facts

    def note(self, address: Address, facts: Mapping[str, Any]) -> None:
        """Add facts to those of a collection."""
        merged = json.dumps({**self.facts(address), **facts})
        with self._changing():
            self._connection.execute("UPDATE collections SET facts = ? WHERE address = ?", (merged, _key(address)))

    def counts(self, address: Address) -> dict[VectorOrigin, int]:
        """Number of stored rows of each origin, including rows that were deleted since; only reads."""
        counts = dict(
            self._select(
                "SELECT origin, count(*) FROM rows WHERE collection = ? GROUP BY origin", self._number(address)
            )
        )
        return {origin: counts.get(int(origin), 0) for origin in VectorOrigin}

    def not_exact(self) -> dict[Address, int]:
        """The number of rows that are not exact, of each collection that has some; takes a millisecond. Only reads."""
        counts = self._select(
            "SELECT address, (SELECT count(*) FROM rows WHERE collection = number AND origin < 2) FROM collections"
        )
        return {Address(*json.loads(address)): count for address, count in counts if count}

    def rows(self, address: Address, *origins: VectorOrigin) -> Iterator[Row]:
        """The rows of a collection, of some origins or of all; only reads."""
        chosen = [int(origin) for origin in origins or VectorOrigin]
        places = ",".join("?" * len(chosen))
        query = f"{_SELECT_ROWS} WHERE collection = ? AND origin IN ({places})"
        with self._guarded():
            for values in self._connection.execute(query, (self._number(address), *chosen)):
                yield row_of(*values)

    def ids(self, address: Address, *origins: VectorOrigin) -> Iterator[str]:
        """The ids of the rows of some origins, sorted; the rows may be written to meanwhile. Only reads."""
        number, chosen, last, after = self._number(address), [int(origin) for origin in origins], "", ">="
        places = ",".join("?" * len(chosen))
        query = "SELECT id FROM rows WHERE collection = ? AND origin IN ({}) AND id {} ? ORDER BY id LIMIT ?"
        while ids := self._select(query.format(places, after), number, *chosen, last, _IDS_AT_ONCE):
            yield from (row_id for (row_id,) in ids)
            last, after = ids[-1][0], ">"

    def sample(self, address: Address, most: int, seed: int, *origins: VectorOrigin) -> list[str]:
        """The ids of so many rows of some origins, or of all if there are fewer, in random order; only reads."""
        counts = self.counts(address)
        total = sum(counts[origin] for origin in origins)
        rows = np.random.default_rng(seed).choice(total, min(most, total), replace=False).tolist()
        wanted = set(rows)
        found = {row: row_id for row, row_id in enumerate(self.ids(address, *origins)) if row in wanted}
        return [found[row] for row in rows if row in found]

    def origins_of(self, address: Address, ids: Sequence[str]) -> dict[str, VectorOrigin]:
        """Where the vectors of the stored rows among some ids come from, by id; only reads."""
        number, found = self._number(address), dict[str, VectorOrigin]()
        for some in batches(ids, _MOST):
            places = ",".join("?" * len(some))
            query = f"SELECT id, origin FROM rows WHERE collection = ? AND id IN ({places})"  # noqa: S608
            found.update((row_id, VectorOrigin(origin)) for row_id, origin in self._select(query, number, *some))
        return found

    def not_fitted(self, address: Address) -> int:
        """How many exact rows the newest projection was not fitted to; only reads."""
        query = "SELECT count(*) FROM rows WHERE collection = ? AND origin = ? AND NOT fitted"
        return int(self._select(query, self._number(address), int(VectorOrigin.EXACT))[0][0])

    def rows_by_id(self, address: Address, ids: Sequence[str]) -> dict[str, Row]:
        """The stored rows among some ids, by id; only reads."""
        number, query = self._number(address), f"{_SELECT_ROWS} WHERE collection = ? AND id = ?"
        return {row_id: row_of(*values) for row_id in ids for values in self._select(query, number, row_id)}

    def mark_exact(self, address: Address, ids: Sequence[str], fingerprints: Sequence[bytes]) -> None:
        """Store that these rows are exact now, and the fingerprints of their vectors."""
        number = self._number(address)
        with self._changing():
            self._connection.executemany(
                "UPDATE rows SET origin = ?, fingerprints = ? WHERE collection = ? AND id = ?",
                (
                    (int(VectorOrigin.EXACT), fingerprint, number, row_id)
                    for row_id, fingerprint in zip(ids, fingerprints, strict=True)
                ),
            )

    def set_fingerprints(self, address: Address, ids: Sequence[str], fingerprints: Sequence[bytes]) -> None:
        """Store the fingerprints of the vectors that some rows hold, or may hold."""
        number = self._number(address)
        with self._changing():
            self._connection.executemany(
                "UPDATE rows SET fingerprints = ? WHERE collection = ? AND id = ?",
                ((fingerprint, number, row_id) for row_id, fingerprint in zip(ids, fingerprints, strict=True)),
            )

    def forget(self, address: Address, ids: Sequence[str]) -> None:
        """Drop rows that the application wrote or deleted."""
        number = self._number(address)
        with self._changing():
            self._connection.executemany(
                "DELETE FROM rows WHERE collection = ? AND id = ?", ((number, row_id) for row_id in ids)
            )

    def projections(self, address: Address) -> list[Projection]:
        """The newest projection, then the one before it as long as it is kept; only reads."""
        projections = [self._projection(address, version) for version in self._versions(address)[::-1]]
        if not projections:
            raise self._damaged(LookupError())
        return projections

    def add_projection(self, address: Address, projection: Projection, fitted: Sequence[str]) -> None:
        """Store a newer projection and the ids it was fitted to. The older one stays until `drop_older_projections`."""
        number, version = self._number(address), max(self._versions(address)) + 1
        with self._changing():
            self._insert_projection(number, version, projection)
            self._connection.executemany(
                "UPDATE rows SET fitted = 1 WHERE collection = ? AND id = ?", ((number, row_id) for row_id in fitted)
            )

    def drop_older_projections(self, address: Address) -> None:
        """Keep the newest projection only: no row holds a vector of an older one any more."""
        number = self._number(address)
        with self._changing():
            self._connection.execute(
                "DELETE FROM projections WHERE collection = ? AND version < "
                "(SELECT max(version) FROM projections WHERE collection = ?)",
                (number, number),
            )
            self._drop_unused_files()

    def _versions(self, address: Address) -> list[int]:
        versions = self._select(
            "SELECT version FROM projections WHERE collection = ? ORDER BY version", self._number(address)
        )
        return [version for (version,) in versions]

    def _projection(self, address: Address, version: int) -> Projection:
        files = self._select(
            "SELECT content FROM projections JOIN files ON sha256 = file WHERE collection = ? AND version = ?",
            self._number(address),
            version,
        )
        if not files:
            raise self._damaged(LookupError())
        ((content,),) = files
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "projection.npz"
            file.write_bytes(content)
            try:
                return Projection.load(file)
            except ProjectionError as error:
                raise self._damaged(error) from None

    def _insert_projection(self, number: int, version: int, projection: Projection) -> None:
        if id(projection) not in self._saved:
            with tempfile.TemporaryDirectory() as folder:
                content = projection.save(Path(folder) / "projection.npz").read_bytes()
            digest = sha256(content)
            self._connection.execute("INSERT OR IGNORE INTO files VALUES (?, ?)", (digest, content))
            self._saved[id(projection)] = (projection, digest)  # holding it keeps its id
        _, digest = self._saved[id(projection)]
        self._connection.execute("INSERT INTO projections VALUES (?, ?, ?)", (number, version, digest))

    def _drop_unused_files(self) -> None:
        self._connection.execute("DELETE FROM files WHERE sha256 NOT IN (SELECT file FROM projections)")
        self._saved.clear()

    def _drop(self, address: Address) -> None:
        for (number,) in self._select("SELECT number FROM collections WHERE address = ?", _key(address)):
            for table, column in (("rows", "collection"), ("projections", "collection"), ("collections", "number")):
                self._connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (number,))  # noqa: S608
            self._drop_unused_files()

    def _number(self, address: Address) -> int:
        numbers = self._select("SELECT number FROM collections WHERE address = ?", _key(address))
        if not numbers:
            self.facts(address)  # raises the error that says so
        return int(numbers[0][0])

    def _select(self, query: str, *values: object) -> list[Any]:
        with self._guarded():
            return self._connection.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:  # sqlite quotes what is damaged, whatever bytes it is
            raise self._damaged(error) from None
        except (sqlite3.Error, OSError) as error:
            if type(error) is sqlite3.DatabaseError:  # its subclasses mean locked, full or read-only
                raise self._damaged(error) from None
            raise LightmigrateError(
                f"{self.path} cannot be used ({error}); make it readable and writable, and end what locks it"
            ) from None

    def _damaged(self, error: Exception) -> LightmigrateError:
        return LightmigrateError(
            f"{self.path} is damaged ({type(error).__name__}): restore a copy of it, or move it away; the "
            "collection is whole and serves, but without this file it cannot be refined"
        )


def _key(address: Address) -> str:
    return json.dumps(astuple(address))
