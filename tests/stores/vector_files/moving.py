"""Moves a collection of files to other vectors, as a migration does, without its engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lightmigrate.stores.base import Address, Store, Version
from lightmigrate.stores.open import open_database
from lightmigrate.vectors import Vectors

KEY, LATER = "20260101_120000", "20260101_120001"


def opened(path: Path | str) -> Store:
    """The files at a path or an address."""
    store = open_database(path)
    assert isinstance(store, Store)
    return store


def some(n: int, dimension: int, seed: int = 0) -> Vectors:
    """Random vectors of length 1, `(n, dimension)`."""
    found = np.random.default_rng(seed).standard_normal((n, dimension)).astype(np.float32)
    return np.ascontiguousarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def turned(vectors: Vectors, dimension: int) -> Vectors:
    """Vectors `(n, d)` in a space of another dimension, `(n, dimension)`; the same bits in batches of any size."""
    copies = -(-dimension // vectors.shape[1])
    return np.ascontiguousarray(np.tile(vectors, (1, copies))[:, :dimension] * np.float32(-2))


def moved(store: Store, name: str, dimension: int) -> Version:
    """Exchange all vectors of a collection for `turned` ones; returns the backup. Writes."""
    live = store.collection(Address(name))
    version = store.create_version(live, "k", dimension, None)
    for page in live.scan(100):
        version.add(page.with_vectors(turned(page.vectors, dimension)))
    store.exchange(version, live, KEY)
    (backup,) = (kept for kept in store.versions() if kept.own == Address(name))
    return backup
