"""The move itself: everything but the vectors is kept, the vectors are projected, the old folder is the backup."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromadb.api.types import EmbeddingFunction
from chromadb.utils.embedding_functions import register_embedding_function

from lightmigrate import ChromaMigrator, CollectionJob, Migrator, Progress, Projection
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.distance import measured_space
from tests.databases import NEW_DIM, contents, folder_hash, make_projection, make_vectors, same_rows

THOUGHTS = "default_tenant/default_database/thought_nodes"
NOTES = "default_tenant/default_database/notes"
ARCHIVED = "second_tenant/archive/thought_nodes"


def assert_migrated(old: dict[str, Any], new: dict[str, Any], projection: Projection) -> None:
    assert same_rows(old["rows"], new["rows"])
    assert new["metadata"] == old["metadata"]
    assert new["schema"] == old["schema"]
    documents = [row[1] for row in old["rows"]]
    np.testing.assert_allclose(new["vectors"], projection.apply(old["vectors"], documents), atol=2e-6)


def assert_same(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert new["rows"] == old["rows"]
    assert new["schema"] == old["schema"]
    assert new["metadata"] == old["metadata"]
    np.testing.assert_array_equal(new["vectors"], old["vectors"])


def test_the_api_works_as_the_readme_shows_it(database: Path, projection_file: Path) -> None:
    migrator = ChromaMigrator(str(database))
    mismatches = migrator.check_dimensions(expected_dim=NEW_DIM)
    found = {(m.tenant, m.name): (m.current_dim, m["expected_dim"], m["count"]) for m in mismatches}
    assert found == {
        ("default_tenant", "thought_nodes"): (16, 24, 60),
        ("default_tenant", "notes"): (16, 24, 30),
        ("default_tenant", "other_model"): (8, 24, 20),
        ("second_tenant", "thought_nodes"): (16, 24, 30),
    }
    result = migrator.migrate_collection(
        collection_name="thought_nodes", projection_path=str(projection_file), auto_backup=True, verify=True
    )
    assert result["n_migrated"] == result.n_migrated == 60
    assert result["backup_path"].is_dir()
    assert -1 <= result["verification"]["similarity_correlation"] <= 1
    assert "thought_nodes" not in {m.name for m in migrator.check_dimensions(NEW_DIM) if m.tenant == "default_tenant"}
    json.dumps(result.to_json())


def test_everything_but_the_vector_is_kept_and_the_rest_untouched(database: Path, projection: Projection) -> None:
    before = contents(database)
    jobs = [
        CollectionJob("thought_nodes", projection),
        CollectionJob("notes", projection),
        CollectionJob("thought_nodes", projection, tenant="second_tenant", database="archive"),
    ]
    results = ChromaMigrator(database, page_size=7).migrate(jobs)

    after = contents(database)
    for key in (THOUGHTS, NOTES, ARCHIVED):
        assert_migrated(before[key], after[key], projection)
    for key in before.keys() - {THOUGHTS, NOTES, ARCHIVED}:
        assert_same(before[key], after[key])
    assert [(r.collection_name, r.n_migrated) for r in results] == [
        ("thought_nodes", 60), ("notes", 30), ("thought_nodes", 30),
    ]  # fmt: skip

    backups = {result.backup_path for result in results}
    assert len(backups) == 1
    backup = backups.pop()
    assert backup is not None
    for key, value in contents(backup).items():
        assert_same(before[key], value)
    assert sorted(path.name for path in database.parent.iterdir()) == sorted([database.name, backup.name])


def test_the_backup_is_the_old_folder_byte_for_byte(database: Path, projection: Projection) -> None:
    before = folder_hash(database)
    result = ChromaMigrator(database).migrate_collection("thought_nodes", projection)
    assert result.backup_path is not None
    assert folder_hash(result.backup_path) == before


def test_distance_functions_are_kept_as_the_index_really_computes_them(database: Path, projection: Projection) -> None:
    jobs = [CollectionJob("thought_nodes", projection), CollectionJob("notes", projection)]
    results = ChromaMigrator(database).migrate(jobs)
    assert [r.verification.space for r in results if r.verification] == ["cosine", "ip"]
    with ChromaFolderStore(database) as store:
        assert measured_space(store.collection(Address("notes"))) == "ip"
        assert measured_space(store.collection(Address("thought_nodes"))) == "cosine"


def test_searches_in_the_new_space_find_their_documents(database: Path, projection: Projection) -> None:
    old = contents(database)[THOUGHTS]
    ChromaMigrator(database).migrate_collection("thought_nodes", projection)
    with open_client(database) as client:
        found = client.get_collection("thought_nodes", embedding_function=None).query(
            query_embeddings=projection.apply(old["vectors"]), n_results=1
        )
    assert [ids[0] for ids in found["ids"]] == [row[0] for row in old["rows"]]


def test_no_index_folder_of_the_old_collection_stays_on_disk(database: Path, projection: Projection) -> None:
    folders_before = sum(path.is_dir() for path in database.iterdir())
    ChromaMigrator(database).migrate_collection("thought_nodes", projection)
    assert sum(path.is_dir() for path in database.iterdir()) == folders_before


def test_without_a_backup_nothing_of_the_old_database_stays(
    database: Path, projection: Projection, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "lightmigrate"):
        result = ChromaMigrator(database).migrate_collection("thought_nodes", projection, auto_backup=False)
    assert result.backup_path is None
    assert "no rollback" in caplog.text
    assert [path.name for path in database.parent.iterdir()] == [database.name]
    assert ChromaMigrator(database).backups() == []


def test_without_verification_the_result_says_so(database: Path, projection: Projection) -> None:
    old = contents(database)[THOUGHTS]
    result = ChromaMigrator(database).migrate_collection("thought_nodes", projection, verify=False)
    assert result.verification is None
    assert_migrated(old, contents(database)[THOUGHTS], projection)


NAMED = {"name": "new_model_function", "config": {"model": "new-model"}}


class NamedFunction(EmbeddingFunction[Any]):
    """A new model as Chroma sees one; it is never called here."""

    def __init__(self) -> None:
        pass

    def __call__(self, input: Any) -> Any:
        raise AssertionError("a migration embeds nothing")

    @staticmethod
    def name() -> str:
        return "new_model_function"

    def get_config(self) -> dict[str, Any]:
        return {"model": "new-model"}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> EmbeddingFunction[Any]:
        raise AssertionError("a migration builds no embedding function: it might load or download a model")


class OtherFunction(NamedFunction):
    """Any other model."""

    @staticmethod
    def name() -> str:
        return "some_other_function"


def test_the_new_embedding_function_is_recorded_in_place_of_the_old_one_and_another_conflicts(
    database: Path, projection: Projection
) -> None:
    """See tests/stores/chroma/test_recording.py for collections that record none, or one of Chroma's own."""
    register_embedding_function(NamedFunction)  # type: ignore[no-untyped-call]
    migrator = ChromaMigrator(database)
    migrator.migrate_collection("thought_nodes", projection, embedding_function={"name": "of_old", "config": {}})
    back = make_projection(source=projection.info.target, target=projection.info.source)
    migrator.migrate_collection("thought_nodes", back, embedding_function=NamedFunction())
    with open_client(database) as client:
        collection = client.get_collection("thought_nodes", embedding_function=NamedFunction())
        recorded = collection.get_model().configuration_json["embedding_function"]
        assert recorded == {"type": "known", "name": "new_model_function", "config": {"model": "new-model"}}
        with pytest.raises(ValueError, match="some_other_function vs persisted: new_model_function"):
            client.get_collection("thought_nodes", embedding_function=OtherFunction())


