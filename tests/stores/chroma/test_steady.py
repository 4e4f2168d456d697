"""A steady client is Chroma's own in all that has nothing to do with an exchange."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
import pytest
from chromadb.errors import NotFoundError

from lightmigrate import Migrator
from lightmigrate.errors import DatabaseError
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.steady import steady


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Any]:
    with open_client(tmp_path / "db") as opened:
        yield opened


def test_it_finds_and_makes_collections_as_chroma_does(client: Any) -> None:
    own = steady(client)
    with pytest.raises(NotFoundError):
        own.get_collection("notes")
    made = own.get_or_create_collection("notes", None, {"hnsw": {"space": "cosine"}}, {"owner": "raa"}, None)
    assert made.metadata == {"owner": "raa"}
    assert made.configuration["hnsw"]["space"] == "cosine"
    made.add(["a"], embeddings=[[1.0, 2.0]])
    for again in (
        own.get_or_create_collection("notes", metadata={"ignored": 1}, embedding_function=None),
        own.create_collection("notes", get_or_create=True, embedding_function=None),
        own.get_collection("notes", None),
        client.get_collection("notes", embedding_function=None),
    ):
        assert (again.id, again.metadata, again.count()) == (made.id, {"owner": "raa"}, 1)
    assert own.create_collection("others", embedding_function=None).id != made.id
    assert sorted(one.name for one in own.list_collections()) == ["notes", "others"]
    assert [facts.name for facts in Migrator(own).collections()] == ["notes", "others"]


def test_it_refuses_what_chroma_refuses(client: Any) -> None:
    class Function(chromadb.EmbeddingFunction[Any]):
        def __init__(self) -> None: ...
        def __call__(self, input: Any) -> Any:
            return [[1.0, 2.0] for _ in input]

        @staticmethod
        def name() -> str:
            return "another"

        def get_config(self) -> dict[str, Any]:
            return {}

        @staticmethod
        def build_from_config(config: dict[str, Any]) -> Any:
            return Function()

    client.create_collection("notes")  # its own function, which is loaded when it is used
    for one in (client, steady(client)):
        with pytest.raises(ValueError, match=r"[Ee]mbedding function"):
            one.get_or_create_collection("notes", embedding_function=Function())


def test_closing_it_closes_the_client(tmp_path: Path) -> None:
    client = open_client(tmp_path / "db")
    with steady(client) as own:
        own.create_collection("notes", embedding_function=None)
    assert client._closed


def test_what_is_no_client_is_refused(client: Any) -> None:
    with pytest.raises(DatabaseError, match="a dict is no client"):
        steady({})
