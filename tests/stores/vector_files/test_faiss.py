"""FAISS indexes keep their kind, their parameters and their ids; what stores vectors inexactly is refused."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from lightmigrate.errors import DamagedCollectionError, RefusedError
from lightmigrate.stores.base import Address
from lightmigrate.stores.vector_files.faiss_kind import describe
from tests.stores.vector_files.moving import KEY, LATER, moved, opened, some, turned

ROWS, OLD, NEW = 400, 16, 24


def index_of(kind: str, *, labelled: bool = False, metric: int = faiss.METRIC_INNER_PRODUCT) -> Any:
    index = faiss.index_factory(OLD, kind, metric)
    vectors = some(ROWS, OLD)
    if not index.is_trained:
        index.train(vectors)
    index.add_with_ids(vectors, np.arange(ROWS) * 3 + 7) if labelled else index.add(vectors)
    return index


def write(folder: Path, index: Any) -> Path:
    path = folder / "docs.faiss"
    faiss.write_index(index, str(path))
    return path


@pytest.mark.parametrize("metric", [faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2])
@pytest.mark.parametrize(
    ("kind", "labelled"),
    [
        ("Flat", False),
        ("IDMap,Flat", True),
        ("IDMap2,Flat", True),
        ("HNSW12,Flat", False),
        ("IDMap,HNSW12,Flat", True),
        ("IVF8,Flat", False),
        ("IVF8,Flat", True),
        ("IVF8_HNSW8,Flat", False),
    ],
)
def test_an_index_keeps_its_kind_its_parameters_and_its_ids(
    tmp_path: Path, kind: str, labelled: bool, metric: int
) -> None:
    index = index_of(kind, labelled=labelled, metric=metric)
    if "HNSW12" in kind:
        graph = faiss.downcast_index(index.index).hnsw if labelled else index.hnsw
        graph.efSearch, graph.efConstruction = 77, 55
    if "IVF" in kind:
        index.nprobe = 5
    path = write(tmp_path, index)
    before, described = path.read_bytes(), describe(index)
    store = opened(path)
    ids = list(store.collection(Address("docs")).ids())
    assert ids == [str(row * 3 + 7 if labelled else row) for row in range(ROWS)]
    backup = moved(store, "docs", NEW)
    new = faiss.read_index(str(path))
    assert (new.d, new.ntotal, new.metric_type, describe(new)) == (NEW, ROWS, metric, described)
    wanted = turned(some(ROWS, OLD), NEW)
    live = store.collection(Address("docs"))
    assert live.records(ids).vectors.tobytes() == wanted.tobytes()
    _, labels = new.search(wanted[:5] * (1 if metric == faiss.METRIC_L2 else 9), 1)
    if metric == faiss.METRIC_L2:
        assert labels[:, 0].tolist() == [int(record) for record in ids[:5]]
    store.restore(backup, LATER)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("SQ8", r"scalar quantisation, measured 0\.0\d+ off"),
        ("IVF8,SQ8", "scalar quantisation"),
        ("PQ4x4", r"product quantisation, measured 0\.\d+ off"),
        ("IDMap,PQ4x4", "product quantisation"),
        ("PCA8,Flat", "fewer dimensions by PCA"),
    ],
)
def test_an_inexact_index_is_refused_with_its_error_and_migrated_when_that_is_asked_for(
    tmp_path: Path, kind: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, index_of(kind, labelled=kind.startswith("IDMap")))
    before = path.read_bytes()
    with pytest.raises(RefusedError, match=rf"{reason}.*'file://{path}\?lossy=yes'"):
        moved(opened(path), "docs", NEW)
    assert path.read_bytes() == before
    assert opened(path).versions() == []
    allowed = opened(f"file://{path}?lossy=yes")
    with caplog.at_level(logging.WARNING):
        backup = moved(allowed, "docs", NEW)
    assert "stores vectors inexactly" in caplog.text
    assert describe(faiss.read_index(str(path)))["kind"] in (
        "PCA",
        "IDMap",
        "PQ",
        "ScalarQuantizer",
        "IVFScalarQuantizer",
    )
    allowed.restore(backup, LATER)
    assert path.read_bytes() == before


def test_an_index_of_an_unknown_kind_and_a_dimension_that_does_not_fit_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, index_of("NSG8,Flat"))
    with pytest.raises(RefusedError, match="IndexNSGFlat"):
        moved(opened(path), "docs", NEW)
    write(tmp_path, index_of("PQ4x4"))
    with pytest.raises(RefusedError, match="4 parts, and 23 dimensions"):
        moved(opened(f"file://{path}?lossy=yes"), "docs", 23)


def test_what_is_no_index_is_said_and_other_files_are_still_read(tmp_path: Path) -> None:
    shutil.copy(write(tmp_path, index_of("Flat")), tmp_path / "whole.faiss")
    (tmp_path / "docs.faiss").write_bytes(b"not an index")
    store = opened(tmp_path)
    assert [(facts.name, facts.count) for facts in store.collections()] == [("docs", 0), ("whole", ROWS)]
    damaged = store.damaged([Address("docs"), Address("whole")])
    assert list(damaged) == [Address("docs")]
    with pytest.raises(DamagedCollectionError, match="no index"):
        store.collection(Address("docs")).count()


def test_texts_and_ids_beside_an_index_are_found_and_stay_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, index_of("Flat"))
    lines = [json.dumps({"text": f"text {row}", "id": f"n{row}", "page": row}) for row in range(ROWS)]
    (tmp_path / "docs.jsonl").write_text("\n".join(lines))
    before = (tmp_path / "docs.jsonl").read_bytes()
    store = opened(tmp_path)
    records = store.collection(Address("docs")).records(["n3"])
    assert (list(records.texts), list(records.payloads)) == (["text 3"], [{"page": 3}])
    moved(store, "docs", NEW)
    assert (tmp_path / "docs.jsonl").read_bytes() == before
    assert store.collection(Address("docs")).records(["n3"]).texts == ["text 3"]
    assert [version.key for version in store.versions()] == [KEY]


def test_few_vectors_still_fill_an_inverted_file(tmp_path: Path) -> None:
    index = faiss.index_factory(OLD, "IVF8,Flat")
    index.train(some(100, OLD))
    index.add(some(3, OLD))
    store = opened(write(tmp_path, index))
    moved(store, "docs", NEW)
    assert store.collection(Address("docs")).count() == 3
    store.collection(Address("docs")).remove(["2"])
    assert list(store.collection(Address("docs")).ids()) == ["0", "1"]


@pytest.mark.parametrize("kind", ["IVF8,Flat", "IVF8_HNSW8,Flat"])
def test_several_vectors_of_one_label_in_an_inverted_file_are_read_each_and_not_migrated(
    tmp_path: Path, kind: str
) -> None:
    vectors, labels = some(ROWS, OLD), np.arange(ROWS) // 3
    index = faiss.index_factory(OLD, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add_with_ids(vectors, labels)
    path = write(tmp_path, index)
    before = path.read_bytes()
    live = opened(path).collection(Address("docs"))
    read = np.concatenate([page.vectors for page in live.scan(70)])
    assert sorted(map(bytes, read)) == sorted(map(bytes, vectors))
    assert list(live.ids()) == [str(row) for row in range(ROWS)]
    (found,), _ = live.nearest(read[17:18], 1)
    assert found == ["17"]
    with pytest.raises(RefusedError, match=r"400 vectors have only 134 different labels.*faiss\.IndexIDMap"):
        moved(opened(path), "docs", NEW)
    with pytest.raises(RefusedError, match=r"400 vectors have only 134 different labels"):
        live.replace_vectors(["3"], some(1, OLD))
    assert path.read_bytes() == before
    assert opened(path).versions() == []


def test_several_vectors_of_one_label_are_migrated_once_they_are_in_a_map_of_labels(tmp_path: Path) -> None:
    vectors, labels = some(ROWS, OLD), np.arange(ROWS) // 3
    empty = faiss.index_factory(OLD, "IVF8,Flat", faiss.METRIC_INNER_PRODUCT)
    empty.train(vectors)
    index = faiss.IndexIDMap(empty)
    index.add_with_ids(vectors, labels)
    path = write(tmp_path, index)
    moved(opened(path), "docs", NEW)
    new, wanted = faiss.read_index(str(path)), turned(vectors, NEW)
    inside = faiss.extract_index_ivf(faiss.downcast_index(new.index))
    inside.nprobe = 8
    assert faiss.vector_to_array(new.id_map).tolist() == labels.tolist()
    assert new.search(wanted, 1)[1][:, 0].tolist() == labels.tolist()
