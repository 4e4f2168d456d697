"""Search finds the true neighbours, at distances as `Metric` defines them."""

from __future__ import annotations

import numpy as np
import pytest

from lightmigrate.stores.base import Metric, Store
from lightmigrate.vectors import Vectors
from tests.contract.makers import Maker
from tests.contract.material import NEW, build, filled, page, projected, takes, vectors


def _distances(query: Vectors, stored: Vectors, metric: Metric) -> list[float]:
    a, b = query.astype(np.float64), stored.astype(np.float64)
    if metric == "l2":
        return [float(sum((x - y) ** 2 for x, y in zip(a, row, strict=True))) for row in b]
    products = [float(sum(x * y for x, y in zip(a, row, strict=True))) for row in b]
    if metric == "ip":
        return [1 - product for product in products]
    lengths = [float(np.sqrt(sum(a * a)) * np.sqrt(sum(row * row))) for row in b]
    return [1 - product / length for product, length in zip(products, lengths, strict=True)]


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_the_true_neighbours_are_found_at_their_distances(maker: Maker, store: Store, metric: Metric) -> None:
    if not takes(maker, metric):
        return
    collection = store.collection(filled(maker, "docs", 60, metric))
    stored, queries = page(maker, 60), vectors(4, seed=21) * 3
    ids, measured = collection.nearest(queries, 5)
    for query, found, distances in zip(queries, ids, measured, strict=True):
        exact = _distances(query, stored.vectors, metric)
        assert found == [stored.ids[row] for row in np.argsort(exact)[:5]]
        np.testing.assert_allclose(distances, sorted(exact)[:5], rtol=1e-4, atol=1e-4)
        assert list(distances) == sorted(distances)
    assert collection.facts().space == metric


def test_k_may_be_all_records(maker: Maker, store: Store) -> None:
    collection = store.collection(filled(maker, "docs", 60))
    ids, distances = collection.nearest(vectors(1, seed=2), 60)
    assert sorted(ids[0]) == list(page(maker, 60).ids)
    assert len(distances[0]) == 60


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_after_an_exchange_the_new_vectors_are_searched(maker: Maker, store: Store, metric: Metric) -> None:
    if not takes(maker, metric):
        return
    address = filled(maker, "docs", 60, metric)
    store = maker.client()
    store.exchange(build(store, address), store.collection(address), "20260101_120000")
    live = store.collection(address)
    assert (live.facts().dimension, live.facts().space) == (NEW, metric)
    new = projected(page(maker, 60).vectors)
    ids, measured = live.nearest(new[:3], 4)
    for query, found, distances in zip(new[:3], ids, measured, strict=True):
        exact = _distances(query, new, metric)
        assert found == [f"id-{row:04d}" for row in np.argsort(exact)[:4]]
        np.testing.assert_allclose(distances, sorted(exact)[:4], rtol=1e-4, atol=1e-4)
