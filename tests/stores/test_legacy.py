"""Folders that old Chroma versions wrote: see `legacy/build.py`, which knows what is really in them."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from lightmigrate import ChromaMigrator, CollectionJob
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma import ChromaStore, open_client
from lightmigrate.stores.chroma_folder import read_catalog
from lightmigrate.stores.probe import measured_space
from tests.databases import NEW_DIM, OLD_DIM, folder_hash, make_projection
from tests.stores.legacy.build import HERE, RECIPES, VERSIONS, Recipe, recipes, record

Matrix = npt.NDArray[np.float64]
PROJECTION = make_projection()

# Every collection of every folder.
CASES = [pytest.param(version, recipe.name, id=f"{version}-{recipe.name}")
         for version in VERSIONS for recipe in recipes(version)]  # fmt: skip
REPORTED = [case for case in CASES if case.values[1] != "configured"]
BY_NAME = {recipe.name: recipe for recipe in RECIPES}


def unpack(version: str, home: Path) -> Path:
    """The folder as that version left it, alone in its parent."""
    with tarfile.open(HERE / f"chroma-{version}.tar.gz") as archive:
        archive.extractall(home / "chroma_data", filter="data")
    return home / "chroma_data"


def truth(recipe: Recipe) -> npt.NDArray[np.float32]:
    """The vectors that were put in and not deleted."""
    return recipe.vectors()[recipe.kept]


def distances(space: str, queries: Matrix, vectors: Matrix) -> Matrix:
    """Between every query `(q, d)` and every vector `(n, d)`, as textbooks have it. `(q, n)`."""
    products = queries @ vectors.T
    if space == "l2":
        return np.asarray(((queries[:, None] - vectors[None]) ** 2).sum(axis=2))
    if space == "cosine":
        products /= np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(vectors, axis=1)
    return np.asarray(1 - products)


def only_page(store: ChromaStore, name: str) -> Page:
    """All records of a small collection."""
    (page,) = store.collection(Address(name)).pages(1000)
    return page


def assert_records(page: Page, recipe: Recipe) -> None:
    """All ids, documents, metadata and uris, in the order they were put in, of the same types."""
    columns = zip(page.ids, page.documents, page.metadatas, page.uris, strict=True)
    assert [repr(_sorted(row)) for row in columns] == [repr(_sorted(record(row))) for row in recipe.kept]


def _sorted(row: tuple[object, ...]) -> list[object]:
    return [sorted(value.items()) if isinstance(value, dict) else value for value in row]


def assert_distances(folder: Path, recipe: Recipe, vectors: npt.NDArray[np.float32]) -> None:
    """Chroma itself finds every record at its true distance."""
    queries = 1.5 * vectors[:4] + 0.1
    with open_client(folder) as client:
        collection = client.get_collection(recipe.name, embedding_function=None)
        found = collection.query(query_embeddings=queries, n_results=len(vectors), include=["distances"])
    expected = distances(recipe.space, queries.astype(float), vectors.astype(float))
    ids = [record(row)[0] for row in recipe.kept]
    for row, (found_ids, found_distances) in enumerate(zip(found["ids"], found["distances"], strict=True)):
        assert sorted(found_ids) == sorted(ids)
        order = [ids.index(one) for one in found_ids]
        np.testing.assert_allclose(found_distances, expected[row][order], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(("version", "name"), CASES)
def test_the_fixture_holds_what_was_put_in(version: str, name: str, tmp_path: Path) -> None:
    """The truth of `build.py` is the truth of the folder: what the other tests compare with."""
    folder, recipe = unpack(version, tmp_path), BY_NAME[name]
    with ChromaStore(folder) as store:
        page = only_page(store, name)
        assert_records(page, recipe)
        np.testing.assert_allclose(page.vectors, truth(recipe), atol=1e-6)
        assert measured_space(store.collection(Address(name))) == recipe.space
    assert_distances(folder, recipe, truth(recipe))


@pytest.mark.parametrize("version", VERSIONS)
def test_looking_at_an_old_folder_changes_nothing(version: str, tmp_path: Path) -> None:
    folder = unpack(version, tmp_path)
    before = folder_hash(folder)
    migrator = ChromaMigrator(folder)
    found = {facts.name: (facts.count, facts.dimension) for facts in migrator.collections()}
    assert found == {recipe.name: (len(recipe.kept), OLD_DIM) for recipe in recipes(version)}
    assert {one.name for one in migrator.check_dimensions(NEW_DIM)} == set(found)
    plan = migrator.plan([CollectionJob("thought_nodes", PROJECTION)])
    assert set(plan.untouched) == set(found) - {"thought_nodes"}
    assert folder_hash(folder) == before


@pytest.mark.parametrize(("version", "name"), REPORTED)
def test_the_catalog_of_an_old_folder_tells_the_true_distance(version: str, name: str, tmp_path: Path) -> None:
    spaces = {facts.name: facts.space for facts in read_catalog(unpack(version, tmp_path))}
    assert spaces[name] == BY_NAME[name].space
