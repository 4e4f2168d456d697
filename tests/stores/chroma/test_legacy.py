"""Folders that old Chroma versions wrote: see `legacy/build.py`, which knows what is really in them."""

from __future__ import annotations

import sqlite3
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.migration.results import MigrationResult
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.chroma.folder import read_catalog
from lightmigrate.stores.distance import measured_space
from tests import databases
from tests.databases import NEW_DIM, OLD_DIM, folder_hash, make_projection
from tests.stores.chroma.legacy.build import HERE, RECIPES, VERSIONS, Recipe, recipes, record

Matrix = npt.NDArray[np.float64]
PROJECTION = make_projection()

# Every collection of every folder.
CASES = [pytest.param(version, recipe.name, id=f"{version}-{recipe.name}")
         for version in VERSIONS for recipe in recipes(version)]  # fmt: skip
TUNED = [case for case in CASES if case.values[1] in ("thought_nodes", "configured")]
BY_NAME = {recipe.name: recipe for recipe in RECIPES}


def unpack(version: str, home: Path) -> Path:
    """The folder as that version left it, alone in its parent."""
    databases.unpack(HERE / f"chroma-{version}.tar.gz", home / "chroma_data")
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


def only_page(store: ChromaFolderStore, name: str) -> Page:
    """All records of a small collection."""
    (page,) = store.collection(Address(name)).scan(1000)
    return page


def assert_records(page: Page, recipe: Recipe) -> None:
    """All ids, documents, metadata and uris, in the order they were put in, of the same types."""
    payloads = [payload or {} for payload in page.payloads]
    metadatas, uris = ([payload.get(key) for payload in payloads] for key in ("metadata", "uri"))
    columns = zip(page.ids, page.texts, metadatas, uris, strict=True)
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


def graph_of(folder: Path, name: str) -> tuple[int, int, int]:
    """Neighbours, ef of construction and records that the index on disk really has, from its own header."""
    with sqlite3.connect(folder / "chroma.sqlite3") as connection:
        (segment,) = connection.execute(
            "SELECT segments.id FROM segments JOIN collections ON collections.id = segments.collection "
            "WHERE scope = 'VECTOR' AND name = ?",
            (name,),
        ).fetchone()
    connection.close()
    fields = struct.unpack("<i6Qii3QdQ", (folder / segment / "header.bin").read_bytes())
    return fields[11], fields[13], fields[3]


@dataclass(frozen=True)
class Migrated:
    """A folder after all its collections were migrated in one go."""

    folder: Path
    hash_before: str
    results: dict[str, MigrationResult]


@pytest.fixture(scope="module")
def all_migrated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Migrated]:
    migrated = {}
    for version in VERSIONS:
        folder = unpack(version, tmp_path_factory.mktemp(f"home-{version}"))
        before = folder_hash(folder)
        jobs = [CollectionJob(recipe.name, PROJECTION) for recipe in recipes(version)]
        results = ChromaMigrator(folder, page_size=7).migrate(jobs)
        migrated[version] = Migrated(folder, before, {result.collection_name: result for result in results})
    return migrated


@pytest.mark.parametrize(("version", "name"), CASES)
def test_the_fixture_holds_what_was_put_in(version: str, name: str, tmp_path: Path) -> None:
    """The truth of `build.py` is the truth of the folder: what the other tests compare with."""
    folder, recipe = unpack(version, tmp_path), BY_NAME[name]
    with ChromaFolderStore(folder) as store:
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


@pytest.mark.parametrize(("version", "name"), CASES)
def test_the_catalog_of_an_old_folder_tells_the_true_distance(version: str, name: str, tmp_path: Path) -> None:
    spaces = {facts.name: facts.space for facts in read_catalog(unpack(version, tmp_path))}
    assert spaces[name] == BY_NAME[name].space


@pytest.mark.parametrize(("version", "name"), CASES)
def test_the_records_are_kept(version: str, name: str, all_migrated: dict[str, Migrated]) -> None:
    recipe, result = BY_NAME[name], all_migrated[version].results[name]
    assert (result.n_migrated, result.previous_dim, result.current_dim) == (len(recipe.kept), OLD_DIM, NEW_DIM)
    with ChromaFolderStore(all_migrated[version].folder) as store:
        page = only_page(store, name)
    assert_records(page, recipe)
    np.testing.assert_allclose(page.vectors, PROJECTION.apply(truth(recipe)), atol=2e-6)


@pytest.mark.parametrize(("version", "name"), CASES)
def test_the_true_distance_is_kept(version: str, name: str, all_migrated: dict[str, Migrated]) -> None:
    recipe, migrated = BY_NAME[name], all_migrated[version]
    checked = migrated.results[name].verification
    assert checked is not None
    assert checked.space == recipe.space
    with ChromaFolderStore(migrated.folder) as store:
        assert measured_space(store.collection(Address(name))) == recipe.space
    assert {facts.name: facts.space for facts in read_catalog(migrated.folder)}[name] == recipe.space
    assert_distances(migrated.folder, recipe, PROJECTION.apply(truth(recipe)))


@pytest.mark.parametrize(("version", "name"), TUNED)
def test_the_settings_of_the_index_are_kept(version: str, name: str, all_migrated: dict[str, Migrated]) -> None:
    migrated, recipe = all_migrated[version], BY_NAME[name]
    assert graph_of(migrated.folder, name)[:2] == (24, 150)  # what the index was built with
    with ChromaFolderStore(migrated.folder) as store:
        settings = store.collection(Address(name)).settings()
    index = settings["schema"]["keys"]["#embedding"]["float_list"]["vector_index"]["config"]
    assert index["space"] == "cosine"
    expected = {"max_neighbors": 24, "ef_construction": 150, "ef_search": 77, "batch_size": 8, "sync_threshold": 8}
    assert expected.items() <= index["hnsw"].items()
    assert settings["metadata"] == (recipe.metadata or {})
    with open_client(migrated.folder) as client:  # and Chroma no longer reports the defaults
        reported = client.get_collection(name, embedding_function=None).configuration["hnsw"]
    assert {"space": "cosine", "max_neighbors": 24, "ef_construction": 150, "ef_search": 77}.items() <= reported.items()