def test_a_function_that_says_nothing_of_itself_takes_the_place_of_the_old_one(
    database: Path, projection: Projection
) -> None:
    migrator = ChromaMigrator(database)
    migrator.migrate_collection("thought_nodes", projection, embedding_function=NAMED)
    back = make_projection(source=projection.info.target, target=projection.info.source)
    migrator.migrate_collection("thought_nodes", back, embedding_function=lambda input: [[1.0] * 16 for _ in input])
    (facts,) = [f for f in migrator.collections() if (f.tenant, f.name) == ("default_tenant", "thought_nodes")]
    assert facts.embedding_function is None
    assert Migrator(database).diagnose().models["thought_nodes"] == back.info.target.name
    with open_client(database) as client:
        kept = client.get_collection("thought_nodes", embedding_function=OtherFunction())
        assert kept.get_model().configuration_json["embedding_function"] == {"type": "legacy"}


def test_the_recorded_embedding_function_is_kept_and_never_built(database: Path, projection: Projection) -> None:
    register_embedding_function(NamedFunction)  # type: ignore[no-untyped-call]
    migrator = ChromaMigrator(database)
    migrator.migrate_collection("thought_nodes", projection, embedding_function=NAMED)
    back = make_projection(source=projection.info.target, target=projection.info.source)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Chroma turns a failing build into a warning
        migrator.migrate_collection("thought_nodes", back)
    (facts,) = [f for f in migrator.collections() if (f.tenant, f.name) == ("default_tenant", "thought_nodes")]
    assert facts.embedding_function == {"name": "new_model_function", "config": {"model": "new-model"}}


