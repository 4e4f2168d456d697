"""What differs between two versions of a table is found however its files changed, and not all of it is in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import pytest

from lightmigrate.stores.lance.changes import written_between
from lightmigrate.stores.lance.values import as_vectors_column
from tests.databases import make_vectors

DIMENSION = 4

# Bytes of Python's memory for each row that a compaction copied: ids and digests alone took more than 300.
PER_ROW = 100


def batch(first: int, count: int, seed: int = 0) -> pa.Table:
    vectors = as_vectors_column(make_vectors(count, DIMENSION, seed=seed))
    ids = [f"id-{row}" for row in range(first, first + count)]
    return pa.table({"id": ids, "vector": vectors, "text": [f"text of {record}" for record in ids]})


def contents(dataset: Any) -> Mapping[str, object]:
    return {row.pop("id"): row for row in dataset.to_table().to_pylist() if row["vector"] is not None}


def expected(before: Any, after: Any) -> dict[str, bool]:
    old, new = contents(before), contents(after)
    written = {record: False for record, row in new.items() if row != old.get(record)}
    return written | {record: True for record in old if record not in new}


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_differences_of_two_versions_are_those_of_their_rows(tmp_path: Path, seed: int, compacted: bool) -> None:
    path, rng = tmp_path / "docs.lance", np.random.default_rng(seed)
    lance.write_dataset(batch(0, 400), path, max_rows_per_file=100)
    before = lance.dataset(path)
    for round_ in range(6):
        dataset = lance.dataset(path)
        chosen = ", ".join(f"'id-{row}'" for row in rng.integers(0, 400, 9))
        if rng.random() < 0.3:
            dataset.delete(f"id IN ({chosen})")
        elif rng.random() < 0.3:
            dataset.update({"text": "'other'"}, where=f"id IN ({chosen})")
        elif rng.random() < 0.5:
            written = batch(int(rng.integers(0, 420)), 30, seed=int(rng.integers(2)))
            dataset.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(written)
        else:
            lance.write_dataset(batch(1000 + 10 * round_, 10), path, mode="append")
        if compacted and rng.random() < 0.5:
            lance.dataset(path).optimize.compact_files(target_rows_per_fragment=150)
    after = lance.dataset(path)
    found = written_between(before, after, "docs", "vector")
    wanted = expected(before, after)
    assert {record: gone for record, gone in found.items() if record in wanted} == wanted
    same = [record for record in found if record not in wanted]  # written again as they were
    assert all(contents(before).get(record) == contents(after).get(record) for record in same)
    assert not compacted or not same or set(same) <= set(contents(after))


def test_what_a_compaction_copied_is_compared_outside_of_memory(tmp_path: Path) -> None:
    path, rows = tmp_path / "docs.lance", 60_000
    lance.write_dataset(batch(0, rows), path, max_rows_per_file=rows // 10)
    before = lance.dataset(path)
    lance.dataset(path).update({"text": "'other'"}, where="id = 'id-7'")
    lance.dataset(path).delete("id = 'id-9'")
    lance.dataset(path).optimize.compact_files()
    after = lance.dataset(path)
    assert len(after.get_fragments()) == 1
    tracemalloc.start()
    found = written_between(before, after, "docs", "vector")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == {"id-7": False, "id-9": True}
    assert peak < PER_ROW * rows
