"""How distances moved is measured in a migration of a folder and of an open database, and kept beside it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import CollectionJob, Migrator, Projection
from lightmigrate.errors import LightmigrateError
from lightmigrate.migration.recall import Exact
from lightmigrate.migration.results import MigrationResult
from lightmigrate.scores.stored import SCORES_FILE
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.distance import distances
from lightmigrate.vectors import Metric, Vectors
from tests.databases import make_projection, make_vectors

METRICS: tuple[Metric, ...] = ("cosine", "l2", "ip")
ROWS = 150


def build(folder: Path, rows: int = ROWS) -> Path:
    with open_client(folder) as client:
        for seed, metric in enumerate(METRICS):
            client.create_collection(
                f"in_{metric}", embedding_function=None, configuration={"hnsw": {"space": metric}}
            ).add(ids=[str(row) for row in range(rows)], embeddings=make_vectors(rows, seed=seed))
    return folder


def true_distances(vectors: Vectors, metric: Metric) -> Any:
    """Of every record to all others, ascending: float64 `(n, n - 1)`."""
    whole = vectors.astype(np.float64)
    return np.stack([np.sort(distances(one, np.delete(whole, row, axis=0), metric)) for row, one in enumerate(whole)])


def require_true(result: MigrationResult, projection: Projection) -> None:
    metric: Metric = next(each for each in METRICS if result.collection_name == f"in_{each}")
    old = make_vectors(ROWS, seed=METRICS.index(metric))
    shift = result.scores
    assert shift is not None
    assert (shift.samples, shift.measured_from, shift.address) == (ROWS, "records", result.address)
    for side, vectors in ((shift.before, old), (shift.now, projection.apply(old))):
        assert side.metric == metric
        true = true_distances(vectors, metric)
        expected = np.sort(true[:, :10], axis=0)
        np.testing.assert_allclose(np.sort(side.neighbours, axis=0), expected, rtol=1e-3, atol=1e-4)
        assert side.random.shape == (ROWS, 5)
        assert abs(np.median(side.random) - np.median(true)) < 0.2 * np.std(true)


def test_a_folder_and_its_way_back(tmp_path: Path) -> None:
    folder, projection = build(tmp_path / "home" / "db"), make_projection()
    with pytest.raises(LightmigrateError, match="holds no distances of before and after"):
        Migrator(folder).scores()
    migrator = Migrator(folder)
    results = [migrator.migrate_collection(f"in_{metric}", projection) for metric in METRICS]
    for result in results:
        require_true(result, projection)
    (of_cosine, of_ip, of_l2) = Migrator(folder).scores([0.3])
    assert [of_cosine.to_json()["before"], of_l2.to_json()["now"], of_ip.before.metric] == [
        results[0].scores.before.to_json(),  # type: ignore[union-attr]  # checked above
        results[1].scores.now.to_json(),  # type: ignore[union-attr]
        "ip",
    ]
    assert of_cosine.thresholds[0].share == np.mean(of_cosine.before.neighbours <= 0.3)
    assert of_l2.thresholds[0].similarity is None
    migrator.rollback()  # the last of three
    assert [shift.collection_name for shift in Migrator(folder).scores()] == ["in_cosine", "in_l2"]
    with open_client(folder) as client:
        client.delete_collection("in_l2")
        client.create_collection("in_l2", embedding_function=None).add(ids=["1"], embeddings=make_vectors(1, 24))
        client.get_collection("in_cosine", embedding_function=None).modify(name="renamed")
    assert [shift.collection_name for shift in Migrator(folder).scores()] == ["renamed"]


def test_an_open_client_and_its_way_back(tmp_path: Path) -> None:
    build(tmp_path / "db")
    projection = make_projection()
    with open_client(tmp_path / "db") as client:
        migrator = Migrator(client, page_size=40)
        for metric in ("cosine", "l2"):
            require_true(migrator.migrate_collection(f"in_{metric}", projection), projection)
        assert [shift.before.metric for shift in Migrator(client).scores()] == ["cosine", "l2"]
        migrator.rollback()
        assert [shift.before.metric for shift in Migrator(client).scores()] == ["cosine"]
        assert (tmp_path / "db" / SCORES_FILE).exists()


def test_a_build_that_is_resumed_knows_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightmigrate.migration.aside import build as build_module

    folder, projection = build(tmp_path / "home" / "db"), make_projection()

    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(build_module, "verify", interrupt)
        with pytest.raises(KeyboardInterrupt):
            Migrator(folder).migrate_collection("in_cosine", projection)
    (result,) = Migrator(folder).resume()
    require_true(result, projection)


def test_what_a_migration_before_this_version_left_is_said(tmp_path: Path) -> None:
    folder = build(tmp_path / "home" / "db")
    Migrator(folder).migrate_collection("in_cosine", make_projection())
    (folder / SCORES_FILE).unlink()
    with pytest.raises(LightmigrateError, match=r"or by an older lightmigrate.*lightmigrate status .*db --queries"):
        Migrator(folder).scores([0.2])


def test_few_records_and_none() -> None:
    vectors = make_vectors(5)
    for rows, neighbours, others in ((5, 4, 2), (2, 1, 1)):
        exact = Exact(vectors[:rows], "cosine")
        exact.add(vectors[:rows])
        found = exact.distances()
        assert found is not None
        assert (found.neighbours.shape, found.random.shape) == ((rows, neighbours), (rows, others))
    for rows in (0, 1):
        exact = Exact(vectors[:rows], "cosine")
        exact.add(vectors[:rows])
        assert exact.distances() is None


def test_a_longer_vector_may_be_nearer_than_the_query_itself() -> None:
    direction = np.ones((1, 4), np.float32)
    vectors = np.concatenate([direction * length for length in range(1, 31)]).astype(np.float32)
    exact = Exact(vectors[:1], "ip")
    exact.add(vectors)
    found = exact.distances()
    assert found is not None
    assert found.neighbours[0].tolist() == [1 - 4 * length for length in range(30, 20, -1)]


def test_json_holds_quantiles_and_no_ids(tmp_path: Path) -> None:
    folder = build(tmp_path / "home" / "db")
    result = Migrator(folder).migrate_collection("in_cosine", make_projection())
    said = json.loads(json.dumps(result.to_json()))["scores"]
    assert set(said["before"]) == {"metric", "nearest", "farthest", "neighbours", "random"}
    assert said["before"]["nearest"]["p5"] <= said["before"]["nearest"]["median"] <= said["before"]["farthest"]["p95"]
    assert said["thresholds"] == []


@pytest.mark.parametrize("opened", [False, True])
def test_another_distance_is_the_other_side_of_the_correspondence(opened: bool, tmp_path: Path) -> None:
    folder, vectors = build(tmp_path / "home" / "db"), make_vectors(ROWS, seed=METRICS.index("l2"))
    with open_client(folder) if opened else contextlib.nullcontext(folder) as database:
        Migrator(database).migrate([CollectionJob("in_l2", distance="cosine")])
        true = {metric: true_distances(vectors, metric)[:, :10] for metric in METRICS}
        threshold = float(np.quantile(true["l2"], 0.3))
        (shift,) = Migrator(database).scores([threshold])
    for side, metric in ((shift.before, "l2"), (shift.now, "cosine")):
        assert side.metric == metric
        np.testing.assert_allclose(
            np.sort(side.neighbours, axis=0), np.sort(true[side.metric], axis=0), rtol=1e-3, atol=1e-4
        )
    (found,) = shift.thresholds
    assert found.share == pytest.approx(0.3, abs=0.01)
    assert np.mean(true["cosine"] <= found.now) == pytest.approx(0.3, abs=0.01)
    assert (found.similarity, found.similarity_now) == (None, 1 - found.now)
