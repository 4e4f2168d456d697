"""Convert the columns of a table to ids, vectors and JSON, and back, without loss.

| type | in a payload |
|---|---|
| boolean, integers, text | the same |
| floats | a number; `NaN`, `Infinity` and `-Infinity` as text |
| binary | base64 |
| lists, structs | lists and objects of these |
| all other types | Arrow's own text: timestamps, dates, decimals, ... |
| null | the key is absent; within lists and structs `null` |
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Payload
from lightmigrate.vectors import Vectors

_BINARY: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
)
_LISTS: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
)
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_vector(kind: pa.DataType) -> bool:
    """Whether a column holds vectors: lists of one length, of floats."""
    return bool(pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type))


def is_id(kind: pa.DataType) -> bool:
    """Whether the values of a column can be ids."""
    return is_text(kind) or bool(pa.types.is_integer(kind))


def ids_of(column: pa.Array) -> list[str]:
    """The ids in a column, as text."""
    return [str(value) for value in column.to_pylist()]


def as_ids(ids: Sequence[str], kind: pa.DataType) -> pa.Array:
    """A column of ids.

    Raises:
        LightmigrateError: an id is no number, and the column holds numbers.
    """
    if is_text(kind):
        return pa.array(ids, kind)
    numbers = [number_of(record) for record in ids]
    if None in numbers:
        raise LightmigrateError(f"an id is no number, and the table's ids are of type {kind}")
    return pa.array(numbers, kind)


def number_of(record: str) -> int | None:
    """The number that an id stands for; `None` when it is written differently than a number is."""
    try:
        number = int(record)
    except ValueError:
        return None
    return number if str(number) == record else None


def vectors_of(column: pa.FixedSizeListArray) -> Vectors:
    """The vectors `(n, d)` in a column without nulls."""
    size = column.type.list_size
    numbers = np.asarray(column.flatten(), np.float32)
    return np.ascontiguousarray(numbers.reshape(len(column), size))


def as_vectors_column(vectors: Vectors, kind: pa.DataType | None = None) -> pa.FixedSizeListArray:
    """A column of vectors `(n, d)`, float32 or of another type of floats."""
    numbers = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    if kind is None:
        return pa.FixedSizeListArray.from_arrays(numbers, vectors.shape[1])
    return pa.FixedSizeListArray.from_arrays(numbers.cast(kind.value_type), type=kind)


def payloads_of(columns: Sequence[tuple[str, pa.Array]], rows: int) -> list[Payload | None]:
    """The payloads of some rows: the values that are not null, by the name of their column."""
    encoded = [(name, encode(column)) for name, column in columns]
    return [{name: values[row] for name, values in encoded if values[row] is not None} or None for row in range(rows)]


def encode(column: pa.Array) -> list[Any]:
    """The values of a column as JSON."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return encode(column.dictionary_decode())
    if pa.types.is_floating(kind):
        numbers: list[Any] = column.to_pylist()
        finite = pc.all(pc.is_finite(column)).as_py() is not False
        return numbers if finite else [_float(value) for value in numbers]
    if _is(kind, _BINARY):
        return [None if value is None else base64.b64encode(value).decode() for value in column.to_pylist()]
    if _is(kind, _LISTS):
        return _lists(column)
    if pa.types.is_struct(kind):
        return _structs(column)
    if is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        values: list[Any] = column.to_pylist()
        return values
    texts: list[Any] = pc.cast(column, pa.string()).to_pylist()
    return texts


def _lists(column: pa.Array) -> list[Any]:
    values, start, lists = encode(column.flatten()), 0, []
    for length in pc.list_value_length(column).to_pylist():
        lists.append(None if length is None else values[start : start + length])
        start += length or 0
    return lists


def _structs(column: pa.StructArray) -> list[Any]:
    names = [field.name for field in column.type]
    fields = [encode(field) for field in column.flatten()]
    valid = column.is_valid().to_pylist()
    return [
        {name: values[row] for name, values in zip(names, fields, strict=True)} if valid[row] else None
        for row in range(len(column))
    ]


def _float(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def decode(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """A column of values as `encode` returns them."""
    if pa.types.is_dictionary(kind):
        return decode(values, kind.value_type).cast(kind)
    if _is_native(kind):
        return pa.array([_native(value, kind) for value in values], kind)
    return pa.array(values, pa.string()).cast(kind)


def _is_native(kind: pa.DataType) -> bool:
    simple = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_null, pa.types.is_struct)
    return is_text(kind) or _is(kind, (*simple, *_BINARY, *_LISTS))


def _native(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_floating(kind):
        return _NOT_FINITE[value] if isinstance(value, str) else float(value)
    if _is(kind, _BINARY):
        return base64.b64decode(value)
    if _is(kind, _LISTS):
        return [_native(each, kind.value_type) for each in value]
    if pa.types.is_struct(kind):
        return {field.name: _native(value.get(field.name), field.type) for field in kind}
    return value if _is_native(kind) else decode([value], kind)[0].as_py()


def _is(kind: pa.DataType, tests: Sequence[Callable[[pa.DataType], bool]]) -> bool:
    return any(test(kind) for test in tests)
