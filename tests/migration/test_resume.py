"""An interrupted build goes on: nothing is written twice, and what comes of it is what would have come of it anyway.

By the longest route, which writes every record; `test_routes.py` interrupts the others.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lightmigrate
from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.errors import NothingToMigrateError
from lightmigrate.migration.aside.record import Record
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.collection import ChromaCollection
from tests.crash.places import everything, is_new, place
from tests.databases import NEW_DIM, contents, make_projection, make_vectors

__all__ = ["place"]

NAMES = ("thought_nodes", "notes")


class KilledError(BaseException):
    """The process ends here: nothing of the migration's own may be run after it."""


class dies:  # noqa: N801  # reads as a phrase
    """A progress callback that ends everything at its n-th call in a step."""

    def __init__(self, step: str, call: int) -> None:
        self.step, self.left = step, call

    def __call__(self, progress: Any) -> None:
        self.left -= progress.step == self.step
        if not self.left:
            raise KilledError


def jobs(projection: Projection) -> list[CollectionJob]:
    return [CollectionJob(name, projection) for name in NAMES]


def digests(database: Path) -> list[Any]:
    record = Record.read(database)
    assert record is not None
    return [
        (entry.name, entry.records, entry.content_sha256, entry.vectors_sha256, entry.settings_sha256)
        for entry in record.collections
    ]


def interrupt(database: Path, projection: Projection, step: str, call: int) -> None:
    with pytest.raises(KilledError):
        ChromaMigrator(database, page_size=10, on_progress=dies(step, call)).migrate(jobs(projection), index="rewrite")


class ChangesSince:
    """Counts the records that are written."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.records = 0
        add = ChromaCollection.add

        def counted(collection: ChromaCollection, page: Any) -> None:
            self.records += len(page)
            add(collection, page)

        patch.setattr(ChromaCollection, "add", counted)


@pytest.fixture(scope="module")
def uninterrupted(_template: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The digests of what a migration ends with that nothing interrupts."""
    database = Path(shutil.copytree(_template, tmp_path_factory.mktemp("whole") / "chroma_data"))
    ChromaMigrator(database).migrate(jobs(make_projection()), index="rewrite")
    return digests(database)


