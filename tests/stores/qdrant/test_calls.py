"""The calls of a migration beside those of the application, through one client of local mode."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from qdrant_client import QdrantClient, models

from lightmigrate.stores.qdrant.calls import QdrantCalls
from tests.databases import make_vectors
from tests.stores.qdrant.points import everything, plain, point_id

_WRITTEN = 400


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads that take turns so often that a race is met within some hundred calls."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_an_application_writes_while_a_migration_reads(eager_threads: None) -> None:
    client = QdrantClient(":memory:")
    plain(client, "docs")
    calls, done, added = QdrantCalls(client), threading.Event(), make_vectors(_WRITTEN, seed=9)
    has_vector = models.Filter(must=[models.HasVectorCondition(has_vector="")])

    def write() -> None:
        try:
            for row in range(_WRITTEN):
                client.upsert("docs", [models.PointStruct(id=1000 + row, vector=added[row].tolist(), payload={})])
                client.delete("docs", models.PointIdsList(points=[1000 + row]))
        finally:
            done.set()

    with ThreadPoolExecutor(1) as application:
        written = application.submit(write)
        while not done.is_set():
            calls.scroll("docs", 1000, None, has_vector)
        written.result()
    assert set(everything(client)) == {str(point_id(row)) for row in range(60)}


def test_two_stores_of_one_client_take_the_same_turns() -> None:
    client = QdrantClient(":memory:")
    upsert = (QdrantCalls(client), client._client.upsert)[1]
    assert QdrantCalls(client).client._client.upsert is upsert
