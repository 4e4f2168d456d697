"""A LanceDB folder, or one Lance dataset, as a `Store`: backups are older versions of a table."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa

from lightmigrate.errors import CollectionNotFoundError, DatabaseError, LightmigrateError
from lightmigrate.stores.base import (
    Address,
    Capabilities,
    Collection,
    CollectionFacts,
    Metric,
    Role,
    Version,
    WrittenRecords,
)
from lightmigrate.stores.defaults import StoreDefaults, by_age
from lightmigrate.stores.lance.building import BuildingCollection
from lightmigrate.stores.lance.changes import written_between
from lightmigrate.stores.lance.collection import LanceCollection, as_written
from lightmigrate.stores.lance.exchange import (
    SCRATCH,
    build_indexes,
    clear_scratch,
    exchange,
    missing_indexes,
    require_others_unchanged,
    restore,
)
from lightmigrate.stores.lance.flushing import Descriptions
from lightmigrate.stores.lance.history import Exchanged, carried_token, exchanges_of, forget, origin_of, tidy
from lightmigrate.stores.lance.indexes import create_index
from lightmigrate.stores.lance.receive import INCOMING, LanceReceiver
from lightmigrate.stores.lance.staged import Staged
from lightmigrate.stores.lance.table import SUFFIX, Table, require_unique
from lightmigrate.stores.lance.vector_cache import VectorCache
from lightmigrate.system import delete_folder

CAPABILITIES = Capabilities(
    atomic_exchange=True,
    holds_writers=False,
    sees_changes=True,
    ordered=True,
    stale_handles=False,
    shared_records=True,
    settles_again=True,
    whole_backups=True,
)

# The last part of the vector in the address of a version.
_MARKS = {Role.BUILDING: "lightmigrate-new-", Role.BACKUP: "lightmigrate-old-"}


class LanceStore(StoreDefaults, LanceReceiver):
    """See `stores.base.Store`.

    Args:
        path: a folder with tables `NAME.lance`, or one of these.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.expanduser().resolve()
        self._single = self._path.suffix == SUFFIX
        self._work = self._path / ".lightmigrate"
        self._tables: dict[str, Table] = {}
        self._opened: dict[Path, Staged] = {}
        self._cache = VectorCache(self._path.parent if self._single else self._path)

    @property
    def capabilities(self) -> Capabilities:
        """What it can promise."""
        return CAPABILITIES

    def unsupported(self) -> str | None:
        """Why none of its tables can be migrated: none of those with vectors has a column of ids. Only reads."""
        layouts = [table.layout(table.latest()) for table in self._all_tables()]
        without = [layout for layout in layouts if layout.vectors and not layout.has_id]
        if without and not any(layout.vectors and layout.has_id for layout in layouts):
            return (
                f"table {without[0].table} has no column of ids to tell its rows apart: add one with unique values, "
                "named id"
            )
        return None

    @property
    def folder(self) -> Path | None:
        """The folder that was opened."""
        return self._path

    def __str__(self) -> str:
        return str(self._path)

    def close(self) -> None:
        """Close the files of unfinished versions."""
        for staged in self._opened.values():
            staged.close()
        self._opened.clear()

    def collections(self) -> list[CollectionFacts]:
        """Every vector column of the tables that have ids, by name; only reads."""
        return [self._live(address).facts() for table in self._all_tables() for address in self._addresses(table)]

    def _addresses(self, table: Table) -> list[Address]:
        layout = table.layout(table.latest())
        if not layout.has_id:
            return []
        return [Address(table.name, vector=layout.vector_name(column)) for column in layout.vectors]

    def _all_tables(self) -> Iterator[Table]:
        paths = [self._path] if self._single else sorted(self._path.glob(f"*{SUFFIX}"))
        for path in paths:
            if (path / "_versions").is_dir():
                yield self._table(path.name.removesuffix(SUFFIX))

    def _table(self, name: str) -> Table:
        if name.startswith(INCOMING) and (self._work / f"{name}{SUFFIX}").is_dir():
            return Table(self._work / f"{name}{SUFFIX}")
        path = self._path if self._single else self._path / f"{name}{SUFFIX}"
        if path.parent not in (self._path, self._path.parent) or path.name != f"{name}{SUFFIX}":
            raise CollectionNotFoundError(f"no table {name} in {self}")
        if not (path / "_versions").is_dir():
            self._tables.pop(name, None)
            names = ", ".join(sorted(found.stem for found in self._path.glob(f"*{SUFFIX}"))) or "none"
            raise CollectionNotFoundError(f"no table {name} in {self}; there are: {names}")
        return self._tables.setdefault(name, Table(path))

    def collection(self, address: Address) -> Collection:
        """Open a collection or a version of one; `CollectionNotFoundError` when there is none. Only reads.

        Raises:
            DatabaseError: the table has no column of ids.
        """
        if not any(mark in address.vector for mark in _MARKS.values()):
            return self._live(address)
        for own, staged in self._building():
            if _address(own, Role.BUILDING, staged.settings["key"]) == address:
                return BuildingCollection(self._live(own), address, staged)
        for own, each in self._exchanges():
            if _address(own, Role.BACKUP, each.key) == address:
                return LanceCollection(self._table(own.name), address, each.column, each.before)
        raise CollectionNotFoundError(f"no version {address} in {self}")

    def _live(self, address: Address) -> LanceCollection:
        table = self._table(address.name)
        return LanceCollection(table, address, table.layout(table.latest()).vector(address.vector))

    def _exchanges(self) -> Iterator[tuple[Address, Exchanged]]:
        for table in self._all_tables():
            layout = table.layout(table.latest())
            for each in exchanges_of(table):
                if each.column in layout.vectors:
                    yield Address(table.name, vector=layout.vector_name(each.column)), each

    def _building(self) -> Iterator[tuple[Address, Staged]]:
        done = {each.token for _, each in self._exchanges()}
        for path in sorted(self._work.glob("*.staged"), key=lambda path: path.stat().st_mtime_ns):
            staged = self._open(path)
            own = Address(staged.settings["table"], vector=staged.settings["vector"])
            if staged.settings["token"] not in done and self._exists(own):
                yield own, staged

    def _exists(self, own: Address) -> bool:
        with contextlib.suppress(DatabaseError):
            self._live(own)
            return True
        return False

    def _open(self, path: Path) -> Staged:
        if path not in self._opened:
            self._opened[path] = Staged(path)
        return self._opened[path]

    def versions(self) -> list[Version]:
        """The versions that lightmigrate keeps, the oldest first; only reads."""
        building = [
            Version(own, Role.BUILDING, key, _address(own, Role.BUILDING, key))
            for own, staged in self._building()
            for key in [str(staged.settings["key"])]
        ]
        exchanged = {_address(own, Role.BACKUP, each.key): (own, each) for own, each in self._exchanges()}
        backups = [Version(own, Role.BACKUP, each.key, address) for address, (own, each) in exchanged.items()]
        # one migration exchanges several columns of a table, each in a version of its own
        return by_age([*building, *backups], {address: each.before for address, (_, each) in exchanged.items()})

    def fixed_distance(self, address: Address) -> str | None:
        """Why a collection's distance is not that of one index; `None` where it is. Only reads."""
        specs = self._live(address).indexes()
        if not specs:
            return f"{address} has no index, and each query chooses the distance: change the queries instead"
        if len({spec.metric for spec in specs}) > 1:
            return f"{address} has indexes of several distances: drop those that no query uses"
        return None

    def create(
        self,
        address: Address,
        like: Collection,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> LanceCollection:
        """Create an empty table with the columns and the vector indexes of another. Writes."""
        assert isinstance(like, LanceCollection)  # noqa: S101  # a store copies its own kind only
        if self._single:
            raise LightmigrateError(f"{self} is one table: open its folder to create another beside it")
        path = self._path / f"{address.name}{SUFFIX}"
        if path.exists():
            raise LightmigrateError(f"there is a table {address.name} already: choose another name")
        fields = [
            pa.field(field.name, pa.list_(pa.float32(), dimension), field.nullable)
            if field.name == like.column
            else field
            for field in like.layout.schema
        ]
        created = lance.write_dataset(pa.schema(fields, like.layout.schema.metadata).empty_table(), path)
        for spec in like.indexes():
            create_index(created, like.column, spec.by(distance))
        return self._live(address)

    def create_version(
        self,
        source: Collection,
        key: str,
        dimension: int,
        model: Mapping[str, Any] | None,
        distance: Metric | None = None,
    ) -> BuildingCollection:
        """Create an empty file for the new vectors; the table stays as it is. Writes.

        Raises:
            LightmigrateError: the version exists already, or rows of the table have the same id or none.
        """
        assert isinstance(source, LanceCollection)  # noqa: S101  # a store copies its own kind only
        own = self._own(source)
        require_unique(source.table)
        address = _address(own, Role.BUILDING, key)
        identity = hashlib.sha256(f"{own}\0{key}".encode()).hexdigest()[:16]
        path = self._work / f"{identity}.staged"
        if any(_address(of, Role.BUILDING, staged.settings["key"]) == address for of, staged in self._building()):
            raise LightmigrateError(f"{own} has a version {key} already: delete it, or give another key")
        self._opened.pop(path, None)
        token = secrets.token_hex(8)
        if source.is_backup:  # what is written to a copy of it is of its model
            token = carried_token(*origin_of(*source.made), token)
        settings = {
            "table": own.name, "vector": own.vector, "key": key, "dimension": dimension, "model": model,
            "distance": distance, "token": token,
        }  # fmt: skip
        self._opened[path] = Staged.create(path, settings)
        return BuildingCollection(self._live(own), address, self._opened[path])

    def _own(self, source: LanceCollection) -> Address:
        layout = source.table.layout(source.table.latest())
        return Address(source.table.name, vector=layout.vector_name(source.column))

    def exchange(
        self,
        incoming: Collection,
        live: Collection,
        key: str,
        *,
        function: object = None,
        settle: Callable[[], None] = lambda: None,
    ) -> int:
        """One commit replaces the column; refused and tried again when somebody wrote since `settle`. Writes."""
        assert isinstance(incoming, BuildingCollection)  # noqa: S101  # its own kind only
        assert isinstance(live, LanceCollection)  # noqa: S101
        if incoming.live.table.path != live.table.path or incoming.live.column != live.column:
            raise LightmigrateError(f"{incoming.address} is not a version of {live.address}: build one first")
        exchange(incoming, live, key, settle, self._work / SCRATCH, self._cache)
        self._opened.pop(incoming.staged.path, None)
        return 0

    def restore(self, backup: Version, key: str) -> int:
        """Make the version of the table that a backup is the newest again. Writes."""
        live, chosen = self._live(backup.own), self._exchanged(backup)
        later = [
            _address(own, Role.BACKUP, each.key)
            for own, each in self._exchanges()
            if own.name == backup.own.name and own != backup.own and each.before > chosen.before
        ]
        require_others_unchanged(live.table, chosen, later)
        restore(chosen, live, key, self._cache)
        return 0

    def _exchanged(self, backup: Version) -> Exchanged:
        for own, each in self._exchanges():
            if (own, each.key) == (backup.own, backup.key):
                return each
        raise CollectionNotFoundError(f"no backup {backup.address} in {self}")

    def written_since(self, backup: Version) -> WrittenRecords | None:
        """What was written to a collection since `backup` was replaced; only reads."""
        chosen, live = self._exchanged(backup), self._live(backup.own)
        table, column = live.table, live.column
        rest = [each for each in exchanges_of(table) if each.column == column and each.before >= chosen.before]
        latest = live.dataset
        ends = [*(table.at(each.before) for each in rest[1:]), latest]
        states: dict[str, bool] = {}
        for each, end in zip(rest, ends, strict=True):
            states.update(written_between(table.at(each.after), end, table.name, column))
        return as_written(states, str(latest.version))

    def delete(self, address: Address) -> None:
        """Delete a table, the vectors of an unfinished version, or the branches that keep a backup. Writes."""
        collection = self.collection(address)
        if isinstance(collection, BuildingCollection):
            collection.staged.discard()
            self._opened.pop(collection.staged.path, None)
            return
        assert isinstance(collection, LanceCollection)  # noqa: S101  # there is no other kind
        for own, each in self._exchanges():
            if _address(own, Role.BACKUP, each.key) == address:
                self._cache.forget(collection.table.path, each.column, each.key)
                forget(collection.table, each.key, each.token, each.column)
                return
        if len(collection.layout.vectors) > 1:
            raise LightmigrateError(f"{address} is one of several vector columns of a table: drop it in LanceDB")
        delete_folder(collection.table.path)
        self._tables.pop(address.name, None)

    def recover(self) -> str | None:
        """Complete what a crash left beside an exchange, which itself is one commit. Writes.

        Returns:
            What was done that an exchange no longer could: that indexes were built, that an application's cache was
            moved aside; `None` for nothing.
        """
        clear_scratch(self._work)
        for table in self._all_tables():
            tidy(table)
        moved = self._cache.recover()
        done = {each.token: (own, each) for own, each in self._exchanges()}
        built = 0
        for path in list(self._work.glob("*.staged")):
            token = str(self._open(path).settings["token"])
            if token in done:
                own, each = done[token]
                table, distance = self._table(own.name), self._open(path).settings["distance"]
                specs = [spec.by(distance) for spec in missing_indexes(table, each)]
                built += build_indexes(table, each.column, specs)
                Descriptions(table.path, known=False).flush()  # whoever wrote them may have been killed before that
                self._opened.pop(path).discard()
        left = [f"an exchange was interrupted before {built} indexes were built; they are now"] if built else []
        if moved:
            left.append("an exchange was interrupted before a cache was moved aside; it is now")
        return "; ".join(left) or None


def _address(own: Address, role: Role, key: str) -> Address:
    mark = f"{_MARKS[role]}{key}"
    return Address(own.name, own.tenant, own.database, f"{own.vector}.{mark}" if own.vector else mark, own.part)
