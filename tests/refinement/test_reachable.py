"""Rows that searches no longer reach after vectors were replaced, and what the application writes meanwhile."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate.refinement.reachable import unreached, write_unreached
from lightmigrate.refinement.slices import StoppedError
from lightmigrate.refinement.turns import GivingWay
from lightmigrate.stores.base import Address, Metric, Page
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.live import LiveChromaStore
from lightmigrate.vectors import Vectors
from tests.encoders import shared_wordllama
from tests.startup.starts import CORPUS

ROWS, WORDS = 1000, 25
IDS = [f"r{row}" for row in range(ROWS)]
MEMORY = Address("memory")


def new_and_projected() -> tuple[Vectors, Vectors]:
    """Parts of documents as a real model embeds them, and a weak projection of another model's vectors to that."""
    words = [document.split() for document in CORPUS.documents]
    parts = [" ".join(each[at : at + WORDS]) for each in words for at in range(0, len(each) - WORDS, WORDS)][:ROWS]
    new, old = shared_wordllama(256).embed(parts), shared_wordllama(64).embed(parts)[:, :16]
    old, mean = old - old.mean(axis=0), new.mean(axis=0)
    weights = np.linalg.lstsq(old[:200], new[:200] - mean, rcond=None)[0]
    return new, np.asarray(old @ weights + mean, np.float32)


NEW, PROJECTED = new_and_projected()


def embed(page: Page) -> Vectors:
    """The model's vectors of texts, each of which is the number of a row."""
    return NEW[[int(text or 0) for text in page.texts]]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    with open_client(tmp_path) as opened:
        yield opened


def loosened(client: Any, space: Metric) -> ChromaCollection:
    """A collection whose vectors were all replaced, in pieces, at random."""
    memory = client.create_collection("memory", embedding_function=None, configuration={"hnsw": {"space": space}})
    memory.add(ids=IDS, embeddings=PROJECTED, documents=[str(row) for row in range(ROWS)])
    order = np.random.default_rng(2).permutation(ROWS)
    for start in range(0, ROWS, 64):
        part = order[start : start + 64]
        memory.update(ids=[IDS[row] for row in part], embeddings=NEW[part])
    return LiveChromaStore(client).collection(MEMORY)


def missed(collection: ChromaCollection, space: Metric) -> list[str]:
    return list(unreached(collection, collection.records(IDS), space).ids)


@pytest.mark.parametrize(
    ("space", "least", "took", "first"),
    [
        ("l2", 0.5, 0.0, IDS),
        ("cosine", 0.02, 0.0, []),
        ("cosine", 0.02, 1e-12, []),  # no time for a piece
        ("cosine", 0.02, math.inf, IDS),
    ],
)
def test_every_row_is_found_again(client: Any, space: Metric, least: float, took: float, first: Sequence[str]) -> None:
    """Before those that searches miss, all are written where these are many, or as many as there is time for."""
    collection = loosened(client, space)
    before = len(missed(collection, space))
    assert before > least * ROWS, "replacing vectors loses rows"
    noted: list[str] = []
    written = write_unreached(collection, embed, note=lambda page: noted.extend(page.ids), took=took)
    assert len(noted) == sum(written) + len(first)
    assert {*noted} >= {*first}
    assert first or written[0] >= before // 2
    assert len(missed(collection, space)) <= 1
    held = collection.records(IDS)
    np.testing.assert_allclose(held.vectors, NEW, atol=1e-6)
    assert held.texts == [str(row) for row in range(ROWS)]


def test_what_the_application_writes_in_between_stays(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = loosened(client, "l2")
    memory = client.get_collection("memory", embedding_function=None)
    first, second, third, *_ = missed(collection, "l2")
    replace_vectors, times = ChromaCollection.replace_vectors, list[list[str]]()

    def replaced(own: ChromaCollection, ids: Sequence[str], vectors: Vectors) -> None:
        times.append(list(ids))
        if len(times) == 1:  # after these rows were read for the last time
            memory.update(ids=[first], documents=["7"], embeddings=NEW[7:8])
            memory.delete(ids=[second])
        replace_vectors(own, ids, vectors)

    monkeypatch.setattr(ChromaCollection, "replace_vectors", replaced)
    records, done = ChromaCollection.records, list[str]()

    def looked(own: ChromaCollection, ids: Sequence[str], **named: Any) -> Page:
        if third in ids:
            done.append(third)
            if len(done) == 2:  # they are read again before they are written
                memory.update(ids=[third], embeddings=NEW[9:10])
        return records(own, ids, **named)

    monkeypatch.setattr(ChromaCollection, "records", looked)
    write_unreached(collection, embed)
    monkeypatch.undo()
    assert {first, second} <= {*times[0]}
    assert third not in times[0]
    held = dict(zip((page := collection.records(IDS)).ids, page.vectors, strict=True))
    assert second not in held
    np.testing.assert_allclose(held[first], NEW[7], atol=1e-6)
    np.testing.assert_allclose(held[third], NEW[9], atol=1e-6)


def test_copies_are_no_rows_that_are_missed_and_a_stop_ends_it(client: Any) -> None:
    memory = client.create_collection("memory", embedding_function=None)
    memory.add(ids=IDS[:100], embeddings=np.repeat(NEW[:10], 10, axis=0), documents=["0"] * 100)
    collection = LiveChromaStore(client).collection(MEMORY)
    assert write_unreached(collection, embed) == [0]
    turns = GivingWay()
    turns.stop()
    with pytest.raises(StoppedError):
        write_unreached(collection, embed, turns)
    memory.delete(ids=IDS[:100])
    assert write_unreached(collection, embed) == [0]
