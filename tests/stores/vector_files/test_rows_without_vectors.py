"""Rows of a Parquet file without a vector are no records, and stay in the file whatever is done to the records."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightmigrate import Migrator, Model, Projection
from lightmigrate.errors import DatabaseChangedError, LightmigrateError
from lightmigrate.stores.base import Address, Page
from tests.stores.vector_files.moving import KEY, moved, opened, some, turned
from tests.stores.vector_files.older_pyarrow import write_or_skip

ROWS, OLD, NEW = 60, 8, 12
EMPTY = frozenset({0, 1, 17, 18, ROWS - 1})
SECOND = datetime.timedelta(seconds=1)


def table(ids: list[str], empty: frozenset[int], kind: Any = None) -> pa.Table:
    vectors = [None if row in empty else vector for row, vector in enumerate(some(len(ids), OLD).tolist())]
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    return pa.table(
        {
            "id": ids,
            "vec": pa.array(vectors, kind or pa.list_(pa.float32(), OLD)),
            "text": [f"text of {record}" for record in ids],
            "at": pa.array([start + row * SECOND for row in range(len(ids))], pa.timestamp("ns", "UTC")),
            "map": pa.array([[("k", row)] for row in range(len(ids))], pa.map_(pa.string(), pa.int64())),
        }
    )


def names(count: int = ROWS) -> list[str]:
    return [f"n{row}" for row in range(count)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file in which some rows have no vector."""
    write_or_skip(table(names(), EMPTY), tmp_path / "docs.parquet", row_group_size=25)
    return tmp_path / "docs.parquet"


def without_vectors(path: Path) -> pa.Table:
    read = pq.read_table(path)
    return read.filter(read["vec"].is_null()).drop(["vec"])


def replaced(path: Path, written: pa.Table) -> None:
    """Replace a file as most applications do."""
    pq.write_table(written, path.with_name("aside"), row_group_size=25)
    path.with_name("aside").replace(path)


def test_rows_without_a_vector_that_come_after_the_new_file_was_written_are_in_it(path: Path) -> None:
    store = opened(path)
    live = store.collection(Address("docs"))
    version = store.create_version(live, "k", NEW, None)
    for page in live.scan(100):
        version.add(page.with_vectors(turned(page.vectors, NEW)))
    version.nearest(some(1, NEW), 3)  # as the verification does: the new file is written
    later = table(names(ROWS + 4), EMPTY | set(range(ROWS, ROWS + 4)))
    replaced(path, later)
    assert len(list(live.ids())) == ROWS - len(EMPTY)  # as the last pass does: no record differs
    store.exchange(version, live, KEY)
    now = pq.read_table(path)
    assert now.drop(["vec"]).equals(later.drop(["vec"]))
    assert now["vec"].is_null().to_pylist() == later["vec"].is_null().to_pylist()


def test_a_record_that_comes_after_the_last_reading_is_not_taken_for_one_that_is_gone(path: Path) -> None:
    store = opened(path)
    live = store.collection(Address("docs"))
    version = store.create_version(live, "k", NEW, None)
    for page in live.scan(100):
        version.add(page.with_vectors(turned(page.vectors, NEW)))
    replaced(path, table(names(ROWS + 1), EMPTY))
    before = path.read_bytes()
    version.nearest(some(1, NEW), 3)  # writes the new file from what nobody has compared it with
    with pytest.raises(DatabaseChangedError, match="after it was last read"):
        store.exchange(version, live, KEY)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["fixed", "list", "tensor", "bytes"])
def test_writing_other_records_keeps_rows_without_a_vector_where_they_are(path: Path, kind: str) -> None:
    kinds = {
        "fixed": pa.list_(pa.float32(), OLD),
        "list": pa.list_(pa.float32()),
        "tensor": pa.fixed_shape_tensor(pa.float32(), [OLD]),
        "bytes": pa.binary(),
    }
    written = table(names(), EMPTY)
    if kind in ("tensor", "bytes"):
        vectors = written["vec"].to_pylist()
        stored = [None if each is None else np.asarray(each, np.float32).tobytes() for each in vectors]
        column = pa.array(stored, pa.binary())
        if kind == "tensor":
            column = pa.ExtensionArray.from_storage(kinds[kind], pa.array(vectors, kinds["fixed"]))
        written = written.set_column(1, pa.field("embedding", column.type), column).rename_columns(
            ["id", "embedding", "text", "at", "map"]
        )
    else:
        written = written.set_column(1, "embedding", pa.array(written["vec"].to_pylist(), kinds[kind]))
    pq.write_table(written, path, row_group_size=25)
    address = f"file://{path}?vector=embedding" + ("&numbers=float32" if kind == "bytes" else "")
    live = opened(address).collection(Address("docs"))
    live.remove(["n3", "n16"])
    live.add(Page(["late"], some(1, OLD), ["a late text"], [None]))
    now = pq.read_table(path)
    assert [record for record in now["id"].to_pylist() if record != "late"] == [
        record for record in names() if record not in ("n3", "n16")
    ]
    assert now.schema.field("embedding").type == pq.read_schema(path).field("embedding").type
    empty = now.filter(now["embedding"].is_null())
    assert empty.drop(["embedding"]).equals(written.filter(written["embedding"].is_null()).drop(["embedding"]))


