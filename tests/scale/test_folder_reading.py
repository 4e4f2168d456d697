"""A folder of many files is one collection for the commands that read, which decode a few row groups of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightmigrate import auto_migrate
from lightmigrate.errors import RefusedError
from lightmigrate.migrator import Migrator
from lightmigrate.projection.model import Model
from lightmigrate.stores import excerpt
from lightmigrate.stores.base import Address, Store
from lightmigrate.stores.open import open_database
from lightmigrate.stores.vector_files.parquet_columns import ParquetColumns
from tests.cli.calls import refused, run
from tests.databases import make_projection
from tests.encoders import WordLlamaFunction
from tests.startup.starts import CORPUS, MINILM, vectors_of

PARTS, ROWS = 6, 60
DIMENSION = 384
TARGET = (
    "--target-provider",
    "chroma",
    "--target-model",
    json.dumps({"name": "test_wordllama", "config": {"dimension": 256}}),
)


def write(path: Path, rows: range, **columns: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    vectors = vectors_of(MINILM)[rows.start : rows.stop]
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    table = {"text": [CORPUS.documents[row] for row in rows], "embedding": column, "number": list(rows), **columns}
    pq.write_table(pa.table(table), path, row_group_size=20)


@pytest.fixture
def hive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for part in range(PARTS):
        write(
            tmp_path / f"hive/year={2020 + part % 2}/month={part}/data.parquet", range(part * ROWS, (part + 1) * ROWS)
        )
    (tmp_path / "hive/_SUCCESS").write_text("")
    return tmp_path / "hive"


@pytest.fixture
def projection(tmp_path: Path) -> Path:
    return make_projection(1, Model("a", DIMENSION), Model("b", 12)).save(tmp_path / "projection.npz")


def test_partitions_are_looked_at_planned_migrated_and_put_back(
    hive: Path, projection: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = run(capsys, "doctor", hive)
    assert f"hive {PARTS * ROWS} {DIMENSION}" in seen
    assert "lightmigrate train --from" in seen
    assert f"{PARTS * ROWS} {DIMENSION} → 12" in run(capsys, "plan", hive, "-p", projection)
    assert "leave out --distance" in refused(capsys, "plan", hive, "-p", projection, "--distance", "l2")
    assert "leave out --texts" in refused(capsys, "plan", hive, *TARGET, "--text-field", "text")
    assert "lightmigrate train --from" in refused(capsys, "migrate", hive, "--yes")
    assert "not migrated" in run(capsys, "status", hive)
    assert "nothing to compare" in refused(capsys, "verify", hive)
    assert "has no backup" in refused(capsys, "rollback", hive, "--yes")
    assert f"{PARTS} files" in run(capsys, "migrate", hive, "-p", projection, "--force", "--yes")
    assert f"hive {PARTS * ROWS} 12" in run(capsys, "doctor", hive)
    assert "bit by bit" in run(capsys, "verify", hive)
    run(capsys, "rollback", hive, "--yes")
    assert f"hive {PARTS * ROWS} {DIMENSION}" in run(capsys, "doctor", hive)


def test_a_projection_is_trained_on_an_excerpt_and_judged_for_all(
    hive: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert WordLlamaFunction.name() == "test_wordllama"
    monkeypatch.setattr(excerpt, "_RECORDS", 120)
    read = set[tuple[Path, int]]()
    real = ParquetColumns.batches

    def noted(
        self: ParquetColumns, size: int, *, columns: Sequence[str], groups: Sequence[int] | None = None
    ) -> Iterator[Any]:
        assert groups is not None, "a whole file"
        read.update((self.path, group) for group in groups)
        return real(self, size, columns=columns, groups=groups)

    monkeypatch.setattr(ParquetColumns, "batches", noted)
    words = ["--samples", 100, "--passing", 0, "--failing", 0, "--yes", "--json"]
    trained = json.loads(run(capsys, "train", "--from", hive, *TARGET, *words))
    assert trained["gate"]["n_documents"] == 100
    assert trained["gate"]["collection_size"] > 2 * 120
    assert len(read) <= PARTS, "a row group of each file"
    assert "verdict" in trained["gate"]


def test_files_of_one_folder_belong_together_by_their_names(tmp_path: Path) -> None:
    def names(folder: str) -> list[str]:
        with open_database(tmp_path / folder) as store:  # type: ignore[union-attr]
            assert isinstance(store, Store)
            return [facts.name for facts in store.collections()]

    for number in range(3):
        write(tmp_path / f"parts/part-0000{number}-c000.snappy.parquet", range(number * 10, number * 10 + 10))
        write(tmp_path / f"apart/{'abc'[number]}.parquet", range(10))
        (tmp_path / f"arrays/shard {number}").mkdir(parents=True)
        np.save(tmp_path / f"arrays/shard {number}/vectors.npy", vectors_of(MINILM)[:10])
        np.save(tmp_path / f"arrays/shard {number}/labels.npy", np.arange(10))
        identity = uuid.UUID(int=number * 7**40)
        write(tmp_path / f"spark/lang={['de', 'en', 'fr'][number]}/part-{number}-{identity}.c000.parquet", range(10))
        write(tmp_path / f"project/{'abc'[number]}/vectors.parquet", range(10))
    write(tmp_path / "one/part-0.parquet", range(10))
    assert names("parts") == ["parts"]
    assert names("arrays") == ["arrays"]
    assert names("spark") == ["spark"]
    assert not isinstance(open_database(tmp_path / "project"), Store), "as any folder that no store knows"
    assert names("apart") == ["a", "b", "c"]
    assert names("one") == ["part-0"]
    write(tmp_path / "arrays/more/part-0.parquet", range(10))
    assert not isinstance(open_database(tmp_path / "arrays"), Store), "two formats"
    (tmp_path / "spark/raft_state.json").write_text("{}")
    assert not isinstance(open_database(tmp_path / "spark"), Store), "the storage of a server, not partitions"


def test_records_are_scanned_found_and_searched(hive: Path) -> None:
    store = open_database(hive)
    assert isinstance(store, Store)
    collection = store.collection(Address("hive"))
    pages = list(collection.scan(25))
    ids = [record for page in pages for record in page.ids]
    assert len(ids) == len(set(ids)) == PARTS * ROWS == collection.count()
    again = [record for page in collection.scan(25, after=pages[3].cursor, vectors=False) for record in page.ids]
    assert again == [record for page in pages[4:] for record in page.ids]
    found = collection.records([ids[70], "none", ids[3]])
    assert list(found.ids) == [ids[70], ids[3]]
    assert found.payloads[1] == pages[0].payloads[3]
    nearest, distances = collection.nearest(found.vectors, 3)
    assert [each[0] for each in nearest] == [ids[70], ids[3]]
    assert np.allclose([each[0] for each in distances], 0, atol=1e-6)
    sampled = collection.sample(50)
    assert len(sampled) == 54
    assert len({record.partition(":")[0] for record in sampled.ids}) == PARTS
    with pytest.raises(RefusedError, match="--workers 2"):
        collection.remove(ids[:1])


def test_a_python_program_sees_it_too(hive: Path) -> None:
    migrator = Migrator(hive)
    assert [facts.count for facts in migrator.collections()] == [PARTS * ROWS]
    assert migrator.damaged() == {}
    data = migrator.calibration_data(samples=60)
    assert data.collection_size == PARTS * ROWS
    assert data.vectors is not None
    assert data.vectors.shape == (60, DIMENSION)


def test_a_start_with_another_model_is_refused_before_anything_is_learned(hive: Path) -> None:
    asked = list[str]()

    def embed(texts: Sequence[str]) -> Any:
        asked.extend(texts)
        return WordLlamaFunction().embed(list(texts))

    report = auto_migrate(f"file://{hive}", embed)
    assert report.action == "refused"
    assert "is one collection of many files, which workers convert:  lightmigrate train" in str(report)
    assert len(set(asked)) < ROWS, "more than a few, by which models are told apart"
