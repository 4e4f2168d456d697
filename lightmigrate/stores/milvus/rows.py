"""Rows of Milvus as records, and back: ids, the field of the text, and all other fields as the payload.

The payload of a record is its row without id, vector and text, and without fields that are NULL. In a collection with
partitions it also holds the partition, under a name that no field of Milvus can have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymilvus import DataType

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Cursor, Page, Payload
from lightmigrate.stores.milvus.schema import DEFAULT_PARTITION, Description

# Where a record's payload holds its partition.
PARTITION = "lightmigrate:partition"

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1

_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})

Id = int | str
Row = Mapping[str, Any]


def literal(value: Id) -> str:
    """A value in an expression of Milvus."""
    return str(value) if isinstance(value, int) else f'"{value.translate(_ESCAPED)}"'


@dataclass(frozen=True)
class RowFormat:
    """How the rows of a collection are read as records, and written.

    Attributes:
        description: of the collection.
        vector: the field of the vector that is migrated.
        text: the field that holds the text.
    """

    description: Description
    vector: str
    text: str

    def id_of(self, record: str) -> Id | None:
        """The value of an id from its text; `None` when no row can have it."""
        if not self.description.has_integer_ids:
            return record
        if not _INTEGER.fullmatch(record) or not _SMALLEST <= int(record) <= _LARGEST:
            return None
        return int(record)

    def fields(self, vectors: bool) -> list[str]:
        """What to ask for: all fields, or all but the vector. Milvus fills computed fields itself."""
        skipped = self.description.computed | (set() if vectors else {self.vector})
        names = [name for name in self.description.fields if name not in skipped]
        return [*names, *self.description.dynamic_field]

    def page(self, rows: Sequence[Row], vectors: bool, partition: str = "", cursor: Cursor | None = None) -> Page:
        """Rows as records."""
        read = [self._read(row, partition) for row in rows]
        own = np.array([row[self.vector] for row in rows], np.float32) if vectors and rows else None
        return Page(
            ids=[str(row[self.description.primary]) for row in rows],
            vectors=np.zeros((len(rows), 0), np.float32) if own is None else own,
            texts=[text for text, _ in read],
            payloads=[payload for _, payload in read],
            cursor=cursor,
        )

    def _read(self, row: Row, partition: str) -> tuple[str | None, Payload | None]:
        primary, fields = self.description.primary, self.description.fields
        payload = {
            name: self._plain(name, value)
            for name, value in row.items()
            if name not in (primary, self.vector, *self.description.computed) and not (value is None and name in fields)
        }
        text = payload.pop(self.text) if isinstance(payload.get(self.text), str) else None
        if partition not in ("", DEFAULT_PARTITION):
            payload[PARTITION] = partition
        return text, payload or None

    def _plain(self, name: str, value: Any) -> Any:
        kind = self.description.fields[name]["type"] if name in self.description.fields else None
        if kind == DataType.SPARSE_FLOAT_VECTOR:
            return {str(index): float(number) for index, number in sorted(value.items())}
        if kind in (DataType.ARRAY, DataType.FLOAT_VECTOR):
            return list(value)
        return value

    def rows(self, page: Page) -> list[tuple[str, dict[str, Any]]]:
        """Records as rows, each with its partition, which is empty where the collection has none.

        Raises:
            LightmigrateError: no row can have an id, or a payload has the field of the text or one that there is not.
        """
        vectors = np.ascontiguousarray(page.vectors, np.float32)
        return [
            self._row(record, vector, text, dict(payload or {}))
            for record, vector, text, payload in zip(page.ids, vectors, page.texts, page.payloads, strict=True)
        ]

    def _row(self, record: str, vector: Any, text: str | None, fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        value = self.id_of(record)
        if value is None:
            raise LightmigrateError("an id is no integer of 64 bits, as the ids of this collection are: give such ids")
        partition = str(fields.pop(PARTITION, DEFAULT_PARTITION if self.description.divisions else ""))
        if text is not None:
            if self.text in fields:
                raise LightmigrateError(f"a payload has a field {self.text!r}, which is to hold the text: rename it")
            fields[self.text] = text
        stated = self.description.fields
        unknown = [] if self.description.dynamic else sorted(fields.keys() - stated.keys())
        if unknown:
            raise LightmigrateError(
                f"a payload has {len(unknown)} fields that the schema has not, such as {unknown[0]}"
            )
        row: dict[str, Any] = {name: value for name, value in fields.items() if name not in stated}
        for name, field in stated.items():
            if name in (self.description.primary, self.vector) or name in self.description.computed:
                continue
            if name in fields:
                _require_short(name, field, fields[name])
                row[name] = _stored(field, fields[name])
            elif field.get("nullable"):
                row[name] = None
            elif field["type"] == DataType.JSON and field.get("default_value") is None:
                row[name] = "null"
        _require_short(self.description.primary, stated[self.description.primary], value)
        row[self.description.primary] = value
        row[self.vector] = vector
        return partition, row


def _require_short(name: str, field: Mapping[str, Any], value: Any) -> None:
    """Check that a text is not longer than its field takes, in bytes, which Milvus Lite does not check everywhere."""
    longest = int(field["params"].get("max_length", 0)) if field["type"] == DataType.VARCHAR else 0
    if longest and isinstance(value, str) and (size := len(value.encode(errors="surrogatepass"))) > longest:
        raise LightmigrateError(
            f"field {name} takes texts of {longest} bytes, and one has {size}: shorten it, or split the record, first"
        )


def _stored(field: Mapping[str, Any], value: Any) -> Any:
    """A value of a payload as pymilvus takes it."""
    if field["type"] == DataType.JSON:
        return json.dumps(value)  # pymilvus takes any text for JSON
    if field["type"] == DataType.SPARSE_FLOAT_VECTOR:
        return {int(index): number for index, number in value.items()}
    return value
