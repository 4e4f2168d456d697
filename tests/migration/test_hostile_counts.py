"""Numbers of records at the edges of Chroma's batches, collections without any, names that are not unique."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Model
from lightmigrate.errors import NothingToMigrateError
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.chroma.folder import read_catalog
from tests.databases import NEW_DIM, OLD_DIM, contents, folder_hash, make_projection, make_vectors
from tests.migration.test_migrate import assert_migrated, assert_same

SPACES = ("l2", "cosine", "ip")
EMPTY = ("default_tenant", "default_database", "empty")
PROJECTION = make_projection()
FLAT = make_projection(source=Model("two", 2, normalised=False), target=Model("three", 3))


@pytest.mark.parametrize("emptied", [False, True])
def test_a_collection_without_records(emptied: bool, tmp_path: Path) -> None:
    """As a job it is refused, or made anew where it keeps a dimension; beside one it comes through as it was."""
    folder = tmp_path / "home" / "db"
    with open_client(folder) as client:
        client.create_collection("some", embedding_function=None).add(ids=["a"], embeddings=make_vectors(1))
        empty = client.create_collection("empty", embedding_function=None, metadata={"why": "nothing yet"})
        if emptied:
            ids = [f"{row}" for row in range(30)]
            empty.add(ids=ids, embeddings=make_vectors(30), documents=["gone"] * 30, metadatas=[{"k": 1}] * 30)
            empty.delete(ids=ids)
    before, bytes_before = contents(folder, (EMPTY,))["/".join(EMPTY)], folder_hash(folder)
    migrator = ChromaMigrator(folder)
    both = [CollectionJob("some", PROJECTION), CollectionJob("empty", PROJECTION)]
    if emptied:
        migrator.migrate(both)
        assert {one.name: one.dimension for one in read_catalog(folder)} == {"some": NEW_DIM, "empty": None}
        migrator.rollback()
    else:
        with pytest.raises(NothingToMigrateError, match="collection empty is empty"):
            migrator.migrate(both)
        assert folder_hash(folder) == bytes_before

    migrator.migrate_collection("some", PROJECTION)
    assert_same(before, contents(folder, (EMPTY,))["/".join(EMPTY)])
    facts = {one.name: (one.count, one.dimension) for one in read_catalog(folder)}
    assert facts == {"some": (1, NEW_DIM), "empty": (0, OLD_DIM if emptied else None)}
    with open_client(folder) as client:
        empty = client.get_collection("empty", embedding_function=None)
        empty.add(ids=["1"], embeddings=make_vectors(1))
        assert empty.query(query_embeddings=make_vectors(1), n_results=1)["ids"] == [["1"]]


PLACES = (
    ("default_tenant", "default_database"),
    ("default_tenant", "archive"),
    ("second", "default_database"),
    ("second", "archive"),
)


def test_one_name_in_several_databases_of_several_tenants(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "db"
    with open_client(folder) as client:
        admin = client._admin_client
        admin.create_tenant("second")
        for tenant, database in PLACES[1:]:
            admin.create_database(database, tenant=tenant)
    for number, (tenant, database) in enumerate(PLACES):
        with open_client(folder, tenant, database) as client:
            client.create_collection(
                "same", embedding_function=None, configuration={"hnsw": {"space": SPACES[number % 3]}}
            ).add(ids=["a", "b"], embeddings=make_vectors(2, seed=number), documents=[f"{tenant}/{database}", ""])
    addresses = tuple((*place, "same") for place in PLACES)
    before, bytes_before = contents(folder, addresses), folder_hash(folder)
    used = {PLACES[1]: make_projection(1), PLACES[2]: make_projection(2), PLACES[3]: make_projection(3)}
    jobs = [
        CollectionJob("same", projection, tenant=tenant, database=database)
        for (tenant, database), projection in used.items()
    ]
    migrator = ChromaMigrator(folder)
    results = migrator.migrate(jobs)
    assert [(result.tenant, result.database) for result in results] == list(used)
    after = contents(folder, addresses)
    for place in PLACES:
        key = "/".join((*place, "same"))
        if place in used:
            assert_migrated(before[key], after[key], used[place])
        else:
            assert_same(before[key], after[key])
    assert [row[1] for key in after for row in after[key]["rows"][:1]] == ["/".join(place) for place in PLACES]
    migrator.rollback()
    assert folder_hash(folder) == bytes_before


def batch_size(folder: Path) -> int:
    with open_client(folder) as client:
        return int(client.get_max_batch_size())


def assert_count_survives(folder: Path, n: int, page_size: int, *, documents: bool) -> None:
    """Make a collection of `n` records, migrate it, read it back in pages of another size."""
    vectors, ids = make_vectors(n, 2), [f"{row}" for row in range(n)]
    with open_client(folder) as client:
        collection = client.create_collection("many", embedding_function=None)
        for start in range(0, n, 5000):
            rows = slice(start, start + 5000)
            given = [f"text {id_}" for id_ in ids[rows]] if documents else None
            collection.add(ids=ids[rows], embeddings=vectors[rows], documents=given)
    result = ChromaMigrator(folder, page_size=page_size).migrate_collection("many", FLAT)
    assert result.verification is not None
    assert result.n_migrated == result.verification.records == n
    with ChromaFolderStore(folder) as store:
        pages = list(store.collection(Address("many")).scan(4999))
    assert [id_ for page in pages for id_ in page.ids] == ids
    texts = [text for page in pages for text in page.texts]
    assert texts == ([f"text {id_}" for id_ in ids] if documents else [None] * n)
    np.testing.assert_allclose(np.concatenate([page.vectors for page in pages]), FLAT.apply(vectors), atol=2e-6)


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_as_many_records_as_one_batch_takes(beyond: int, tmp_path: Path) -> None:
    """The page is as long as the collection, so that one page is one write, or just not one any more."""
    n = batch_size(tmp_path / "asked") + beyond
    assert_count_survives(tmp_path / "home" / "db", n, n, documents=True)


def test_one_record_more_than_sqlite_takes_variables(tmp_path: Path) -> None:
    """Above 32,766 Chroma can no longer read a collection in one go."""
    assert_count_survives(tmp_path / "home" / "db", 32_767, 5000, documents=True)
