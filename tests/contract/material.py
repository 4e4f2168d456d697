"""Records for the contract suite, and what it means that two are the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address, Collection, Metric, Page, Store
from lightmigrate.vectors import METRICS, Vectors, normalise_rows
from tests.contract.makers import Maker

OLD, NEW = 8, 12

IDS = (
    "a", "1", "01", "1.0", "-1", "1e3", "NULL", "None", "true", " lead", "trail ", "two  blanks", "tab\t",
    "line\nbreak",
    "'", '"', "''; DROP TABLE docs; --", "%s", "%(id)s", "{0}", "$1", "\\", "\\x00", "[\"a\", \"b\"]", "{\"a\": 1}",
    "é", "e\u0301", "日本語", "😀", "\u202eright to left", "x" * 500, "A", "á/b?c=d&e#f", "_", "*",
)  # fmt: skip

TEXTS = (
    None, "", " ", "plain", "é e\u0301 日本語 😀", "'\" %s {0} $1 \\ \\N", "line\nbreak\r\ntab\t", "\x01\x7f", "null",
    "long " * 4000,
)  # fmt: skip


def takes(maker: Maker, metric: Metric) -> bool:
    """Whether the store has a distance: all that are not named by `maker.metrics`, if it names any, are refused."""
    if metric in getattr(maker, "metrics", METRICS):
        return True
    address = filled(maker, "has_no_such_distance")
    store = maker.client()
    with pytest.raises(LightmigrateError, match=metric):
        store.create_version(store.collection(address), "k1", NEW, None, metric)
    assert store.versions() == []
    return False


def vectors(n: int, dimension: int = OLD, seed: int = 0) -> Vectors:
    """Random ones `(n, dimension)`."""
    return np.random.default_rng(seed).normal(size=(n, dimension)).astype(np.float32)


def page(maker: Maker, n: int, *, start: int = 0, dimension: int = OLD, seed: int = 0) -> Page:
    """`n` plain records, numbered from `start`."""
    numbers = range(start, start + n)
    return Page(
        ids=[f"id-{number:04d}" for number in numbers],
        vectors=vectors(n, dimension, seed + start),
        texts=[f"text {number}" for number in numbers],
        payloads=[maker.payload_of(number) for number in numbers],
    )


def hostile(maker: Maker) -> Page:
    """Every id of `IDS`, with all texts and all payloads in turn."""
    rows = range(len(IDS))
    return Page(
        ids=IDS,
        vectors=vectors(len(IDS), seed=7),
        texts=[TEXTS[row % len(TEXTS)] for row in rows],
        payloads=[maker.payloads[row % len(maker.payloads)] for row in rows],
    )


def filled(maker: Maker, name: str, n: int = 20, metric: Metric = "l2") -> Address:
    """A collection of `n` plain records."""
    address = maker.create(name, OLD, metric)
    maker.client().collection(address).add(page(maker, n))
    return address


def stored_by(store: Store, records: Page, metric: Metric) -> Page:
    """What a store keeps of records: vectors that are compared by cosine have length 1 where it says so."""
    if metric != "cosine" or not store.capabilities.unit_vectors:
        return records
    rows = records.vectors.copy()
    normalise_rows(rows)
    return records.with_vectors(rows)


def everything(collection: Collection, size: int = 7) -> Page:
    """All records, by id."""
    records = Page.joined(list(collection.scan(size)))
    return records.rows(sorted(range(len(records)), key=lambda row: records.ids[row]))


def projected(old: Vectors) -> Vectors:
    """`(n, OLD)`, or `(n, NEW)`, → `(n, NEW)`; exact, so that every store can be held to the same numbers."""
    return np.ascontiguousarray(np.concatenate([old[:, :OLD] * 2, old[:, : NEW - OLD] * -1], axis=1), np.float32)


def build(store: Store, source: Address, key: str = "k1") -> Collection:
    """A version of a collection that holds all of its records, projected."""
    old = store.collection(source)
    version = store.create_version(old, key, NEW, None)
    for records in old.scan(7):
        version.add(records.with_vectors(projected(records.vectors)))
    return version


def exchanged(store: Store, source: Address, key: str = "20260101_120000") -> None:
    """`build`, and exchange."""
    store.exchange(build(store, source), store.collection(source), key)


def assert_same(ours: Page, theirs: Page, tolerance: float = 0.0, *, with_vectors: bool = True) -> None:
    """Whether two pages hold the same records in the same order, types included."""
    assert list(ours.ids) == list(theirs.ids)
    assert list(ours.texts) == list(theirs.texts)
    for mine, other in zip(ours.payloads, theirs.payloads, strict=True):
        assert same_value(mine, other), (mine, other)
    if with_vectors:
        assert_same_vectors(ours.vectors, theirs.vectors, tolerance)


def assert_same_vectors(ours: Vectors, theirs: Vectors, tolerance: float = 0.0) -> None:
    """Bit-identical, or within a relative tolerance."""
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype == np.float32
    if tolerance:
        lengths = np.linalg.norm(theirs, axis=1, keepdims=True)
        assert (np.abs(ours - theirs) <= tolerance * lengths).all()
    else:
        assert ours.tobytes() == theirs.tobytes()


def same_value(ours: Any, theirs: Any) -> bool:
    """Equal, and of the same type all the way down; floats may differ by one unit in the last place."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return set(ours) == set(theirs) and all(same_value(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, Sequence) and isinstance(theirs, Sequence) and not isinstance(ours, str):
        return len(ours) == len(theirs) and all(same_value(*pair) for pair in zip(ours, theirs, strict=True))
    if type(ours) is not type(theirs):
        return False
    return bool(ours == theirs or (isinstance(ours, float) and math.nextafter(ours, theirs) == theirs))
