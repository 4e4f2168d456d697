"""Arrow columns as JSON values and back, without loss. Loads pyarrow."""

from __future__ import annotations

import base64
import decimal
import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as types

from lightmigrate.stores.vector_files.table import finite

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

# A value of a type that JSON has nothing for, such as a map: an Arrow stream of one value, as text. Times are numbers
# of their units, decimals are texts, bytes are base64.
_OPAQUE = "arrow"


def to_json(column: Any) -> list[Any]:
    """The values of an Arrow array as JSON values; `None` for a missing one."""
    kind = column.type
    if types.is_dictionary(kind):
        return to_json(column.cast(kind.value_type))
    if _is_plain(kind):
        return [finite(value) for value in column.to_pylist()]
    if width := _time_width(kind):
        return list(column.view(pa.int32() if width == 32 else pa.int64()).to_pylist())
    if types.is_decimal(kind):
        return [None if value is None else str(value) for value in column.to_pylist()]
    if types.is_binary(kind) or types.is_large_binary(kind):
        return [None if value is None else base64.b64encode(value).decode() for value in column.to_pylist()]
    return [_opaque(column, row) if column[row].is_valid else None for row in range(len(column))]


def from_json(values: Sequence[Any], kind: Any) -> Any:
    """An Arrow array of a type, from what `to_json` made of one.

    Raises:
        ValueError, TypeError: the values are not of the type (`pyarrow` derives its errors from these).
    """
    if types.is_dictionary(kind):
        return from_json(values, kind.value_type).dictionary_encode().cast(kind)
    if _is_plain(kind):
        return pa.array([_restored(value, kind) for value in values], kind)
    if width := _time_width(kind):
        return pa.array(values, pa.int32() if width == 32 else pa.int64()).view(kind)
    if types.is_decimal(kind):
        return pa.array([None if value is None else decimal.Decimal(value) for value in values], kind)
    if types.is_binary(kind) or types.is_large_binary(kind):
        return pa.array([None if value is None else base64.b64decode(value, validate=True) for value in values], kind)
    arrays = [_read_opaque(value, kind) if value is not None else pa.nulls(1, kind) for value in values]
    return pa.concat_arrays(arrays) if arrays else pa.array([], kind)


def _is_plain(kind: Any) -> bool:
    """Whether JSON has values for all values of a type."""
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _is_plain(kind.value_type)
    if types.is_struct(kind):
        return all(_is_plain(kind.field(number).type) for number in range(kind.num_fields))
    return bool(
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_null(kind)
    )


def _time_width(kind: Any) -> int:
    """Bits of a type that is a number of units of time; 0 for others."""
    timed = types.is_timestamp(kind) or types.is_date(kind) or types.is_time(kind) or types.is_duration(kind)
    return int(kind.bit_width) if timed else 0


def _restored(value: Any, kind: Any) -> Any:
    if isinstance(value, str) and types.is_floating(kind):
        return _NOT_FINITE[value]
    if isinstance(value, list) and not types.is_struct(kind):
        return [_restored(each, kind.value_type) for each in value]
    if isinstance(value, dict) and types.is_struct(kind):
        return {key: _restored(each, kind.field(key).type) for key, each in value.items()}
    return value


def _opaque(column: Any, row: int) -> dict[str, str]:
    batch = pa.record_batch([column.take(pa.array([row]))], names=["value"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return {_OPAQUE: base64.b64encode(sink.getvalue().to_pybytes()).decode()}


def _read_opaque(value: Any, kind: Any) -> Any:
    if not isinstance(value, dict) or set(value) != {_OPAQUE}:
        raise ValueError(f"a value is no {kind}")
    with pa.ipc.open_stream(base64.b64decode(value[_OPAQUE])) as reader:
        return reader.read_all().column(0).combine_chunks().cast(kind)
