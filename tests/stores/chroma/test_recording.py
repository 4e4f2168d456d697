"""A migrated collection records a function only where one was recorded, and only one that other processes can build."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromadb import Documents, EmbeddingFunction

from lightmigrate.migrator import Migrator
from lightmigrate.stores.chroma.client import describe_function, open_client
from lightmigrate.stores.chroma.schema import recording
from tests.databases import make_projection, make_vectors
from tests.encoders import WordLlamaFunction

CHROMAS_OWN = {"name": "default", "config": {}}
REGISTERED = {"name": "test_minilm", "config": {}}
OPENAI = {"name": "openai", "config": {"model_name": "m", "api_key_env_var": "KEY"}, "only_replaces": True}


class Unregistered(EmbeddingFunction[Documents]):
    """An operator's wrapper: no other process knows its name."""

    def __init__(self) -> None: ...

    def __call__(self, input: Documents) -> Any:
        return [np.ones(8, np.float32) for _ in input]

    @staticmethod
    def name() -> str:
        return "operators_wrapper"

    def get_config(self) -> dict[str, Any]:
        return {}


def schema_with(record: dict[str, Any] | None) -> dict[str, Any]:
    config = {"space": "l2", **({"embedding_function": {"type": "known", **record}} if record else {})}
    return {"keys": {"#embedding": {"float_list": {"vector_index": {"config": config}}}}}


def recorded(before: dict[str, Any] | None, description: dict[str, Any]) -> Any:
    changed = recording(schema_with(before), description)
    return changed["keys"]["#embedding"]["float_list"]["vector_index"]["config"].get("embedding_function")


@pytest.mark.parametrize("function", [OPENAI, describe_function(WordLlamaFunction()), {"type": "legacy"}])
def test_nothing_is_recorded_where_nothing_was(function: dict[str, Any]) -> None:
    assert recorded(None, function) is None


@pytest.mark.parametrize("before", [CHROMAS_OWN, REGISTERED])
def test_a_function_that_every_process_has_replaces_the_recorded_one(before: dict[str, Any]) -> None:
    assert recorded(before, OPENAI) == {"type": "known", "name": "openai", "config": OPENAI["config"]}


def test_an_own_function_replaces_an_own_one_and_not_one_of_chroma() -> None:
    new = describe_function(WordLlamaFunction(64))
    assert recorded(REGISTERED, new) == {"type": "known", "name": "test_wordllama", "config": new["config"]}
    assert recorded(CHROMAS_OWN, new) == {"type": "legacy"}


@pytest.mark.parametrize("before", [CHROMAS_OWN, REGISTERED])
def test_what_no_other_process_can_build_is_not_recorded(before: dict[str, Any]) -> None:
    assert recorded(before, describe_function(Unregistered())) == {"type": "legacy"}
    assert recorded(before, describe_function(lambda input: input)) == {"type": "legacy"}


def test_what_a_user_names_is_recorded_as_named() -> None:
    named = {"name": "ollama", "config": {"url": "u"}}
    assert recorded(None, describe_function(named)) == {"type": "known", **named}


READER = """
import sys, chromadb
collection = chromadb.PersistentClient(sys.argv[1]).get_or_create_collection(sys.argv[2])
assert collection.configuration["hnsw"]["space"] == "l2"
assert len(collection.query(query_embeddings=[[1.0] * 24], n_results=2)["ids"][0]) == 2
"""


@pytest.mark.parametrize("name", ["file-1", "langchain"])
def test_another_process_opens_by_its_name_what_was_migrated_with_a_wrapper(tmp_path: Path, name: str) -> None:
    """A collection that records Chroma's default because nobody said otherwise, and one that records nothing."""
    options: dict[str, Any] = {} if name == "file-1" else {"embedding_function": None}
    with open_client(tmp_path / "db") as client:
        client.create_collection(name, **options).add(ids=[str(i) for i in range(20)], embeddings=make_vectors(20))
    Migrator(tmp_path / "db").migrate_collection(name, make_projection(), embedding_function=Unregistered())
    subprocess.run([sys.executable, "-c", READER, str(tmp_path / "db"), name], check=True)


def test_the_objects_of_a_client_get_the_function_only_if_it_is_one_of_chroma(tmp_path: Path) -> None:
    with open_client(tmp_path / "db") as client:
        held = client.create_collection("notes", embedding_function=None)
        held.add(ids=[str(i) for i in range(20)], embeddings=make_vectors(20))
        Migrator(client).migrate_collection("notes", make_projection(), embedding_function=lambda texts: texts)
        assert held._embedding_function is None
        assert held.query(query_embeddings=make_vectors(1, 24), n_results=1)["ids"] is not None
