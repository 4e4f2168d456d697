"""The Chroma store keeps its promises of `stores.base` on a real database."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from chromadb.api.types import Documents, EmbeddingFunction, Embeddings
from chromadb.config import Settings
from pydantic.v1 import BaseSettings

from lightmigrate.errors import CollectionNotFoundError, LightmigrateError
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma.client import copied, describe_function, open_client
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.chroma.files import ChromaFiles
from lightmigrate.stores.chroma.folder import DATABASE_FILE
from lightmigrate.stores.distance import measured_space
from lightmigrate.stores.files import require_unused
from lightmigrate.stores.users import users_of
from tests.databases import make_vectors, records


@pytest.fixture
def store(database: Path) -> Iterator[ChromaFolderStore]:
    with ChromaFolderStore(database) as opened:
        yield opened


THOUGHTS = Address("thought_nodes")


def test_pages_hold_every_record_once_in_order(store: ChromaFolderStore) -> None:
    pages = list(store.collection(THOUGHTS).scan(13))
    assert [len(page) for page in pages] == [13, 13, 13, 13, 8]
    expected = records(60)
    assert [id_ for page in pages for id_ in page.ids] == expected["ids"]
    assert [text for page in pages for text in page.texts] == expected["documents"]
    assert [(payload or {}).get("uri") for page in pages for payload in page.payloads] == expected["uris"]
    vectors = np.concatenate([page.vectors for page in pages])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected["embeddings"], atol=1e-6)


def test_pages_without_vectors_hold_everything_else(store: ChromaFolderStore) -> None:
    with_all, without = (list(store.collection(THOUGHTS).scan(20, vectors=wanted)) for wanted in (True, False))
    assert [page.vectors.shape for page in without] == [(20, 0)] * 3
    for one, other in zip(with_all, without, strict=True):
        said = ((page.ids, page.texts, page.payloads) for page in (one, other))
        assert next(said) == next(said)


def test_pages_of_an_empty_collection(store: ChromaFolderStore) -> None:
    assert list(store.collection(Address("empty")).scan(10)) == []


def test_more_records_than_one_batch_takes(tmp_path: Path) -> None:
    n = 6000  # Chroma takes 5,461 at once
    with ChromaFolderStore(tmp_path / "db") as store:
        with open_client(tmp_path / "db") as client:
            client.create_collection("many", embedding_function=None)
        collection = store.collection(Address("many"))
        nothing = [None] * n
        collection.add(Page([str(row) for row in range(n)], make_vectors(n, 4), nothing, nothing))
        assert collection.count() == n
        assert [id_ for page in collection.scan(5000) for id_ in page.ids] == [str(row) for row in range(n)]


@pytest.mark.parametrize("name", ["thought_nodes", "notes", "other_model", "empty"])
def test_a_clone_has_all_settings_and_no_record(name: str, store: ChromaFolderStore) -> None:
    source = store.collection(Address(name))
    clone = store.create(Address("the-clone"), source, 16, None)
    assert clone.settings() == source.settings()
    assert clone.count() == 0
    assert clone.address == Address("the-clone")


def test_a_clone_takes_another_dimension_and_another_function(store: ChromaFolderStore) -> None:
    function = {"name": "openai", "config": {"model_name": "text-embedding-3-small"}}
    clone = store.create(Address("the-clone"), store.collection(THOUGHTS), 77, function)
    clone.add(Page(["a"], make_vectors(1, 77), ["text"], [None]))
    assert next(clone.scan(1)).vectors.shape == (1, 77)
    assert clone.settings() == store.collection(THOUGHTS).settings()


def test_no_such_collection(store: ChromaFolderStore) -> None:
    with pytest.raises(CollectionNotFoundError, match="no collection nope"):
        store.collection(Address("nope"))


def test_closing_releases_every_file(database: Path) -> None:
    with ChromaFolderStore(database) as store:
        store.collection(THOUGHTS)
        store.collection(Address("thought_nodes", "second_tenant", "archive"))
        assert users_of(database / DATABASE_FILE)
    require_unused(ChromaFiles(database))


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("space", ["l2", "cosine", "ip"])
def test_the_distance_function_is_measured(space: str, normalised: bool, tmp_path: Path) -> None:
    vectors = make_vectors(300)
    if normalised:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[:50] = 0  # they tell nothing, and must not mislead
    with open_client(tmp_path) as client:
        client.create_collection(
            "some",
            embedding_function=None,
            configuration={"hnsw": {"space": space}},
        ).add(ids=[str(row) for row in range(300)], embeddings=vectors)
    with ChromaFolderStore(tmp_path) as store:
        assert measured_space(store.collection(Address("some"))) == space


def test_nothing_can_be_measured_on_nothing(store: ChromaFolderStore) -> None:
    assert measured_space(store.collection(Address("empty"))) is None


class Function:
    """An embedding function, as far as its description goes."""

    @staticmethod
    def name() -> str:
        return "mine"

    def get_config(self) -> dict[str, Any]:
        return {"model": "x"}


def test_an_embedding_function_is_described_by_name_and_configuration() -> None:
    described = {"name": "mine", "config": {"model": "x"}, "only_replaces": True}
    assert describe_function(Function()) == described
    assert describe_function({"name": "mine", "config": {}}) == {"name": "mine", "config": {}}
    unusable: list[Any] = [3, "mine", {"name": "mine"}, {"config": {}}, {"name": 1, "config": {}}]
    for bad in unusable:
        with pytest.raises(LightmigrateError, match="neither an embedding function nor"):
            describe_function(bad)


def test_a_function_that_says_nothing_of_itself_is_described_as_chroma_does(tmp_path: Path) -> None:
    class Silent(EmbeddingFunction[Documents]):
        def __init__(self) -> None: ...

        def __call__(self, input: Documents) -> Embeddings:
            return [np.ones(4, np.float32) for _ in input]

    with open_client(tmp_path) as client, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Chroma's own, of functions that say nothing
        created = client.create_collection("some", embedding_function=Silent())
        recorded = created.get_model().serialized_schema["keys"]["#embedding"]["float_list"]["vector_index"]["config"]
        assert describe_function(Silent()) == recorded["embedding_function"]
    assert describe_function(lambda input: input) == recorded["embedding_function"]


def test_settings_of_an_older_chroma_are_copied_too() -> None:
    class Older(BaseSettings):
        persist_directory: str = "./chroma"

    for settings in (Older(), Settings(persist_directory="./chroma")):
        other: Any = copied(cast(Any, settings))
        other.persist_directory = "./another"
        assert settings.persist_directory == "./chroma"
        assert type(other) is type(settings)