@pytest.mark.parametrize("version", VERSIONS)
def test_deleted_records_stay_deleted(version: str, all_migrated: dict[str, Migrated]) -> None:
    folder = all_migrated[version].folder
    for name in ("thinned", "thinned_cosine"):
        gone = [record(row)[0] for row in BY_NAME[name].deleted]
        with open_client(folder) as client:
            collection = client.get_collection(name, embedding_function=None)
            assert collection.get(ids=gone)["ids"] == []
            assert collection.count() == len(BY_NAME[name].kept)
        assert graph_of(folder, name)[2] <= len(BY_NAME[name].kept)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_backup_is_as_the_old_version_left_it(version: str, all_migrated: dict[str, Migrated]) -> None:
    migrated = all_migrated[version]
    (backup,) = {result.backup_path for result in migrated.results.values()}
    assert backup is not None
    assert folder_hash(backup) == migrated.hash_before
    assert {check.collection_name for check in ChromaMigrator(migrated.folder).verify()} == set(migrated.results)
    assert all(check.unchanged for check in ChromaMigrator(migrated.folder).verify())


@pytest.fixture(params=VERSIONS)
def old_folder(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    return request.param, unpack(request.param, tmp_path / "home")


def test_rollback_gives_the_old_bytes_back(old_folder: tuple[str, Path], projection: Projection) -> None:
    version, folder = old_folder
    before = folder_hash(folder)
    migrator = ChromaMigrator(folder)
    migrator.migrate([CollectionJob(recipe.name, projection) for recipe in recipes(version)])
    assert folder_hash(folder) != before
    migrator.rollback()
    assert folder_hash(folder) == before
    # and from there the same way can be gone again
    migrator.migrate([CollectionJob("thought_nodes", projection)])
    assert_distances(folder, BY_NAME["thought_nodes"], projection.apply(truth(BY_NAME["thought_nodes"])))


def test_old_collections_that_were_not_named_stay(old_folder: tuple[str, Path], projection: Projection) -> None:
    version, folder = old_folder
    ChromaMigrator(folder).migrate_collection("notes", projection)
    for recipe in recipes(version):
        if recipe.name != "notes":
            with ChromaFolderStore(folder) as store:
                page = only_page(store, recipe.name)
                assert_records(page, recipe)
                np.testing.assert_allclose(page.vectors, truth(recipe), atol=1e-6)
                assert measured_space(store.collection(Address(recipe.name))) == recipe.space
            assert_distances(folder, recipe, truth(recipe))


def test_a_migrated_old_folder_takes_new_records(old_folder: tuple[str, Path], projection: Projection) -> None:
    _, folder = old_folder
    ChromaMigrator(folder).migrate_collection("thinned_cosine", projection)
    recipe = BY_NAME["thinned_cosine"]
    again = [record(row)[0] for row in recipe.deleted]  # ids that were there once
    vectors = PROJECTION.apply(recipe.vectors()[list(recipe.deleted)])
    with open_client(folder) as client:
        collection = client.get_collection(recipe.name, embedding_function=None)
        collection.add(ids=again, embeddings=vectors, documents=["new"] * len(again))
    with open_client(folder) as client:
        collection = client.get_collection(recipe.name, embedding_function=None)
        assert collection.count() == recipe.n
        found = collection.query(query_embeddings=vectors, n_results=1)
    assert [ids[0] for ids in found["ids"]] == again


@pytest.mark.parametrize("version", VERSIONS)
def test_metadata_that_were_changed_do_not_change_the_distance(version: str, tmp_path: Path) -> None:
    """Old versions let `get_or_create_collection(metadata=…)` replace the metadata of an index that stays as it is."""
    folder = unpack(version, tmp_path)
    recipe = next(one for one in recipes(version) if one.space == "l2" and not (one.metadata or {}).get("hnsw:space"))
    with sqlite3.connect(folder / "chroma.sqlite3") as connection:
        ((collection,),) = connection.execute("SELECT id FROM collections WHERE name = ?", (recipe.name,))
        connection.execute("DELETE FROM collection_metadata WHERE collection_id = ?", (collection,))
        connection.execute(
            "INSERT INTO collection_metadata (collection_id, key, str_value) VALUES (?, 'hnsw:space', 'cosine')",
            (collection,),
        )
    connection.close()
    (facts,) = [facts for facts in read_catalog(folder) if facts.name == recipe.name]
    assert facts.space == "l2"
    vectors = truth(recipe)
    assert_distances(folder, recipe, vectors)
    result = ChromaMigrator(folder).migrate_collection(recipe.name, PROJECTION)
    assert result.verification is not None
    assert result.verification.space == "l2"
    assert_distances(folder, recipe, PROJECTION.apply(vectors))
    with open_client(folder) as client:
        assert client.get_collection(recipe.name, embedding_function=None).metadata == {"hnsw:space": "cosine"}
    (facts,) = [facts for facts in read_catalog(folder) if facts.name == recipe.name]
    assert facts.space == "l2"
    with ChromaFolderStore(folder) as store:
        assert store.collection(Address(recipe.name)).facts().space == "l2"