@pytest.mark.parametrize(("step", "call", "left"), [
    ("project", 1, 90), ("project", 9, 90), ("write", 1, 80), ("write", 6, 30), ("write", 8, 10),
    ("verify", 1, 0), ("verify", 9, 0),
])  # fmt: skip
@pytest.mark.parametrize("page_size", [7, 1000])
def test_it_ends_as_if_nothing_had_happened(
    step: str, call: int, left: int, page_size: int, place: str, uninterrupted: list[Any], database: Path,
    projection: Projection, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    before = everything(database.parent)["chroma_data"]
    interrupt(database, projection, step, call)
    assert everything(database.parent)["chroma_data"] == before

    migrator = ChromaMigrator(database, page_size=page_size)
    assert migrator.interrupted
    assert "goes on" in (migrator.unfinished or "")
    written = ChangesSince(monkeypatch)
    results = migrator.resume(index="rewrite")
    assert [(result.collection_name, result.n_migrated) for result in results] == [("thought_nodes", 60), ("notes", 30)]
    assert written.records == left
    assert digests(database) == uninterrupted
    assert not migrator.interrupted
    with pytest.raises(NothingToMigrateError, match="nothing to resume"):
        migrator.resume()


def test_the_same_call_goes_on_by_itself(
    database: Path, projection: Projection, projection_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file of another name, in another object: what counts is what was asked."""
    interrupt(database, projection, "write", 8)
    copy = shutil.copy(projection_file, projection_file.with_name("another.npz"))
    written = ChangesSince(monkeypatch)
    ChromaMigrator(database).migrate([CollectionJob(name, copy) for name in NAMES], index="rewrite")
    assert written.records == 10


@pytest.mark.parametrize("what", ["another projection", "other collections", "another option", "written to meanwhile"])
def test_what_was_built_for_something_else_is_not_used(
    what: str, database: Path, projection: Projection, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    interrupt(database, projection, "write", 8)
    asked, options = jobs(projection), {}
    if what == "another projection":
        projection = make_projection(seed=9)
        asked = jobs(projection)
    elif what == "other collections":
        asked = asked[::-1]
    elif what == "another option":
        options = {"invalid_vectors": "centre"}
    else:
        with open_client(database) as client:
            client.get_collection("notes", embedding_function=None).add(ids=["late"], embeddings=make_vectors(1))
    old = contents(database)
    with caplog.at_level(logging.WARNING, "lightmigrate"):
        ChromaMigrator(database).migrate(asked, **options)  # type: ignore[arg-type]
    assert "deleted the unfinished build" in caplog.text
    assert is_new(contents(database), old, projection)


@pytest.mark.parametrize("other", ["onnx", "npz"])
def test_what_was_built_with_a_projection_that_could_not_be_kept_is_not_used(
    other: str, database: Path, projection: Projection, tmp_path: Path
) -> None:
    """One that was read from ONNX cannot be written down, so nobody can say that another one is the same."""
    pytest.importorskip("onnxruntime")
    onnx = [make_projection(seed).export_onnx(tmp_path / f"{seed}.onnx") for seed in (1, 2)]
    interrupt(database, Projection.load(onnx[0]), "write", 8)
    old = contents(database)
    asked = Projection.load(onnx[1]) if other == "onnx" else make_projection(seed=2)
    ChromaMigrator(database).migrate(jobs(asked), index="rewrite")
    assert is_new(contents(database), old, make_projection(seed=2))


def test_texts_that_the_database_does_not_store_are_kept_for_whoever_goes_on(database: Path, tmp_path: Path) -> None:
    with open_client(database) as client:
        held = client.get_collection("thought_nodes", embedding_function=None).get(include=["embeddings"])
    texts = {one: f"about {'abcdefghi'[row % 9] * 5}" for row, one in enumerate(held["ids"])}
    old, about = np.asarray(held["embeddings"]), make_vectors(9, NEW_DIM)[np.arange(len(texts)) % 9]
    new = make_projection().apply(old) + about
    projection = lightmigrate.fit(old, new, list(texts.values()), method="lexical")
    asked = [CollectionJob("thought_nodes", projection, texts=texts)]
    whole = Path(shutil.copytree(database, tmp_path / "whole" / "chroma_data"))
    ChromaMigrator(whole).migrate(asked, index="rewrite")
    with pytest.raises(KilledError):
        ChromaMigrator(database, on_progress=dies("write", 1)).migrate(asked, index="rewrite")
    ChromaMigrator(database).resume(index="rewrite")
    assert digests(database) == digests(whole)
    unread = ChromaMigrator(whole)
    unread.rollback()
    unread.migrate([CollectionJob("thought_nodes", projection)], index="rewrite")
    assert digests(database) != digests(whole)


def test_a_damaged_projection_in_the_workspace(database: Path, projection: Projection) -> None:
    interrupt(database, projection, "write", 8)
    (kept,) = {path.name: path for path in database.parent.rglob("request/0.npz")}.values()
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(Exception, match="missing or was changed"):
        ChromaMigrator(database).resume()
    assert ChromaMigrator(database).undo()
    assert [path.name for path in database.parent.iterdir()] == [database.name]


def test_nothing_of_the_documents_is_left_in_journal_or_log(
    database: Path, projection: Projection, caplog: pytest.LogCaptureFixture
) -> None:
    old = contents(database)
    with caplog.at_level(logging.DEBUG):
        interrupt(database, projection, "verify", 2)
        journal = next(database.parent.rglob("journal.json")).read_text()
        ChromaMigrator(database).resume()
        ChromaMigrator(database).rollback()
    said = journal + "".join(record.getMessage() for record in caplog.records if record.name.startswith("lightmigrate"))
    for rows in old.values():
        for one, document, metadata, uri in rows["rows"]:
            for secret in (one if len(one) > 5 else None, document, uri, (metadata or {}).get("long")):
                assert not secret or secret not in said
