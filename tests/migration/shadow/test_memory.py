"""A whole migration of a store that is not Chroma: in memory, where writers wait and what they write is noted."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, Projection
from lightmigrate.errors import DimensionError, NothingToMigrateError, WrittenSinceError
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.memory import MemoryDatabase, MemoryStore
from tests.databases import make_vectors
from tests.processes import TIMEOUT

N = 60
DOCS, BYSTANDER = Address("docs"), Address("bystander")


class KilledError(BaseException):
    """The process ends here."""


def rows(ids: list[str], seed: int = 0, dimension: int = 16) -> Page:
    return Page(
        ids=ids,
        vectors=make_vectors(len(ids), dimension, seed),
        texts=[f"text {seed} of {record}" for record in ids],
        payloads=[{"seed": seed, "nested": {"id": record}} for record in ids],
    )


@pytest.fixture
def store() -> MemoryStore:
    database = MemoryDatabase()
    database.create_collection(DOCS, 16, "cosine", {"owner": "team"}, {"name": "old", "config": {}})
    database.create_collection(BYSTANDER, 8)
    store = MemoryStore(database)
    store.collection(DOCS).add(rows([f"id-{number}" for number in range(N)]))
    store.collection(BYSTANDER).add(rows(["a", "b"], dimension=8))
    return store


def read(store: MemoryStore, address: Address = DOCS) -> Page:
    """All records by id."""
    page = Page.joined(list(store.collection(address).scan(7)))
    return page.rows(sorted(range(len(page)), key=lambda row: page.ids[row]))


def contents(page: Page) -> list[tuple[Any, ...]]:
    return list(zip(page.ids, page.texts, page.payloads, strict=True))


def assert_identical(left: Page, right: Page) -> None:
    assert contents(left) == contents(right)
    assert left.vectors.tobytes() == right.vectors.tobytes()


def assert_projected(new: Page, old: Page, projection: Projection) -> None:
    assert contents(new) == contents(old)
    np.testing.assert_allclose(new.vectors, projection.apply(old.vectors, list(old.texts)), atol=2e-6)


def stop(progress: Any) -> None:
    raise KilledError


def test_a_migration_and_the_exact_way_back(store: MemoryStore, projection: Projection) -> None:
    before, bystander, settings = read(store), read(store, BYSTANDER), store.collection(DOCS).settings()
    migrator = ChromaMigrator(store, page_size=25)
    result = migrator.migrate_collection("docs", projection, embedding_function={"name": "new", "config": {}})
    assert (result.n_migrated, result.previous_dim, result.current_dim, result.written_late) == (N, 16, 24, 0)
    assert result.verification is not None
    assert_projected(read(store), before, projection)
    assert store.collection(DOCS).settings() == settings
    assert store.collection(DOCS).facts().embedding_function == {"name": "new", "config": {}}
    (version,) = store.versions()
    assert_identical(read(store, version.address), before)
    (check,) = migrator.verify()
    assert check.unchanged
    migrated = read(store)
    rollback = migrator.rollback()
    assert not rollback.carried
    assert_identical(read(store), before)
    assert store.collection(DOCS).facts().embedding_function == {"name": "old", "config": {}}
    assert_identical(read(store, BYSTANDER), bystander)
    migrator.rollback(rollback.displaced_path.name)
    assert_identical(read(store), migrated)


def test_nothing_that_a_thread_writes_meanwhile_is_lost(
    store: MemoryStore, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = MemoryStore(store.database)
    turn, written = threading.Semaphore(0), threading.Semaphore(0)
    expected = dict.fromkeys(read(store).ids, 0)
    refused: list[DimensionError] = []
    ended = threading.Event()

    def write() -> None:
        collection, number = other.collection(DOCS), 0
        while not ended.is_set():
            turn.acquire(timeout=0.002)  # also between the last progress and the exchange
            number += 1
            added, changed, removed = f"new-{number % 30}", f"id-{number % 20}", f"id-{20 + number}"
            try:
                collection.put(rows([added, changed], number))
            except DimensionError as error:  # the new collection is in place
                refused.append(error)
                break
            expected.update({added: number, changed: number})
            if number < 20:
                collection.remove([removed])
                del expected[removed]
            written.release()
        written.release(1000)

    def on_progress(progress: Any) -> None:
        turn.release()
        assert written.acquire(timeout=TIMEOUT)

    exchange = store.exchange

    def after_a_write(*arguments: Any, **options: Any) -> int:
        while written.acquire(blocking=False):
            pass
        assert written.acquire(timeout=TIMEOUT)  # one that only settling can bring over
        return exchange(*arguments, **options)

    monkeypatch.setattr(store, "exchange", after_a_write)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        ChromaMigrator(store, page_size=10, on_progress=on_progress).migrate_collection("docs", projection)
        writer.join(TIMEOUT)
        assert not writer.is_alive()
    finally:
        ended.set()
        writer.join(TIMEOUT)
    assert len(refused) == 1
    (version,) = store.versions()
    old, new = read(store, version.address), read(store)
    assert {
        record: payload["seed"] for record, payload in zip(old.ids, old.payloads, strict=True) if payload
    } == expected
    assert any(seed > 0 for seed in expected.values())
    assert_projected(new, old, projection)


def written_after(store: MemoryStore, projection: Projection) -> tuple[ChromaMigrator, Page]:
    """A migrated database that was written to since; and what it held before."""
    before = read(store)
    migrator = ChromaMigrator(store, page_size=25)
    migrator.migrate_collection("docs", projection)
    collection = store.collection(DOCS)
    collection.put(rows(["added", "id-1"], 5, dimension=24))
    collection.remove(["id-2"])
    return migrator, before


def test_a_rollback_is_refused_when_records_were_written(store: MemoryStore, projection: Projection) -> None:
    migrator, _ = written_after(store, projection)
    live = read(store)
    with pytest.raises(WrittenSinceError):
        migrator.rollback()
    assert_identical(read(store), live)
    assert len(store.versions()) == 1


def test_a_rollback_discards_what_was_written(store: MemoryStore, projection: Projection) -> None:
    migrator, before = written_after(store, projection)
    live = read(store)
    rollback = migrator.rollback(written="discard")
    (changes,) = rollback.written
    assert (changes.added, changes.changed, changes.deleted) == (1, 1, 1)
    assert_identical(read(store), before)
    (displaced,) = store.versions()
    assert_identical(read(store, displaced.address), live)


def test_a_rollback_carries_what_was_written(store: MemoryStore, projection: Projection) -> None:
    migrator, before = written_after(store, projection)
    live = read(store)
    assert migrator.rollback(written="carry").carried
    restored = read(store)
    assert contents(restored) == contents(live)
    assert restored.vectors.shape == (N, 16)
    assert np.isfinite(restored.vectors).all()
    untouched = [record for record in before.ids if record not in ("id-1", "id-2")]
    collection = store.collection(DOCS)
    old = before.rows([before.ids.index(record) for record in untouched])
    assert_identical(collection.records(untouched), old)


def test_an_interrupted_migration_goes_on_or_is_undone(store: MemoryStore, projection: Projection) -> None:
    before, calls = read(store), 0

    def stop_later(progress: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KilledError

    with pytest.raises(KilledError):
        ChromaMigrator(store, page_size=10, on_progress=stop_later).migrate_collection("docs", projection)
    migrator = ChromaMigrator(store, page_size=10)
    assert migrator.interrupted
    assert_identical(read(store), before)
    (building,) = store.versions()
    opened = store.collection(building.address).facts()
    assert opened.count >= 20
    with pytest.raises(NothingToMigrateError):
        migrator.resume()
    migrator.migrate_collection("docs", projection)
    assert store.collection(DOCS).facts().id == opened.id, "what was built is used, not built again"
    assert not migrator.interrupted
    assert_projected(read(store), before, projection)
    migrator.rollback()
    with pytest.raises(KilledError):
        ChromaMigrator(store, on_progress=stop).migrate_collection("docs", projection)
    assert migrator.undo()
    assert not migrator.undo()
    assert_identical(read(store), before)
