"""Vectors beside the migrated one that Qdrant scales itself: rounding is no difference, and a change of them is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

from lightmigrate import Migrator
from lightmigrate.errors import WrittenSinceError
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.progress import Progress
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.qdrant.points import OTHERS, PointFormat
from lightmigrate.stores.qdrant.store import QdrantStore
from lightmigrate.stores.scaled import SCALED, differing_scaled
from tests.contract.qdrant import quick_folder
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors
from tests.stores.qdrant.points import COSINE, DOT, assert_same, everything, use_alias, vectors_of

ROWS = 150
TEXT = Address("docs", vector="text")
CHANGED = [float(number) for number in range(8, 0, -1)]
MANY = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)


def beside(client: QdrantClient, collection: str = "docs") -> None:
    """A collection with a short vector and one of several rows beside the text, both compared by cosine."""
    client.create_collection(
        collection,
        vectors_config={
            "text": models.VectorParams(size=OLD_DIM, distance=COSINE),
            "image": models.VectorParams(size=8, distance=COSINE),
            "tokens": models.VectorParams(size=4, distance=COSINE, multivector_config=MANY),
            "kept": models.VectorParams(size=8, distance=DOT),
        },
    )
    random = np.random.default_rng(0)
    points = []
    for row, text in enumerate(make_vectors(ROWS)):
        vectors: dict[str, Any] = {
            "text": text.tolist(),
            "image": random.normal(size=8).tolist(),
            "tokens": random.normal(size=(3, 4)).tolist(),
            "kept": random.normal(size=8).tolist(),
        }
        points.append(models.PointStruct(id=row, vector=vectors, payload={"page_content": f"text {row}"}))
    client.upsert(collection, points)


def search(client: QdrantClient, name: str = "docs") -> None:
    """A search by the image, which in local mode scales all of them anew."""
    client.query_points(name, query=CHANGED, using="image", limit=1)


def replace_image(client: QdrantClient, record: int) -> None:
    client.update_vectors("docs", [models.PointVectors(id=record, vector={"image": CHANGED})])


def migrate(migrator: Migrator) -> int:
    (result,) = migrator.migrate([CollectionJob(TEXT, make_projection())])
    assert result.n_migrated == ROWS
    return result.written_late


@pytest.mark.parametrize("alias", [True, False])
def test_a_folder_goes_over_and_back_and_nobody_has_written(tmp_path: Path, *, alias: bool) -> None:
    with quick_folder(tmp_path) as place:
        folder = str(Path(place) / "db")
        client = QdrantClient(path=folder)
        beside(client, "docs_v1" if alias else "docs")
        if alias:
            use_alias(client, "docs_v1", "docs")
        client.close()
        client = QdrantClient(path=folder)  # which reads what was written, not yet scaled
        before = everything(client)
        client.close()
        assert run(folder, migrate) == 0
        run(folder, check)
        assert not run(folder, lambda migrator: migrator.rollback().carried)
        client = QdrantClient(path=folder)
        assert_same(everything(client), before)
        client.close()


def run(folder: str, work: Any) -> Any:
    """Do something as a command does, which opens the folder anew, so that what is in memory is scaled again."""
    migrator = Migrator(folder)
    done = work(migrator)
    assert isinstance(migrator.database, QdrantStore)
    migrator.database.close()
    return done


def check(migrator: Migrator) -> None:
    assert all(each.unchanged for each in migrator.verify())


def test_searches_meanwhile_are_no_writes() -> None:
    client = QdrantClient(":memory:")
    beside(client, "docs_v1")
    use_alias(client, "docs_v1", "docs")

    def searched(progress: Progress) -> None:
        search(client)

    assert migrate(Migrator(client, page_size=20, on_progress=searched)) == 0
    search(client)
    check(Migrator(client))
    Migrator(client).rollback()


def test_one_that_is_replaced_meanwhile_is_carried() -> None:
    client = QdrantClient(":memory:")
    beside(client, "docs_v1")
    use_alias(client, "docs_v1", "docs")
    left = [True]

    def write(progress: Progress) -> None:
        if progress.step == "project" and left and left.pop():
            replace_image(client, 3)

    assert migrate(Migrator(client, page_size=20, on_progress=write)) == 1
    point = client.retrieve("docs", [3], with_vectors=True)[0]
    np.testing.assert_allclose(vectors_of(point)["image"], np.array(CHANGED) / np.linalg.norm(CHANGED), rtol=1e-6)
    assert len(vectors_of(point)["text"]) == NEW_DIM


def test_one_that_is_replaced_afterwards_is_seen_and_carried_back() -> None:
    client = QdrantClient(":memory:")
    beside(client, "docs_v1")
    use_alias(client, "docs_v1", "docs")
    migrator = Migrator(client, page_size=20)
    migrate(migrator)
    replace_image(client, 3)
    assert not any(each.unchanged for each in migrator.verify())
    with pytest.raises(WrittenSinceError, match="0 records were added, 1 changed, 0 deleted"):
        migrator.rollback()
    assert migrator.rollback(written="carry").carried
    point = client.retrieve("docs", [3], with_vectors=True)[0]
    np.testing.assert_allclose(vectors_of(point)["image"], np.array(CHANGED) / np.linalg.norm(CHANGED), rtol=1e-6)
    assert len(vectors_of(point)["text"]) == OLD_DIM


def test_only_what_qdrant_scales_is_compared_up_to_rounding() -> None:
    points = PointFormat("text", "page_content", frozenset({"text", "image", "tokens"}))
    vectors: dict[str, Any] = {"text": [1.0, 0.0], "image": [0.6, 0.8], "tokens": [[1.0, 0.0]], "kept": [0.6, 0.8]}

    def page(**other: Any) -> Page:
        return points.page([models.Record(id=1, vector=vectors | other, payload={})])

    payload = page().payloads[0] or {}
    assert ([name for name, *_ in payload[OTHERS]], [*payload[SCALED]]) == (["kept"], ["image", "tokens"])
    assert not differing_scaled(page(), page(image=[0.6000001, 0.8]), 1e-5)
    assert differing_scaled(page(), page(image=[0.601, 0.8]), 1e-5) == ["1"]
    assert differing_scaled(page(), page(tokens=[[1.0, 0.0], [1.0, 0.0]]), 1e-5) == ["1"]
    nothing = float("nan")
    assert not differing_scaled(page(image=[nothing, 0.8]), page(image=[nothing, 0.8]), 1e-5)
    (point,) = points.points(page())
    assert isinstance(point.vector, dict)
    assert point.vector["tokens"] == [[1.0, 0.0]]
