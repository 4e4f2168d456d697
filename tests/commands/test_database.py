"""Which database a command works on, and which collection a name stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightmigrate.commands.database import DatabaseChoice, only_collection
from lightmigrate.errors import CollectionNotFoundError, DatabaseError, LightmigrateError
from lightmigrate.migrator import Migrator
from lightmigrate.stores.base import Address, Store
from lightmigrate.stores.chroma.client import open_client
from tests.stores.sqlite_vec.application import make_application

ELSEWHERE = ("second_tenant", "archive")


def test_a_name_alone_is_the_collection_of_the_default_database(database: Path) -> None:
    with open_client(database, *ELSEWHERE) as client:
        client.create_collection("theirs", embedding_function=None).add(ids=["a"], embeddings=[[1.0, 2.0]])
    migrator = Migrator(database)
    assert only_collection(migrator, "thought_nodes") == Address("thought_nodes")
    assert only_collection(migrator, "second_tenant/archive/thought_nodes") == Address("thought_nodes", *ELSEWHERE)
    assert only_collection(migrator, "theirs") == Address("theirs", *ELSEWHERE)  # no other has that name
    for name in ("", "nothing", "second_tenant/archive/notes"):
        with pytest.raises(CollectionNotFoundError, match=r"there are: .*second_tenant/archive/thought_nodes"):
            only_collection(migrator, name)


def test_a_database_is_opened_once_for_several_commands_and_closed(tmp_path: Path) -> None:
    make_application(tmp_path / "app.db")
    choice = DatabaseChoice(str(tmp_path / "app.db"), ("app.db",))
    with choice.opened() as opened:
        store = opened.connect()
        assert isinstance(store, Store)
        assert opened.words == choice.words
        with opened.opened() as again:
            assert again.connect() is store
        assert [facts.count for facts in store.collections()] == [40]  # who did not open it does not close it
    with pytest.raises(LightmigrateError, match="closed"):
        store.collections()


def test_what_is_no_database_is_said_when_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="int is not a database"):
        DatabaseChoice(5).connect()
    with pytest.raises(DatabaseError), DatabaseChoice("unknown://host/db").opened():
        pass
