"""Points as applications store them, and all that a client has."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

from tests.databases import OLD_DIM, make_vectors

COSINE, DOT = models.Distance.COSINE, models.Distance.DOT


def point_id(row: int) -> int | str:
    """An integer for even rows, a UUID for odd ones."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, str(row))) if row % 2 else row


def use_alias(client: QdrantClient, collection: str, *aliases: str) -> None:
    """Let some aliases lead to a collection."""
    created = [models.CreateAlias(collection_name=collection, alias_name=alias) for alias in aliases]
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=each) for each in created])


def plain(client: QdrantClient, name: str = "docs", rows: int = 60, distance: models.Distance = COSINE) -> None:
    """A collection of one unnamed vector, whose texts are where LangChain puts them."""
    client.create_collection(name, vectors_config=models.VectorParams(size=OLD_DIM, distance=distance))
    client.upsert(
        name,
        [
            models.PointStruct(
                id=point_id(row),
                vector=vector.tolist(),
                payload={"page_content": f"text {row}", "metadata": {"row": row, "share": row / 7}},
            )
            for row, vector in enumerate(make_vectors(rows))
        ],
    )


def named(client: QdrantClient, name: str = "docs", rows: int = 40) -> None:
    """A collection of four vectors; some points lack one or another of them."""
    client.create_collection(
        name,
        vectors_config={
            "text": models.VectorParams(size=OLD_DIM, distance=COSINE),
            "image": models.VectorParams(size=24, distance=COSINE),
            "tokens": models.VectorParams(
                size=4,
                distance=DOT,
                multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
            ),
        },
        sparse_vectors_config={"words": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    text, image = make_vectors(rows), make_vectors(rows, 24, seed=1)
    random = np.random.default_rng(0)
    points = []
    for row in range(rows):
        vectors: dict[str, Any] = {
            "text": text[row].tolist(),
            "image": image[row].tolist(),
            "tokens": random.normal(size=(1 + row % 3, 4)).tolist(),
            "words": models.SparseVector(indices=[2**32 - 1, row, 1000], values=random.normal(size=3).tolist()),
        }
        if row % 5 == 0:
            del vectors["words"], vectors["tokens"]
        if row % 7 == 0:
            del vectors["text"]
        points.append(models.PointStruct(id=point_id(row), vector=vectors, payload={"text": f"text {row}"}))
    client.upsert(name, points)


def two(client: QdrantClient, name: str = "docs") -> None:
    """A collection of two vectors of one dimension."""
    sizes = {"text": OLD_DIM, "image": OLD_DIM}
    configured = {each: models.VectorParams(size=size, distance=DOT) for each, size in sizes.items()}
    client.create_collection(name, vectors_config=configured)
    vectors = {each: make_vectors(40, size, seed=len(each)) for each, size in sizes.items()}
    client.upsert(
        name,
        [
            models.PointStruct(
                id=row,
                vector={each: vectors[each][row].tolist() for each in sizes},
                payload={"page_content": f"text {row}"},
            )
            for row in range(40)
        ],
    )


def everything(client: QdrantClient, name: str = "docs") -> dict[str, tuple[Any, dict[str, Any]]]:
    """Payload and vectors of every point, by id."""
    points, _ = client.scroll(name, limit=10_000, with_vectors=True)
    return {str(point.id): (point.payload, vectors_of(point)) for point in points}


def vectors_of(point: models.Record) -> dict[str, Any]:
    """The vectors of a point by name."""
    vectors = point.vector
    return dict(vectors) if isinstance(vectors, dict) else {"": vectors}


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Whether `everything` is the same; of cosine vectors, which searches in local mode scale anew, to the last bit."""
    assert ours.keys() == theirs.keys()
    for record, (payload, vectors) in ours.items():
        other_payload, others = theirs[record]
        assert payload == other_payload
        assert vectors.keys() == others.keys()
        for name, vector in vectors.items():
            if isinstance(vector, models.SparseVector):
                assert vector == others[name]
            else:
                np.testing.assert_allclose(vector, others[name], rtol=3e-7, atol=1e-9)