def test_a_projection_to_the_same_dimension_is_a_migration_too(database: Path) -> None:
    rotation = make_projection(target=make_projection().info.source)
    old = contents(database)[THOUGHTS]
    result = ChromaMigrator(database).migrate_collection("thought_nodes", rotation)
    assert (result.previous_dim, result.current_dim) == (16, 16)
    assert_migrated(old, contents(database)[THOUGHTS], rotation)


def test_a_second_migration_keeps_the_history_of_the_first(database: Path, projection: Projection) -> None:
    migrator = ChromaMigrator(database)
    first = migrator.migrate_collection("thought_nodes", projection)
    second = migrator.migrate_collection("notes", projection)
    assert first.backup_path is not None
    assert second.backup_path is not None
    assert {b.name for b in migrator.backups()} == {first.backup_path.name, second.backup_path.name}
    assert {check.collection_name for check in migrator.verify()} == {"thought_nodes", "notes"}
    assert all(check.unchanged for check in migrator.verify())


def test_progress_reaches_the_end_of_every_step(database: Path, projection: Projection) -> None:
    seen: list[Progress] = []
    ChromaMigrator(database, page_size=25, on_progress=seen.append).migrate_collection(
        "thought_nodes", projection, index="rewrite"
    )
    last = {progress.step: progress for progress in seen}
    assert list(last) == ["copy", "project", "write", "verify"]
    assert all(progress.done == progress.total for progress in last.values())
    assert [p.done for p in seen if p.step == "project"] == [25, 50, 60]
    assert [p.done for p in seen if p.step == "write"] == [25, 50, 60]


def test_the_log_never_says_what_is_in_it(
    database: Path, projection: Projection, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "lightmigrate"):
        ChromaMigrator(database).migrate_collection("thought_nodes", projection)
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]
    for secret in ("document 5", "the same text", "id-5", "naïve", "file:///"):
        assert secret not in caplog.text


def test_a_relative_path_and_a_link_lead_to_the_same_database(
    database: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = database.parent / "link"
    link.symlink_to(database)
    monkeypatch.chdir(database.parent)
    ChromaMigrator("link").migrate_collection("thought_nodes", projection)
    assert link.is_symlink()
    assert {m.current_dim for m in ChromaMigrator("link").check_dimensions(8) if m.name == "thought_nodes"} == {16, 24}


def test_more_records_than_two_pages_take(tmp_path: Path) -> None:
    """See `test_hostile_counts.py` for as many as need more variables than SQLite has."""
    n, page = 12_000, 5_000
    folder = tmp_path / "home" / "large"
    with open_client(folder) as client:
        collection = client.create_collection("large", embedding_function=None)
        for start in range(0, n, 4_000):
            collection.add(
                ids=[str(row) for row in range(start, start + 4_000)],
                embeddings=make_vectors(4_000, 8, seed=start),
                documents=[f"text of {row}" for row in range(start, start + 4_000)],
            )
    source = make_projection().info.source
    projection = make_projection(source=type(source)("eight", 8, normalised=False))
    result = ChromaMigrator(folder, page_size=page).migrate_collection("large", projection)
    assert result.verification is not None
    assert result.n_migrated == result.verification.records == n
    with open_client(folder) as client:
        collection = client.get_collection("large", embedding_function=None)
        assert collection.count() == n
        row = collection.get(ids=["11999"], include=["documents", "embeddings"])
    assert row["documents"] == ["text of 11999"]
    expected = projection.apply(make_vectors(4_000, 8, seed=8_000)[-1])
    np.testing.assert_allclose(np.asarray(row["embeddings"])[0], expected, atol=2e-6)
