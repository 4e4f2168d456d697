"""Where each row's vector comes from: mapped, mapped with the first words read, or embedded by the new model.

Kept in a file of the database's folder, or among this user's files for a server; never in the users' metadata. A row
that is not listed was written by the application, with the new model: exact. With every listed row stands the vector
it had in the old space, so that better maps can be made of the rows that are exact by now, and used on the others.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.calibration.texts import TextsFile
from lightmigrate.errors import LightmigrateError, ProjectionError
from lightmigrate.migration.folder.location import PROVENANCE_FILE
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.vectors import Vectors
from lightmigrate.results import read_as
from lightmigrate.stores.base import Address

# Old vectors are kept at half the size: what that rounds off is far below what any map knows.
_KEPT = np.dtype("<f2")

FORMAT_VERSION = 1

_TABLES = """
    CREATE TABLE IF NOT EXISTS collections (number INTEGER PRIMARY KEY, address TEXT UNIQUE, facts TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS rows (
        collection INTEGER NOT NULL, id TEXT NOT NULL, kind INTEGER NOT NULL, taught INTEGER NOT NULL DEFAULT 0,
        marks BLOB NOT NULL, source BLOB NOT NULL, PRIMARY KEY (collection, id)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS maps (
        collection INTEGER NOT NULL, version INTEGER NOT NULL, file BLOB NOT NULL, PRIMARY KEY (collection, version)
    );
"""


class Kind(IntEnum):
    """Where a vector comes from."""

    MAPPED = 0
    ABRIDGED = 1
    EXACT = 2


@dataclass(frozen=True)
class Row:
    """One row as it was migrated.

    Attributes:
        id: of the record.
        kind: where its vector comes from.
        source: the old vector, `(d_old,)`.
        marks: of the vectors a map has given it; see `marks`.
        taught: whether the newest map was fitted to it.
    """

    id: str
    kind: Kind
    source: Vectors
    marks: bytes
    taught: bool = False


class Provenance:
    """The file, opened; use it as a context.

    Args:
        path: of the file; it is made, with its folder, when it is not there.

    Raises:
        LightmigrateError: (all methods) it cannot be used, or is a newer lightmigrate's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._guarded():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
            try:
                ((version,),) = self._connection.execute("PRAGMA user_version")
                if version > FORMAT_VERSION:
                    raise LightmigrateError(
                        f"{path} is of format {version}, this lightmigrate knows {FORMAT_VERSION}: upgrade lightmigrate"
                    )
                if version < FORMAT_VERSION:
                    self._connection.executescript(f"{_TABLES} PRAGMA user_version = {FORMAT_VERSION};")
            except BaseException:
                self._connection.close()
                raise

    @classmethod
    def of(cls, place: Path) -> Provenance:
        """That of a database, which is kept in `ChromaMigrator.place`: it and a folder change places together."""
        return cls(cls.file_in(place))

    @classmethod
    def existing(cls, place: Path) -> Provenance:
        """The same, if anything was ever migrated by a plan there; writes nothing.

        Raises:
            LightmigrateError: nothing was.
        """
        if not cls.file_in(place).exists():
            raise LightmigrateError(
                f"{place}: no collection was migrated by a plan;  lightmigrate plan --target-model MODEL  makes one"
            )
        return cls.of(place)

    @staticmethod
    def file_in(place: Path) -> Path:
        """Where that file is."""
        return place / PROVENANCE_FILE

    def __enter__(self) -> Provenance:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def addresses(self) -> list[Address]:
        """The collections of which anything is known."""
        found = self._select("SELECT address FROM collections ORDER BY number")
        return [Address(*json.loads(address)) for (address,) in found]

    def knows(self, address: Address) -> bool:
        """Whether anything is known of a collection."""
        return address in self.addresses()

    def begin(self, address: Address, facts: Mapping[str, Any], projection: Projection) -> None:
        """Forget what is known of a collection and note the map that it is migrated with."""
        with self._guarded(), self._connection:
            self._forget(address)
            number = self._connection.execute(
                "INSERT INTO collections (address, facts) VALUES (?, ?)", (_key(address), json.dumps(facts))
            ).lastrowid
            self._put_map(int(number or 0), 0, projection)

    def add(self, address: Address, rows: Iterable[Row]) -> None:
        """Note rows of a collection that was begun."""
        number = self._number(address)
        with self._guarded(), self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?)",
                ((number, r.id, int(r.kind), int(r.taught), r.marks, r.source.astype(_KEPT).tobytes()) for r in rows),
            )

    def take_over(self, other: Path) -> None:
        """Take all that another such file knows, in place of what this one knows of the same collections."""
        with Provenance(other) as theirs:
            for address in theirs.addresses():
                maps = [theirs._map(address, version) for version in theirs._versions(address)]
                self.begin(address, theirs.facts(address), maps[0])
                for projection in maps[1:]:
                    self.put_map(address, projection, ())
                self.add(address, theirs.rows(address))

    def facts(self, address: Address) -> dict[str, Any]:
        """What was noted of a collection."""
        said = self._select("SELECT facts FROM collections WHERE address = ?", _key(address))
        if not said:
            raise LightmigrateError(
                f"{self.path} knows nothing of the collection {address}: only what was migrated by a plan "
                "(lightmigrate migrate --plan) can be refined"
            )
        try:
            facts = dict(json.loads(said[0][0]))
            if not {"model", "provider", "dimension", "reads_texts", "expected"} <= facts.keys():
                raise ValueError("facts are missing")
            facts["texts_file"] = read_as(TextsFile, facts.get("texts_file", {})).to_json()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._damaged(error) from None
        return facts

    def note(self, address: Address, facts: Mapping[str, Any]) -> None:
        """Add to what is noted of a collection."""
        kept = json.dumps({**self.facts(address), **facts})
        with self._guarded(), self._connection:
            self._connection.execute("UPDATE collections SET facts = ? WHERE address = ?", (kept, _key(address)))

    def counts(self, address: Address) -> dict[Kind, int]:
        """How many rows are noted of each kind, those included that were deleted since."""
        said = self._select("SELECT kind, count(*) FROM rows WHERE collection = ? GROUP BY kind", self._number(address))
        return {kind: dict(said).get(int(kind), 0) for kind in Kind}

    def rows(self, address: Address, *kinds: Kind, untaught: bool = False) -> Iterator[Row]:
        """The rows of a collection, of some kinds or all; `untaught`: only those the newest map was not fitted to."""
        wanted = [int(kind) for kind in kinds or Kind]
        marks = ",".join("?" * len(wanted))
        query = f"SELECT id, kind, source, marks, taught FROM rows WHERE collection = ? AND kind IN ({marks})"  # noqa: S608
        if untaught:
            query += " AND taught = 0"
        with self._guarded():
            for one, kind, source, marks, taught in self._connection.execute(query, (self._number(address), *wanted)):
                yield Row(one, Kind(kind), np.frombuffer(source, _KEPT).astype(np.float32), marks, bool(taught))

    def ids(self, address: Address, *kinds: Kind) -> list[str]:
        """The ids of the rows of some kinds."""
        wanted = [int(kind) for kind in kinds]
        marks = ",".join("?" * len(wanted))
        query = f"SELECT id FROM rows WHERE collection = ? AND kind IN ({marks}) ORDER BY id"  # noqa: S608
        return [one for (one,) in self._select(query, self._number(address), *wanted)]

    def some(self, address: Address, ids: Sequence[str]) -> dict[str, Row]:
        """Those of these rows that are noted, by id."""
        number, found = self._number(address), {}
        for one in ids:
            for kind, source, marks, taught in self._select(
                "SELECT kind, source, marks, taught FROM rows WHERE collection = ? AND id = ?", number, one
            ):
                found[one] = Row(one, Kind(kind), np.frombuffer(source, _KEPT).astype(np.float32), marks, bool(taught))
        return found

    def mark_exact(self, address: Address, ids: Sequence[str], marks: Sequence[bytes]) -> None:
        """These rows are embedded by the new model now, and by this they are known again."""
        number = self._number(address)
        with self._guarded(), self._connection:
            self._connection.executemany(
                "UPDATE rows SET kind = ?, marks = ? WHERE collection = ? AND id = ?",
                ((int(Kind.EXACT), mark, number, one) for one, mark in zip(ids, marks, strict=True)),
            )

    def mark(self, address: Address, ids: Sequence[str], marks: Sequence[bytes]) -> None:
        """Note by what some rows are known again."""
        number = self._number(address)
        with self._guarded(), self._connection:
            self._connection.executemany(
                "UPDATE rows SET marks = ? WHERE collection = ? AND id = ?",
                ((mark, number, one) for one, mark in zip(ids, marks, strict=True)),
            )

    def forget(self, address: Address, ids: Sequence[str]) -> None:
        """These rows were deleted, or were written by the application."""
        number = self._number(address)
        with self._guarded(), self._connection:
            self._connection.executemany(
                "DELETE FROM rows WHERE collection = ? AND id = ?", ((number, one) for one in ids)
            )

    def maps(self, address: Address) -> list[Projection]:
        """The newest map, and the one before while rows of it are left."""
        found = [self._map(address, version) for version in self._versions(address)[::-1]]
        if not found:
            raise self._damaged(LookupError())
        return found

    def put_map(self, address: Address, projection: Projection, taught: Sequence[str]) -> None:
        """A better map, and the rows it was fitted to. The one before stays until `drop_older_maps`."""
        number, version = self._number(address), max(self._versions(address)) + 1
        with self._guarded(), self._connection:
            self._put_map(number, version, projection)
            self._connection.executemany(
                "UPDATE rows SET taught = 1 WHERE collection = ? AND id = ?", ((number, one) for one in taught)
            )

    def drop_older_maps(self, address: Address) -> None:
        """No row of an older map is left."""
        number = self._number(address)
        with self._guarded(), self._connection:
            self._connection.execute(
                "DELETE FROM maps WHERE collection = ? AND version < "
                "(SELECT max(version) FROM maps WHERE collection = ?)",
                (number, number),
            )

    def _versions(self, address: Address) -> list[int]:
        said = self._select("SELECT version FROM maps WHERE collection = ? ORDER BY version", self._number(address))
        return [version for (version,) in said]

    def _map(self, address: Address, version: int) -> Projection:
        said = self._select(
            "SELECT file FROM maps WHERE collection = ? AND version = ?", self._number(address), version
        )
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "map.npz"
            file.write_bytes(said[0][0])
            try:
                return Projection.load(file)
            except ProjectionError as error:
                raise self._damaged(error) from None

    def _put_map(self, number: int, version: int, projection: Projection) -> None:
        with tempfile.TemporaryDirectory() as folder:
            content = projection.save(Path(folder) / "map.npz").read_bytes()
        self._connection.execute("INSERT INTO maps VALUES (?, ?, ?)", (number, version, content))

    def _forget(self, address: Address) -> None:
        for (number,) in self._select("SELECT number FROM collections WHERE address = ?", _key(address)):
            for table, column in (("rows", "collection"), ("maps", "collection"), ("collections", "number")):
                self._connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (number,))  # noqa: S608

    def _number(self, address: Address) -> int:
        said = self._select("SELECT number FROM collections WHERE address = ?", _key(address))
        if not said:
            self.facts(address)  # says what is wrong
        return int(said[0][0])

    def _select(self, query: str, *values: object) -> list[Any]:
        with self._guarded():
            return self._connection.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if type(error) is sqlite3.DatabaseError:  # what is locked, full or read-only is a subclass of it
                raise self._damaged(error) from None
            raise LightmigrateError(
                f"{self.path} cannot be used ({error}); make it readable, writable and free"
            ) from None

    def _damaged(self, error: Exception) -> LightmigrateError:
        return LightmigrateError(
            f"{self.path} is damaged ({type(error).__name__}): put back a copy of it, or move it away; the collection "
            "is whole, and without it every vector counts as it is"
        )


def sources_of(rows: Sequence[Row]) -> npt.NDArray[np.float32]:
    """The old vectors of some rows, `(n, d_old)`."""
    return np.stack([row.source for row in rows])


def _key(address: Address) -> str:
    return json.dumps([address.name, address.tenant, address.database])