def test_a_rollback_that_carries_what_was_written_keeps_rows_without_a_vector(path: Path) -> None:
    before = without_vectors(path)
    forth = Projection.affine(some(OLD, NEW), some(1, NEW)[0], source=Model("a", OLD), target=Model("b", NEW))
    Migrator(path).migrate_collection("docs", forth)
    live = opened(path).collection(Address("docs"))
    live.remove(["n5"])
    live.add(Page(["late"], some(1, NEW), ["a late text"], [None]))
    assert without_vectors(path).equals(before)
    done = Migrator(path).rollback(written="carry")
    assert done.carried
    assert without_vectors(path).equals(before)


@pytest.mark.parametrize("of_other_types", [False, True])
def test_a_rollback_that_carries_takes_the_newest_rows_without_a_vector(path: Path, of_other_types: bool) -> None:
    forth = Projection.affine(some(OLD, NEW), some(1, NEW)[0], source=Model("a", OLD), target=Model("b", NEW))
    Migrator(path).migrate_collection("docs", forth)
    now = pq.read_table(path)
    vectors = now["vec"].to_pylist()
    vectors[5] = None  # a record that has none any more
    now = now.set_column(1, now.schema.field("vec"), pa.array(vectors, now.schema.field("vec").type))
    added = table([f"n{ROWS + row}" for row in range(3)], frozenset(range(3)), now.schema.field("vec").type)
    now = pa.concat_tables([now, added.cast(now.schema)])
    if of_other_types:
        now = now.set_column(2, "text", now["text"].cast(pa.large_string()))
    replaced(path, now)
    assert Migrator(path).rollback(written="carry").carried
    back = pq.read_table(path)
    assert back["id"].to_pylist() == names(ROWS + 3)
    assert [row for row, null in enumerate(back["vec"].is_null().to_pylist()) if null] == sorted(
        {*EMPTY, 5, ROWS, ROWS + 1, ROWS + 2}
    )
    assert back["text"].to_pylist() == now["text"].to_pylist()
    assert back.schema.field("text").type == pa.string()


def test_rows_without_a_vector_that_do_not_fit_the_backup_are_said_and_nothing_is_changed(path: Path) -> None:
    forth = Projection.affine(some(OLD, NEW), some(1, NEW)[0], source=Model("a", OLD), target=Model("b", NEW))
    Migrator(path).migrate_collection("docs", forth)
    now = pq.read_table(path)
    wider = now.append_column("more", pa.nulls(ROWS, pa.string()))
    replaced(path, wider.filter(pa.array([record != "n5" for record in names()])))
    before = path.read_bytes()
    with pytest.raises(LightmigrateError, match=r"5 rows of docs\.parquet .* 5 columns where it has 6"):
        Migrator(path).rollback(written="carry")
    assert path.read_bytes() == before


def test_a_row_that_got_its_vector_later_is_not_written_twice(path: Path) -> None:
    live = opened(path).collection(Address("docs"))
    live.add(Page(["n17"], some(1, OLD), ["now with a vector"], [None]))
    ids = pq.read_table(path)["id"].to_pylist()
    assert sorted(ids) == sorted(names())


def test_a_file_without_any_vector_left_keeps_its_rows(path: Path) -> None:
    store = opened(path)
    moved(store, "docs", NEW)
    live = store.collection(Address("docs"))
    before = without_vectors(path)
    live.remove(list(live.ids()))
    assert without_vectors(path).equals(before)
    assert pq.read_metadata(path).num_rows == len(EMPTY)


def test_a_file_of_nothing_but_vectors_keeps_its_rows_without_one(path: Path) -> None:
    pq.write_table(table(names(), EMPTY).select(["vec"]), path, row_group_size=25)
    live = opened(path).collection(Address("docs"))
    live.add(Page([str(ROWS - len(EMPTY))], some(1, OLD), [None], [None]))
    now = pq.read_table(path)["vec"].is_null().to_pylist()
    assert (len(now), sum(now)) == (ROWS + 1, len(EMPTY))
    assert [row for row, null in enumerate(now) if null][:4] == sorted(EMPTY)[:4]


def test_a_new_collection_gets_no_rows_of_the_one_it_is_made_like(path: Path) -> None:
    store = opened(path.parent)
    live = store.collection(Address("docs"))
    store.create(Address("other"), live, NEW, None)
    assert pq.read_metadata(path.with_name("other.parquet")).num_rows == 0
