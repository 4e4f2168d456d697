"""Tables in Lance's first file format, which older versions of LanceDB wrote, are migrated like others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lance
import lancedb
import numpy as np
import pyarrow as pa
import pytest
from lancedb.index import IvfPq

from lightmigrate import Migrator
from lightmigrate.errors import RefusedError
from lightmigrate.stores.lance.fragments import LanceFragments
from lightmigrate.stores.lance.store import LanceStore
from tests.databases import NEW_DIM, make_projection, make_vectors
from tests.stores.lance.folders import opened, rows, stored

ROWS = 60


def legacy(folder: Path, count: int = ROWS) -> Any:
    """A table in several files of the first format, from which a column was dropped."""
    read = lancedb.connect(folder / "aside").create_table("docs", rows(max(1, count))).to_arrow().slice(0, count)
    read = read.append_column("dropped", pa.array(["x"] * count, pa.string()))
    path = folder / "docs.lance"
    written = lance.write_dataset(read, path, data_storage_version="legacy", max_rows_per_file=25)
    assert written.data_storage_version == "0.1"
    written.drop_columns(["dropped"])
    return lancedb.connect(folder).open_table("docs")


def test_a_table_in_the_first_format_is_migrated_and_rolled_back(tmp_path: Path) -> None:
    table = legacy(tmp_path)
    table.delete("id = 'id-5'")
    before = table.to_arrow().drop(["vector"])
    migrator = Migrator(tmp_path)
    projection = make_projection()
    assert migrator.migrate_collection("docs", projection).n_migrated == ROWS - 1
    vectors = stored(table)
    kept = [row for row in range(ROWS) if row != 5]
    expected = projection.apply(make_vectors(ROWS)[kept])
    assert np.allclose(np.stack(list(vectors.values())), expected, atol=1e-6)
    assert table.to_arrow().drop(["vector"]).select(before.schema.names).equals(before)
    table.add(rows(3, start=ROWS, dimension=NEW_DIM))
    table.delete("id = 'id-7'")
    assert Migrator(tmp_path).rollback(written="carry").carried
    vectors = stored(table)
    assert len(vectors) == ROWS + 1
    assert vectors["id-9"].tobytes() == make_vectors(ROWS)[9].tobytes()


def test_an_index_of_a_table_in_the_first_format_is_built_anew(tmp_path: Path) -> None:
    table = legacy(tmp_path, 300)
    table.create_index("vector", config=IvfPq(distance_type="cosine", num_partitions=2, num_sub_vectors=4))
    Migrator(tmp_path).migrate_collection("docs", make_projection())
    table.checkout_latest()
    assert {index.name for index in table.list_indices()} == {"vector_idx"}
    assert len(table.search(np.ones(NEW_DIM, np.float32)).limit(3).to_list()) == 3


def test_what_is_written_while_a_table_in_the_first_format_is_migrated_is_migrated_too(tmp_path: Path) -> None:
    table = legacy(tmp_path)
    with LanceStore(tmp_path) as store:
        live = opened(store)
        version = store.create_version(live, "k1", NEW_DIM, None)
        for page in live.scan(100):
            version.add(page.with_vectors(np.ones((len(page), NEW_DIM), np.float32)))
        written = False

        def settle() -> None:
            nonlocal written
            if not written:
                written = True
                table.add(rows(1, start=ROWS))
            late = live.records([f"id-{ROWS}"])
            version.put(late.with_vectors(np.full((len(late), NEW_DIM), 2, np.float32)))

        store.exchange(version, live, "20260101_120000", settle=settle)
    vectors = stored(table)
    assert len(vectors) == ROWS + 1
    assert set(vectors[f"id-{ROWS}"].tolist()) == {2.0}
    assert {vectors[f"id-{row}"].tobytes() for row in range(ROWS)} == {np.ones(NEW_DIM, np.float32).tobytes()}


def test_an_empty_table_in_the_first_format_is_migrated(tmp_path: Path) -> None:
    table = legacy(tmp_path, 0)
    with LanceStore(tmp_path) as store:
        live = opened(store)
        store.exchange(store.create_version(live, "k1", NEW_DIM, None), live, "20260101_120000")
    table.checkout_latest()
    table.add(rows(2, dimension=NEW_DIM))
    assert {len(vector) for vector in stored(table).values()} == {NEW_DIM}


def test_workers_refuse_a_table_in_the_first_format_before_they_write(tmp_path: Path) -> None:
    legacy(tmp_path)
    with pytest.raises(RefusedError, match=r"version 0\.1 of Lance's files.*leave out --workers"):
        LanceFragments(tmp_path / "docs.lance")
