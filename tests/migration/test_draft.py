"""The draft between reading the old collection and writing the new one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.errors import VerificationError
from lightmigrate.migration.aside import draft as draft_module
from lightmigrate.migration.aside.draft import Draft
from lightmigrate.migration.aside.workspace import Workspace
from lightmigrate.migration.digest import Contents, Digest
from lightmigrate.migration.job import Job, project
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.chroma.files import ChromaFiles
from tests.crash.places import is_new
from tests.databases import contents, make_projection, make_vectors
from tests.migration.test_resume import interrupt

NOTES = Address("notes")


def silent(progress: Any) -> None:
    pass


def test_pages_hold_the_ids_of_the_collection_and_the_new_vectors(
    database: Path, projection: Projection, tmp_path: Path
) -> None:
    with ChromaFolderStore(database) as store:
        source = store.collection(NOTES)
        draft = Draft.write(Job(source, projection, "refuse"), tmp_path / "drafts", 3, 7, silent)
        (whole,) = source.scan(1000)
        for size, start in ((1000, 0), (11, 0), (4, 13)):
            pages = list(draft.pages(size, start))
            assert [one for page in pages for one in page.ids] == list(whole.ids)[start:]
            vectors = np.concatenate([page.vectors for page in pages])
            np.testing.assert_allclose(vectors, projection.apply(whole.vectors)[start:], atol=1e-6)
    read = Draft.written(tmp_path / "drafts", 3, projection)
    assert read is not None
    expected = Digest()
    expected.add_contents(whole)
    assert draft.contents == read.contents == Contents(expected.content)
    assert read.baseline.ids == list(draft.baseline.ids)
    np.testing.assert_array_equal(read.baseline.vectors, draft.baseline.vectors)
    assert Draft.written(tmp_path / "drafts", 0, projection) is None


def test_recall_is_measured_all_over_the_collection(projection: Projection, tmp_path: Path) -> None:
    with open_client(tmp_path / "db") as client:
        client.create_collection("notes", embedding_function=None).add(
            ids=[str(row) for row in range(401)], embeddings=make_vectors(401)
        )
    with ChromaFolderStore(tmp_path / "db") as store:
        job = Job(store.collection(Address("notes")), projection, "refuse")
        draft = Draft.write(job, tmp_path / "drafts", 0, 100, silent)
    assert (len(draft.queries), min(draft.queries), max(draft.queries)) == (200, 0, 400)
    assert max(np.diff(sorted(draft.queries))) <= 3


@pytest.mark.parametrize("page_size", [1, 7, 10, 25, 1000])
def test_the_same_records_are_projected_together_whatever_pages_they_come_in(
    page_size: int, database: Path, projection: Projection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a run that is gone on with in other pages would not end with the same bits, on some machines."""
    groups: list[list[str]] = []

    def watched(job: Job, page: Any) -> Any:
        groups.append(list(page.ids))
        return project(job.projection, page, job.texts)

    monkeypatch.setattr(Job, "new_vectors", watched)
    monkeypatch.setattr(draft_module, "_BATCH", 8)
    with ChromaFolderStore(database) as store:
        source = store.collection(NOTES)
        Draft.write(Job(source, projection, "refuse"), tmp_path / "drafts", 0, page_size, silent)
        ids = list(source.ids())
    assert groups == [ids[start : start + 8] for start in range(0, len(ids), 8)]


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def interrupted(_template: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders with a database and its unfinished migration, interrupted at three moments."""
    homes = []
    for step, call in (("write", 2), ("write", 6), ("verify", 1)):
        homes.append(tmp_path_factory.mktemp("interrupted"))
        database = Path(shutil.copytree(_template, homes[-1] / "chroma_data"))
        interrupt(database, make_projection(), step, call)
    return homes


@pytest.mark.parametrize("how", [damaged, Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])])
@pytest.mark.parametrize("file", ["0.vectors", "0.records", "0.json", "0.sample.npy"])
def test_what_is_not_as_it_was_written_is_projected_again(
    file: str, how: Any, interrupted: list[Path], database: Path, projection: Projection, tmp_path: Path
) -> None:
    """Also when the old collection has left its name already."""
    old = contents(database)
    for number, home in enumerate(interrupted):
        unfinished = Path(shutil.copytree(home, tmp_path / str(number))) / "chroma_data"
        how(Workspace(ChromaFiles(unfinished)).drafts / file)
        seen: list[Any] = []
        ChromaMigrator(unfinished, on_progress=seen.append).resume()
        assert "project" in [progress.step for progress in seen]
        assert is_new(contents(unfinished), old, projection)


def test_vectors_that_change_on_the_disk_while_they_are_written(
    database: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the new index then, and a comparison with the file would find nothing."""
    add = ChromaCollection.add

    def add_and_spoil(collection: ChromaCollection, page: Any) -> None:
        add(collection, page)
        damaged(Workspace(ChromaFiles(database)).drafts / "0.vectors")

    monkeypatch.setattr(ChromaCollection, "add", add_and_spoil)
    with pytest.raises(VerificationError, match="changed on the disk"):
        ChromaMigrator(database).migrate([CollectionJob("notes", projection)], index="rewrite")
    assert not ChromaMigrator(database).interrupted
