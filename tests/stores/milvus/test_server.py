"""What goes to a server: Milvus Lite answers over the network as one; Milvus's own server is not to be had here."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymilvus import MilvusClient

from lightmigrate import Migrator
from lightmigrate.errors import DatabaseError, LightmigrateError
from lightmigrate.stores.base import Address
from lightmigrate.stores.milvus import calls
from lightmigrate.stores.milvus.place import TOKEN_VARIABLE, open_server
from lightmigrate.stores.milvus.store import MilvusStore
from lightmigrate.stores.open import argument_of, open_database
from tests.databases import NEW_DIM, make_projection
from tests.stores.milvus.rows import everything
from tests.stores.milvus.test_migration import assert_migrated, plain


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of a server, as pymilvus takes it."""
    from milvus_lite.adapter.grpc.server import start_server_in_thread

    server, database, port = start_server_in_thread(str(tmp_path / "milvus.db"))
    yield f"http://127.0.0.1:{port}"
    server.stop(grace=0)
    database.close()


@pytest.fixture
def as_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Milvus Lite is sent what a server would be."""
    monkeypatch.setattr(calls, "_LITE", "no version begins so")
    monkeypatch.setattr("lightmigrate.stores.milvus.store.OLDEST", ())


@pytest.mark.usefixtures("as_server")
@pytest.mark.parametrize("aliased", [False, True])
def test_a_migration_over_the_network_and_back(address: str, aliased: bool) -> None:
    client = MilvusClient(uri=address)
    plain(client, "docs_v1" if aliased else "docs", 30)
    if aliased:
        client.create_alias("docs_v1", "docs")
    before, url = everything(client), address.replace("http://", "milvus://")
    store = open_database(url)
    assert isinstance(store, MilvusStore)
    assert (str(store), argument_of(store), store.folder) == (url, url, None)
    assert not store.capabilities.one_client
    migrator = Migrator(url, page_size=10)
    migrator.migrate_collection("docs", make_projection())
    assert_migrated(everything(client), before, make_projection())
    migrator.rollback()
    assert everything(client) == before
    migrator.clean()
    assert client.list_collections() == ["docs_v1" if aliased else "docs"]
    client.release_collection("docs")
    assert "load_collection('docs')" in str(store.refusal(Address("docs"), NEW_DIM))
    assert store.collections()[0].count == 30
    with pytest.raises(LightmigrateError, match="not loaded"):
        list(store.collection(Address("docs")).scan(5))
    client.close()


def test_an_old_server_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MilvusClient, "get_server_version", lambda self, **options: "v2.5.4-dev")
    with MilvusStore(open_server(address.replace("http", "milvus")), owned=True) as store:
        assert "v2.5.4-dev, and 2.6.2 or newer" in str(store.unsupported())


@pytest.mark.parametrize(
    "url", ["milvus://user:secret@host", "milvus://host/a/b", "milvus://host:x", "milvus://", "milvus://h?token=secret"]
)
def test_an_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(DatabaseError, match=TOKEN_VARIABLE) as raised:
        open_database(url)
    assert "secret" not in str(raised.value)


def test_a_token_is_not_sent_without_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    with pytest.raises(DatabaseError, match=r"milvus\+https://example.org") as raised:
        open_database("milvus://example.org")
    assert "secret" not in str(raised.value)


def test_no_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    monkeypatch.setattr("lightmigrate.stores.milvus.place._SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(DatabaseError, match="no Milvus server") as raised:
        open_database(f"milvus://127.0.0.1:{port}")
    assert "secret" not in str(raised.value)
