"""Receive collections of other stores: a new table with the columns id, text, vector and metadata.

A table of Lance has the same columns in every row, and records of other stores need not, so `metadata` holds JSON text.
The table is filled in lightmigrate's own folder, which LanceDB does not list, and moved from there.
"""

from __future__ import annotations

import abc
import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa

from lightmigrate.errors import LightmigrateError
from lightmigrate.files import sync_tree
from lightmigrate.stores.base import Address, Collection, Payload
from lightmigrate.stores.lance.collection import LanceCollection
from lightmigrate.stores.lance.indexes import IndexSpec, create_index
from lightmigrate.stores.lance.table import SUFFIX, Table
from lightmigrate.stores.receive import TEXT_COLUMN, Fields, as_text
from lightmigrate.system import rename, sync_folder
from lightmigrate.vectors import Metric

# Tables of this prefix are being filled.
INCOMING = "lightmigrate-incoming-"

_VECTOR = "vector"

# In the metadata of the table's schema: what it is filled with.
_DESCRIPTION = b"lightmigrate-incoming"

# An index of lists that are compared exactly; rows in a list, and the fewest rows of a table that is worth one.
_ROWS_IN_LIST, _FEWEST_ROWS = 4096, 256


class LanceReceiver(abc.ABC):
    """See `stores.receive.Receiver`."""

    _path: Path
    _work: Path
    _single: bool

    def new_id(self, record: str) -> str:
        """The same: any text."""
        return record

    def payload(self, record: str, fields: Fields) -> Payload | None:
        """All fields as JSON text in the column `metadata`."""
        return as_text(fields)

    def incoming(self, address: Address, dimension: int, distance: Metric) -> Collection | None:
        """The table that an interrupted run has filled; only reads."""
        table = self._incoming(address)
        if not (table.path / "_versions").is_dir():
            return None
        described = (table.latest().schema.metadata or {}).get(_DESCRIPTION)
        return _opened(table) if described == _description(dimension, distance) else None

    def create_incoming(
        self, address: Address, dimension: int, distance: Metric, model: Mapping[str, Any] | None
    ) -> Collection:
        """Create the table, without its index. Writes."""
        if self._single:
            raise LightmigrateError(f"{self} is one table: give the folder of the tables to create another one there")
        if "/" in address.name or address.name.startswith("."):
            raise LightmigrateError(f"a table of Lance is a folder, and {address} is no name of one: rename it first")
        table = self._incoming(address)
        shutil.rmtree(table.path, ignore_errors=True)
        table.path.parent.mkdir(parents=True, exist_ok=True)
        columns = [
            pa.field("id", pa.string(), nullable=False), pa.field("text", pa.string()),
            pa.field(_VECTOR, pa.list_(pa.float32(), dimension)), pa.field(TEXT_COLUMN, pa.string()),
        ]  # fmt: skip
        schema = pa.schema(columns, {_DESCRIPTION: _description(dimension, distance)})
        lance.write_dataset(schema.empty_table(), table.path)
        return _opened(table)

    def complete(self, incoming: Collection) -> Collection:
        """Build the index, which states the distance. Writes."""
        assert isinstance(incoming, LanceCollection)  # noqa: S101  # its own kind only
        table, dataset = incoming.table, incoming.table.latest()
        distance = (dataset.schema.metadata or {})[_DESCRIPTION].decode().split()[1]
        rows = dataset.count_rows()
        if rows and not incoming.indexes():
            metric: Metric = "l2" if distance == "l2" else "ip" if distance == "ip" else "cosine"
            kind = IndexSpec(
                name="vector_idx", kind="IVF_FLAT", metric=metric, partitions=max(1, rows // _ROWS_IN_LIST), bits=None,
                values_each=None, connections=None, construction=None,
            )  # fmt: skip
            create_index(dataset, _VECTOR, kind)
        return _opened(table)

    def publish(self, incoming: Collection, address: Address) -> None:
        """Move the folder of the table, in one step. Writes.

        Raises:
            LightmigrateError: there is a table of that name meanwhile.
        """
        assert isinstance(incoming, LanceCollection)  # noqa: S101  # its own kind only
        source, target = incoming.table.path, self._path / f"{address.name}{SUFFIX}"
        if target.exists():
            raise LightmigrateError(f"there is a table {address.name} in {self} by now: rename one of the two")
        sync_tree(source)
        rename(source, target)
        sync_folder(target.parent)

    def _incoming(self, address: Address) -> Table:
        name = INCOMING + hashlib.sha256(address.name.encode()).hexdigest()[:16]
        return Table(self._work / f"{name}{SUFFIX}")


def _opened(table: Table) -> LanceCollection:
    return LanceCollection(table, Address(table.name), _VECTOR)


def _description(dimension: int, distance: Metric) -> bytes:
    return f"{dimension} {distance}".encode()
