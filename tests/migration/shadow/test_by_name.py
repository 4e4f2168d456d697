"""Applications that ask for a collection by its name in the instant of an exchange in which nothing has that name."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from chromadb.errors import ChromaError, NotFoundError

from lightmigrate import ChromaMigrator, Projection
from lightmigrate.stores.chroma.by_name import get_collection
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.live import LiveChromaStore
from lightmigrate.stores.chroma.names import State, VersionName
from tests.databases import NEW_DIM, make_vectors
from tests.migration.shadow.instant import do_in_that_instant
from tests.migration.shadow.rows import N, handle, names, read

Between = Callable[[Callable[[], None]], None]


class KilledError(BaseException):
    """The process ends here."""


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Between:
    """Has something done between the second and the third rename of the first exchange."""
    return lambda do: do_in_that_instant(monkeypatch, do)


def dimension(collection: Any) -> int:
    return int(collection.get(limit=1, include=["embeddings"])["embeddings"].shape[1])


def test_a_reader_gets_an_answer(client: Any, projection: Projection, between: Between) -> None:
    class Watched:
        """The client of a reader, which tells that it was refused."""

        def __init__(self) -> None:
            self.refused, self.listed = threading.Event(), threading.Event()

        def get_collection(self, name: str, **options: Any) -> Any:
            try:
                return client.get_collection(name, **options)
            except NotFoundError:
                self.refused.set()
                raise

        def list_collections(self) -> Any:
            self.listed.set()
            return client.list_collections()

    found: list[Any] = []
    listed: list[str] = []
    watched = Watched()
    reader = threading.Thread(target=lambda: found.append(get_collection(watched, "memory", embedding_function=None)))
    lister = threading.Thread(
        target=lambda: listed.extend(str(facts.address) for facts in LiveChromaStore(client).collections())
    )

    def read_now() -> None:
        with pytest.raises(NotFoundError):
            handle(client)
        reader.start()
        lister.start()
        assert watched.refused.wait(60)
        assert watched.listed.wait(60)

    between(read_now)
    ChromaMigrator(client).migrate_collection("memory", projection)
    reader.join()
    lister.join()
    assert [dimension(one) for one in found] == [NEW_DIM]
    assert listed == ["bystander", "memory"]


def test_what_an_application_creates_in_that_instant_is_not_in_the_way(
    client: Any, projection: Projection, between: Between
) -> None:
    created = []
    between(lambda: created.append(client.get_or_create_collection("memory", embedding_function=None)))
    migrator = ChromaMigrator(client)
    migrator.migrate_collection("memory", projection)
    assert len(read(client)) == N
    assert dimension(handle(client)) == NEW_DIM
    assert names(client) == {"memory", "bystander", migrator.backups()[0].name}
    assert created[0].count() == N, "the application's object leads to the new collection"


def test_what_it_wrote_there_is_kept(
    client: Any, projection: Projection, between: Between, caplog: pytest.LogCaptureFixture
) -> None:
    def write() -> None:
        client.get_or_create_collection("memory", embedding_function=None).add(
            ids=["too early"], embeddings=make_vectors(1, NEW_DIM)
        )

    between(write)
    with caplog.at_level(logging.WARNING, "lightmigrate"):
        ChromaMigrator(client).migrate_collection("memory", projection)
    (late,) = (name for name in names(client) if VersionName.parse(name).state is State.LATE)
    assert f"wrote 1 records to it: they are in  {late}" in caplog.text
    assert read(client, late).keys() == {"too early"}
    assert len(read(client)) == N
    assert len(ChromaMigrator(client).backups()) == 1


def test_what_it_writes_there_too_late_is_refused_and_not_lost(
    client: Any, projection: Projection, between: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    created: list[Any] = []
    refused: list[Any] = []

    def write_first(collection: ChromaCollection) -> None:
        """The application writes after it was seen that it had written nothing."""
        with pytest.raises(ChromaError) as error:
            created[0].add(ids=["too late"], embeddings=make_vectors(1, NEW_DIM))
        refused.append(error)
        delete(collection)

    delete = ChromaCollection.delete
    between(lambda: created.append(client.get_or_create_collection("memory", embedding_function=None)))
    monkeypatch.setattr(ChromaCollection, "delete", write_first)
    ChromaMigrator(client).migrate_collection("memory", projection)
    assert refused
    assert len(read(client)) == N


def test_a_crash_then_is_finished(client: Any, projection: Projection, between: Between) -> None:
    def create_and_die() -> None:
        client.get_or_create_collection("memory", embedding_function=None)
        raise KilledError

    between(create_and_die)
    with pytest.raises(KilledError):
        ChromaMigrator(client).migrate_collection("memory", projection)
    assert len(read(client)) == 0
    migrator = ChromaMigrator(client)
    assert "finished" in (migrator.recover() or "")
    assert len(read(client)) == N
    assert names(client) == {"memory", "bystander", migrator.backups()[0].name}


def test_a_name_that_nothing_has_is_refused_at_once(client: Any) -> None:
    with pytest.raises(NotFoundError):
        get_collection(client, "no such collection")
