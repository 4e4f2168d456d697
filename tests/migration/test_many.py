"""Many small collections in one migration: what is added to a copy to read them faster is gone when it is in place."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromadb.api.rust import RustBindingsAPI

from lightmigrate import ChromaMigrator, CollectionJob, Migrator, Projection
from lightmigrate.migration.aside import build
from lightmigrate.migration.aside.workspace import Workspace
from lightmigrate.migration.verify import verify
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.chroma.files import ChromaFiles
from lightmigrate.stores.chroma.folder import DATABASE_FILE, reading
from lightmigrate.vectors import Vectors
from tests.databases import make_vectors
from tests.migration.test_resume import KilledError, dies

# More than are drafted and verified together, and than need an index of Chroma's log.
COLLECTIONS, ROWS = 35, 4


def addresses() -> list[Address]:
    return [Address(f"file-{number}") for number in range(COLLECTIONS)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place, vectors = tmp_path / "home" / "chroma_data", make_vectors(COLLECTIONS * ROWS)
    with open_client(place) as client:
        for number in range(COLLECTIONS):
            client.create_collection(f"file-{number}", embedding_function=None).add(
                ids=[f"{number}-{row}" for row in range(ROWS)],
                documents=[f"text {number} {row}" for row in range(ROWS)],
                embeddings=vectors[number * ROWS : (number + 1) * ROWS],
            )
    return place


def schema(folder: Path) -> set[tuple[str, str, str]]:
    with reading(folder / DATABASE_FILE) as connection:
        return {tuple(row) for row in connection.execute("SELECT type, name, sql FROM sqlite_master")}


def jobs(projection: Projection) -> list[CollectionJob]:
    return [CollectionJob(address, projection) for address in addresses()]


def require_migrated(folder: Path, old: dict[Address, Vectors], projection: Projection) -> None:
    with ChromaFolderStore(folder) as store:
        for address, vectors in old.items():
            (page,) = store.collection(address).scan(1000)
            np.testing.assert_allclose(page.vectors, projection.apply(vectors), atol=1e-5)
            assert list(page.texts) == [f"text {record.replace('-', ' ')}" for record in page.ids]


@pytest.mark.parametrize("step", ["project", "write", "verify"])
def test_it_goes_on_after_an_interruption_and_leaves_chromas_own_tables(
    step: str, folder: Path, projection: Projection
) -> None:
    before = schema(folder)
    with ChromaFolderStore(folder) as store:
        old = {address: next(iter(store.collection(address).scan(1000))).vectors for address in addresses()}
    with pytest.raises(KilledError):
        ChromaMigrator(folder, on_progress=dies(step, 20)).migrate(jobs(projection))
    assert schema(folder) == before
    assert schema(Workspace(ChromaFiles(folder)).staging) > before
    migrator = ChromaMigrator(folder)
    results = migrator.resume()
    assert [result.n_migrated for result in results] == [ROWS] * COLLECTIONS
    assert {result.index for result in results} == {"keep"}
    assert all(result.verification is not None and result.verification.records == ROWS for result in results)
    assert schema(folder) == before
    require_migrated(folder, old, projection)


def test_where_one_graph_is_not_kept_all_are_verified_after_it_was_built_anew(
    folder: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one is in the second portion: the first has been verified by then, and is verified again."""
    large = Address("file-20")
    with ChromaFolderStore(folder) as store:
        ids = [f"20-{row}" for row in range(ROWS, 150)]
        texts = [f"text {record.replace('-', ' ')}" for record in ids]
        store.collection(large).add(Page(ids, make_vectors(150)[ROWS:], texts, [None] * len(ids)))
        old = {address: next(iter(store.collection(address).scan(1000))).vectors for address in addresses()}
    verified: list[str] = []

    def noting(baseline: Any, expected: Any, target: Any, *others: Any, **named: Any) -> Any:
        verified.append(target.address.name)
        return verify(baseline, expected, target, *others, **named)

    monkeypatch.setattr(build, "verify", noting)
    monkeypatch.setattr(build, "LOSS", -0.5)  # as if the kept graph of the only one with enough records found less
    results = ChromaMigrator(folder).migrate(jobs(projection))
    routes = {result.collection_name: result.index for result in results}
    assert routes.pop(large.name) == "rebuild"
    assert set(routes.values()) == {"keep"}
    names = [address.name for address in addresses()]
    assert verified == names[:16] + names
    require_migrated(folder, old, projection)


@pytest.mark.parametrize("opened", [False, True])
def test_all_collections_are_not_listed_for_each_of_them(
    folder: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch, opened: bool
) -> None:
    listed, listing = [], RustBindingsAPI.list_collections

    def counted(*arguments: Any, **named: Any) -> Any:
        listed.append(1)
        return listing(*arguments, **named)

    monkeypatch.setattr(RustBindingsAPI, "list_collections", counted)
    with open_client(folder) if opened else nullcontext(folder) as database:
        Migrator(database).migrate(jobs(projection))
    assert len(listed) < COLLECTIONS / 2, "time would grow with the square of the number of collections"
