"""Two vectors of one dimension in a collection: one goes after the other, which is said before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from lightmigrate import Migrator, auto_migrate
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.migrate import migrate_with_projection
from lightmigrate.errors import RefusedError
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.stores.base import Address
from lightmigrate.stores.qdrant.store import QdrantStore
from tests.databases import NEW_DIM, OLD_DIM, make_projection
from tests.encoders import shared_wordllama
from tests.stores.qdrant.points import DOT, assert_same, everything, two

IMAGE, TEXT = Address("docs", vector="image"), Address("docs", vector="text")


@pytest.fixture
def client() -> QdrantClient:
    client = QdrantClient(":memory:")
    two(client)
    return client


def migrate(client: QdrantClient, file: Path, *names: str) -> list[int]:
    """What the command does; the dimensions of the vectors afterwards."""
    yes = Conversation(lambda question: True)
    migrate_with_projection(DatabaseChoice(client), file, MigrationOptions(), collections=names, conversation=yes)
    return [facts.dimension or 0 for facts in Migrator(client).collections()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    make_projection().save(tmp_path / "projection.npz")
    return tmp_path / "projection.npz"


def test_both_at_once_are_refused_and_nothing_is_built(client: QdrantClient, file: Path) -> None:
    before = everything(client)
    for names in ([], ["docs.text", "docs.image"]):
        with pytest.raises(RefusedError, match=r"name one with  -c docs\.\w+  and, when it is done, the next with  -c"):
            migrate(client, file, *names)
    with pytest.raises(RefusedError):
        Migrator(client).migrate([CollectionJob(each, make_projection()) for each in (IMAGE, TEXT)])
    assert QdrantStore(client).versions() == []
    assert migrate(client, file, "docs.image") == [NEW_DIM, OLD_DIM]
    assert migrate(client, file) == [NEW_DIM, NEW_DIM], "the other one is alone now"
    Migrator(client).rollback()
    Migrator(client).rollback(next(each.name for each in Migrator(client).backups() if "image" in each.name))
    assert_same(everything(client), before)


def test_what_an_earlier_run_left_is_finished_or_discarded_as_doctor_says(client: QdrantClient, file: Path) -> None:
    store, projection = QdrantStore(client), make_projection()
    for finish in (True, False):
        if not finish:
            client = QdrantClient(":memory:")
            two(client)
            store = QdrantStore(client)
        store.create_version(store.collection(IMAGE), "k1", NEW_DIM, None)
        found = Migrator(client).diagnose()
        assert "the same migration (-c docs.image) goes on,  lightmigrate resume" in str(found.unfinished)
        with pytest.raises(RefusedError, match=r"-c docs\.image"):
            migrate(client, file)
        if finish:
            assert migrate(client, file, "docs.image") == [NEW_DIM, OLD_DIM]
        else:
            assert Migrator(client).undo()
        assert Migrator(client).unfinished is None
        assert Migrator(client).migrate_collection("docs.text", projection).current_dim == NEW_DIM


def test_a_start_takes_one_and_the_next_start_the_other() -> None:
    client = QdrantClient(":memory:")
    sizes = {each: models.VectorParams(size=OLD_DIM, distance=DOT) for each in ("image", "text")}
    client.create_collection("docs", vectors_config=sizes)
    report = auto_migrate(client, shared_wordllama().embed, calibrate=0, on_failure="raise")
    assert [(each.action, each.reason) for each in report.collections] == [
        ("migrated", ""),
        ("refused", "docs.image goes first, this at the next start"),
    ]
    auto_migrate(client, shared_wordllama().embed, calibrate=0, on_failure="raise")
    assert {facts.dimension for facts in Migrator(client).collections()} == {256}
