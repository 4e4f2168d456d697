"""Only the vectors of a Parquet file change: other columns, order, metadata, compression and row groups stay."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightmigrate.errors import DamagedCollectionError, DatabaseError, LightmigrateError
from lightmigrate.stores.base import Address
from lightmigrate.stores.vector_files.arrow_values import from_json, to_json
from tests.stores.vector_files.moving import LATER, moved, opened, some, turned
from tests.stores.vector_files.older_pyarrow import write_or_skip

ROWS, OLD, NEW = 250, 16, 24


def vector_column(kind: str, vectors: Any) -> Any:
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    if kind == "tensor":
        return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(vectors))
    kinds = {
        "fixed": fixed.type,
        "list": pa.list_(pa.float32()),
        "large": pa.large_list(pa.float32()),
        "double": pa.list_(pa.float64()),
    }
    return fixed.cast(kinds[kind])


def write(path: Path, kind: str = "fixed", **columns: Any) -> pa.Table:
    data = {
        "title": [f"title {row % 7}" for row in range(ROWS)],
        "id": [f"id{(row * 37) % ROWS}" for row in range(ROWS)],
        "vec": vector_column(kind, some(ROWS, OLD)),
        "text": [None if row % 5 == 0 else f"text {row}" for row in range(ROWS)],
        "at": pa.array(
            [datetime.datetime(2026, 1, 1, 0, 0, row % 60) for row in range(ROWS)], pa.timestamp("ns", "UTC")
        ),
        "map": pa.array([[("k", row)] if row % 2 else None for row in range(ROWS)], pa.map_(pa.string(), pa.int64())),
        **columns,
    }
    features = {"info": {"features": {"vec": {"feature": {"dtype": "float32"}, "length": OLD, "_type": "Sequence"}}}}
    metadata = {"made by": "an application", "huggingface": json.dumps(features)}
    table = pa.table(data).replace_schema_metadata(metadata)
    write_or_skip(table, path, row_group_size=100, compression="zstd")
    return table


@pytest.mark.parametrize("kind", ["fixed", "list", "large", "double", "tensor"])
def test_everything_else_in_the_file_stays(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "docs.parquet"
    old = write(path, kind)
    before = path.read_bytes()
    store = opened(path)
    assert store.collection(Address("docs")).facts().dimension == OLD
    backup = moved(store, "docs", NEW)
    new, file = pq.read_table(path), pq.ParquetFile(path)
    assert new.drop(["vec"]).equals(old.drop(["vec"]))
    assert new.schema.names == old.schema.names
    assert new.schema.metadata[b"made by"] == b"an application"
    described = json.loads(new.schema.metadata[b"huggingface"])["info"]["features"]["vec"]
    assert described["length"] == (NEW if kind in ("fixed", "tensor", "list", "large", "double") else OLD)
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [100, 100, 50]
    assert {group.column(place).compression for group in groups for place in range(group.num_columns)} == {"ZSTD"}
    flat = np.stack([np.asarray(vector, np.float32) for vector in new["vec"].to_pylist()])
    assert flat.tobytes() == turned(some(ROWS, OLD), NEW).tobytes()
    value = {
        "fixed": pa.list_(pa.field("element", pa.float32()), NEW),
        "tensor": pa.fixed_shape_tensor(pa.float32(), [NEW]),
    }
    expected = value.get(kind, old.schema.field("vec").type)
    assert new.schema.field("vec").type == expected or kind == "fixed"
    store.restore(backup, LATER)
    assert path.read_bytes() == before


def test_rows_without_a_vector_stay_without_one(tmp_path: Path) -> None:
    path = tmp_path / "docs.parquet"
    full = some(ROWS, OLD)
    holed = [None if row % 10 == 3 else vector for row, vector in enumerate(full.tolist())]
    old = write(path, vec=pa.array(holed, pa.list_(pa.float32(), OLD)))
    store = opened(path)
    assert store.collection(Address("docs")).count() == ROWS - ROWS // 10
    moved(store, "docs", NEW)
    new = pq.read_table(path)
    assert new["vec"].is_null().to_pylist() == [vector is None for vector in holed]
    assert new["id"].equals(old["id"])
    kept = np.array([row for row, vector in enumerate(holed) if vector is not None])
    flat = np.array(new["vec"].drop_null().to_pylist(), np.float32)
    assert flat.tobytes() == turned(full[kept], NEW).tobytes()


def test_the_columns_of_vectors_ids_and_texts_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "docs.parquet"
    write(path, other=vector_column("list", some(ROWS, 4)), number=list(range(ROWS)))
    with pytest.raises(DamagedCollectionError, match=rf"2 columns of vectors \(vec, other\).*file://{path}\?vector="):
        opened(path).collection(Address("docs")).count()
    collection = opened(f"file://{path}?vector=vec&id=number&text=title").collection(Address("docs"))
    assert collection.records(["3"]).texts == ["title 3"]
    with pytest.raises(DamagedCollectionError, match="column title has 7 different ids for 250 records"):
        opened(f"file://{path}?vector=vec&id=title").collection(Address("docs")).count()
    with pytest.raises(DatabaseError, match="no option column"):
        opened(f"file://{path}?column=vec")


def test_ids_that_occur_twice_are_row_numbers(tmp_path: Path) -> None:
    path = tmp_path / "docs.parquet"
    write(path, id=["same"] * ROWS)
    store = opened(path)
    collection = store.collection(Address("docs"))
    assert list(collection.ids()) == [str(row) for row in range(ROWS)]
    with pytest.raises(LightmigrateError, match="known by their number"):
        collection.remove(["3"])
    moved(store, "docs", NEW)
    assert pq.read_table(path)["id"].to_pylist() == ["same"] * ROWS


def test_vectors_of_several_lengths_and_files_that_are_none_are_said(tmp_path: Path) -> None:
    ragged = pa.array([[1.0] * (OLD + (row == 5)) for row in range(ROWS)], pa.list_(pa.float32()))
    write(tmp_path / "ragged.parquet", vec=ragged)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "none.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no PAR1")
    store = opened(tmp_path)
    damaged = store.damaged([Address(name) for name in ("ragged", "none", "broken")])
    assert "2 lengths (16, 17)" in damaged[Address("ragged")]
    assert "0 columns of vectors" in damaged[Address("none")]
    assert "cannot be read as Parquet" in damaged[Address("broken")]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, -(2**63)], pa.int64()),
        ([0.1, None, float("inf"), float("-inf")], pa.float64()),
        ([decimal.Decimal("1.50"), None], pa.decimal128(10, 2)),
        ([datetime.date(2026, 1, 1), None], pa.date32()),
        ([datetime.time(1, 2, 3), None], pa.time64("us")),
        ([datetime.timedelta(1), None], pa.duration("ms")),
        ([b"\x00\xff", None], pa.large_binary()),
        (["a", None, "a"], pa.dictionary(pa.int8(), pa.string())),
        ([{"a": [1.5, None], "b": None}, None], pa.struct([("a", pa.list_(pa.float32())), ("b", pa.string())])),
        ([[("k", b"v")], None, []], pa.map_(pa.string(), pa.binary())),
        ([[b"x"], None], pa.list_(pa.binary())),
        ([None, None], pa.null()),
    ],
)
def test_values_of_every_type_come_back(values: list[Any], kind: Any) -> None:
    array = pa.array(values, kind)
    kept = json.loads(json.dumps(to_json(array), allow_nan=False))
    assert from_json(kept, kind).equals(array)
