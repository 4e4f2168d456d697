"""A Parquet file with other vectors: all other columns are copied as they are stored, however that is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightmigrate.errors import DamagedCollectionError, VerificationError
from lightmigrate.files import file_sha256
from lightmigrate.stores.vector_files import parquet_rewrite
from lightmigrate.stores.vector_files.blocks import read_bytes
from lightmigrate.stores.vector_files.parquet_columns import ParquetColumns
from lightmigrate.stores.vector_files.parquet_footer import Footer
from lightmigrate.stores.vector_files.parquet_rewrite import Block, rewrite_vectors
from lightmigrate.stores.vector_files.parquet_units import ParquetUnits
from lightmigrate.stores.vector_files.parquet_writer import schema_for
from lightmigrate.stores.vector_files.table import Options
from lightmigrate.stores.vector_files.thrift import read_struct, write_struct
from tests.databases import make_vectors
from tests.stores.vector_files.older_pyarrow import write_or_skip

ROWS, OLD, NEW, GROUP = 400, 6, 10, 150
MISSING = np.arange(ROWS) % 7 == 3


def table(vectors: pa.Array) -> pa.Table:
    return pa.table(
        {
            "id": [f"id {row}" for row in range(ROWS)],
            "a.b": pa.array(np.arange(ROWS) % 5),
            "vec": vectors,
            "nested": pa.array([[{"x": row, "y": None if row % 3 else "y"}] * (row % 4) for row in range(ROWS)]),
        }
    ).replace_schema_metadata({"made by": "an application"})


def column(kind: pa.DataType = pa.list_(pa.float32(), OLD), *, holes: bool = False) -> pa.Array:  # noqa: B008
    vectors = make_vectors(ROWS, OLD, 1)
    if pa.types.is_fixed_size_binary(kind) or pa.types.is_binary(kind):
        values: list[Any] = [row.tobytes() for row in vectors]
    else:
        values = list(vectors.astype(kind.value_type.to_pandas_dtype()))
    return pa.array([None if holes and MISSING[row] else value for row, value in enumerate(values)], kind)


def rewrite(path: Path, target: Path, *, vector: str = "vec", holes: bool = False) -> pq.ParquetFile:
    source, new = ParquetColumns(path, Options(vector=vector)), make_vectors(ROWS, NEW, 2)
    counts = [source.file.metadata.row_group(number).num_rows for number in range(source.file.metadata.num_row_groups)]
    present = ~MISSING if holes else np.ones(ROWS, np.bool_)

    def blocks(group: int) -> Iterator[Block]:
        start = sum(counts[:group])
        for first in range(start, start + counts[group], 64):
            rows = slice(first, min(first + 64, start + counts[group]))
            yield new[rows][present[rows]], present[rows]

    rewrite_vectors(source, target, schema_for(source, NEW), NEW, blocks)
    file = pq.ParquetFile(target)
    stored = ParquetColumns(target, Options(vector=vector))
    read = [stored.vectors_in(batch.column(0)) for batch in stored.batches(33, columns=[vector])]
    expected = new[present].astype(stored.number_type).astype(np.float32)
    assert np.array_equal(np.concatenate([vectors for vectors, _ in read]), expected)
    assert np.array_equal(np.concatenate([there for _, there in read]), present)
    assert file.read().drop([vector]).equals(pq.read_table(path).drop([vector]))
    assert file.metadata.num_row_groups == len(counts)
    return file


def chunks(path: Path) -> dict[tuple[int, str], bytes]:
    """The bytes of every column chunk."""
    metadata, data = pq.read_metadata(path), path.read_bytes()
    found = {}
    for number in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            chunk = metadata.row_group(number).column(place)
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            found[number, chunk.path_in_schema] = data[start : start + chunk.total_compressed_size]
    return found


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32(), OLD),
        pa.list_(pa.float16(), OLD),
        pa.list_(pa.float64()),
        pa.large_list(pa.float32()),
        pa.list_(pa.field("item", pa.float32(), nullable=False)),
        pa.binary(4 * OLD),
        pa.binary(),
    ],
    ids=str,
)
def test_every_kind_of_column(tmp_path: Path, kind: pa.DataType, holes: bool) -> None:
    write_or_skip(table(column(kind, holes=holes)), tmp_path / "old", row_group_size=GROUP)
    file = rewrite(tmp_path / "old", tmp_path / "new", holes=holes)
    assert file.schema_arrow.metadata[b"made by"] == b"an application"
    before, after = chunks(tmp_path / "old"), chunks(tmp_path / "new")
    assert before.keys() == after.keys()
    assert {key for key in before if before[key] != after[key]} == {key for key in before if key[1].startswith("vec")}


@pytest.mark.parametrize(
    "how",
    [
        *({"compression": codec} for codec in ("none", "snappy", "gzip", "brotli", "lz4", "zstd")),
        {"data_page_version": "2.0"},
        {"version": "1.0", "store_schema": False},
        {"write_page_index": True, "write_page_checksum": True},
        {"use_byte_stream_split": ["vec.list.element"], "use_dictionary": False},
        {"column_encoding": {"a.b": "DELTA_BINARY_PACKED"}, "use_dictionary": False},
        {"bloom_filter_options": {"id": True}},
    ],
    ids=str,
)
def test_however_it_was_written(tmp_path: Path, how: dict[str, Any]) -> None:
    write_or_skip(table(column()), tmp_path / "old", row_group_size=GROUP, **how)
    file = rewrite(tmp_path / "old", tmp_path / "new")
    old = pq.read_metadata(tmp_path / "old")
    for number in range(old.num_row_groups):
        for place in range(old.num_columns):
            before, after = old.row_group(number).column(place), file.metadata.row_group(number).column(place)
            assert before.compression == after.compression
            if not before.path_in_schema.startswith("vec"):
                for name in ("has_offset_index", "has_column_index", "encodings", "statistics"):
                    assert getattr(before, name) == getattr(after, name), name
            elif "use_byte_stream_split" in how:
                assert "BYTE_STREAM_SPLIT" in after.encodings
    # filters use the statistics, the filters and the indexes that were copied
    found = pq.read_table(tmp_path / "new", filters=[("id", "==", "id 333")])
    assert found.column("id").to_pylist() == ["id 333"]


def test_bytes_that_are_stored_in_streams(tmp_path: Path) -> None:
    how: Any = {"use_byte_stream_split": ["vec"], "use_dictionary": False}
    write_or_skip(table(column(pa.binary(4 * OLD), holes=True)), tmp_path / "old", row_group_size=GROUP, **how)
    file = rewrite(tmp_path / "old", tmp_path / "new", holes=True)
    assert "BYTE_STREAM_SPLIT" in file.metadata.row_group(0).column(2).encodings


def test_empty_row_groups_large_pages_and_no_rows(tmp_path: Path) -> None:
    with pq.ParquetWriter(tmp_path / "old", table(column()).schema) as writer:
        for rows in (table(column()).slice(0, 0), table(column()), table(column()).slice(0, 0)):
            writer.write_table(rows)
    rewrite(tmp_path / "old", tmp_path / "new")
    pq.write_table(table(column()).slice(0, 0), tmp_path / "empty")
    source = ParquetColumns(tmp_path / "empty", Options())
    none = np.zeros((0, NEW), np.float32), np.zeros(0, np.bool_)
    rewrite_vectors(source, tmp_path / "none", schema_for(source, NEW), NEW, lambda group: iter([none]))
    assert pq.read_table(tmp_path / "none").schema.field("vec").type.list_size == NEW


@pytest.mark.parametrize("holes", [False, True])
def test_a_file_is_converted_as_a_unit(tmp_path: Path, holes: bool) -> None:
    write_or_skip(table(column(holes=holes)), tmp_path / "old", row_group_size=GROUP)
    units = ParquetUnits(Options(vector="vec"))
    converted = units.convert(tmp_path / "old", tmp_path / "new", 4, lambda page: page.vectors[:, :4], texts=True)
    old, new = pq.read_table(tmp_path / "old"), pq.read_table(tmp_path / "new")
    assert converted.sha256 == file_sha256(tmp_path / "new")
    assert converted.vectors == len(new["vec"].drop_null())
    assert new["vec"].to_pylist() == [None if each is None else each[:4] for each in old["vec"].to_pylist()]
    # what everybody will read is looked at, too
    with pytest.raises(VerificationError, match="not read back"):
        units._require_readable(
            ParquetColumns(tmp_path / "old", Options()), tmp_path / "new", {0: make_vectors(64, 4, 1)}
        )


def test_what_is_read_back_otherwise_is_not_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(table(column()), tmp_path / "old", row_group_size=GROUP)
    real = read_bytes
    calls = 0

    def damaged(descriptor: int, start: int, size: int) -> bytes:
        nonlocal calls
        calls += 1
        data = real(descriptor, start, size)
        return data if calls != wrong else data[:-1] + bytes([data[-1] ^ 1])

    seen = set()
    for wrong in range(1, 200):
        calls = 0
        monkeypatch.setattr(parquet_rewrite, "read_bytes", damaged)
        try:
            rewrite(tmp_path / "old", tmp_path / "new")
        except VerificationError as error:
            seen.add("vectors" if "the new vectors" in str(error) else "others")
        except (DamagedCollectionError, pa.ArrowException, OSError, AssertionError):
            seen.add("source")  # the bytes that were copied were read wrongly
        if calls < wrong:
            break
    assert seen >= {"vectors", "others"}


def test_rubbish_in_a_footer_is_an_error_and_nothing_else(tmp_path: Path) -> None:
    pq.write_table(table(column()), tmp_path / "old", row_group_size=GROUP)
    data = (tmp_path / "old").read_bytes()
    length = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - length : -8]
    assert write_struct(read_struct(footer)[0]) == footer
    drawn = random.Random(5)
    for _ in range(3_000):
        changed = bytearray(footer[: drawn.randrange(1, length + 1)])
        for _ in range(drawn.randrange(1, 4)):
            changed[drawn.randrange(len(changed))] = drawn.randrange(256)
        try:
            read = Footer(read_struct(bytes(changed))[0])
            read.leaf("vec")
        except ValueError:
            pass
