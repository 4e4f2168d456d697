"""Another distance, alone or with another model: the index is of it, nothing else changes, and there is a way back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, CollectionJob
from lightmigrate.errors import InvalidVectorsError, LightmigrateError, NothingToMigrateError
from lightmigrate.stores.base import Address, Metric
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.stores.distance import distances, measured_space
from lightmigrate.stores.files import IndexRoute
from lightmigrate.vectors import METRICS, Vectors
from tests.databases import NEW_DIM, OLD_DIM, contents, folder_hash, make_projection, make_vectors, same_rows
from tests.indexed import INDEXED, make_indexed
from tests.migration.test_resume import KilledError, dies
from tests.stores.chroma.legacy.build import VERSIONS
from tests.stores.chroma.test_legacy import unpack

NOTES = "default_tenant/default_database/notes"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three distances; indexes on the disk, with a tail in Chroma's log."""
    return make_indexed(tmp_path_factory.mktemp("indexed") / "chroma_data")


@pytest.fixture
def indexed(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "home" / "chroma_data"))


def spaces(folder: Path) -> dict[str, str]:
    return {str(facts.address): facts.space for facts in ChromaMigrator(folder).collections()}


def answers(folder: Path, name: str, queries: Vectors) -> tuple[Any, Any]:
    """What Chroma's own client finds, and at which distance."""
    with open_client(folder) as client:
        found = client.get_collection(name, embedding_function=None).query(query_embeddings=queries, n_results=5)
        return found["ids"], np.array(found["distances"])


def without_space(schema: Any) -> Any:
    """A schema, or metadata, without what says the distance."""
    if isinstance(schema, dict):
        return {key: without_space(value) for key, value in schema.items() if key not in ("space", "hnsw:space")}
    return schema


@pytest.mark.parametrize("route", ["keep", "rewrite"])
@pytest.mark.parametrize("distance", ["l2", "cosine"])
def test_only_the_index_changes_and_the_way_back_is_exact(indexed: Path, distance: Metric, route: IndexRoute) -> None:
    """A graph of another distance is not kept: the index is built anew."""
    old, before, migrator = contents(indexed, INDEXED), folder_hash(indexed), ChromaMigrator(indexed)
    (result,) = migrator.migrate([CollectionJob("notes", distance=distance)], index=route)
    assert result.index == ("rebuild" if route == "keep" else route)
    assert (result.previous_dim, result.current_dim) == (OLD_DIM, OLD_DIM)
    assert result.verification is not None
    assert (result.verification.space_before, result.verification.space) == ("ip", distance)
    new = contents(indexed, INDEXED)
    for key in old:
        assert same_rows(old[key]["rows"], new[key]["rows"])
        assert without_space(new[key]["metadata"]) == without_space(old[key]["metadata"])
        if key != NOTES:
            assert new[key]["schema"] == old[key]["schema"]
    assert new[NOTES]["schema"]["keys"]["#embedding"] != old[NOTES]["schema"]["keys"]["#embedding"]
    assert spaces(indexed)["notes"] == distance
    stored = old[NOTES]["vectors"]
    if distance == "l2":  # by cosine Chroma keeps the direction and the length
        assert (new[NOTES]["vectors"] == stored).all()
    np.testing.assert_allclose(new[NOTES]["vectors"], stored, atol=2e-6)
    queries = make_vectors(3, seed=11)
    _, found = answers(indexed, "notes", queries)
    expected = [sorted(distances(q, stored.astype(np.float64), distance))[:5] for q in queries.astype(np.float64)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert migrator.verify()[0].unchanged
    migrator.rollback()
    assert folder_hash(indexed) == before


@pytest.mark.parametrize("route", ["keep", "rewrite"])
def test_with_a_projection_the_new_index_has_the_new_distance(indexed: Path, route: IndexRoute) -> None:
    old, projection = contents(indexed, INDEXED), make_projection()
    (result,) = ChromaMigrator(indexed).migrate([CollectionJob("notes", projection, distance="cosine")], index=route)
    assert (result.index, result.current_dim) == ("rebuild" if route == "keep" else route, NEW_DIM)
    assert result.verification is not None
    assert (result.verification.space_before, result.verification.space) == ("ip", "cosine")
    new = contents(indexed, INDEXED)
    np.testing.assert_allclose(new[NOTES]["vectors"], projection.apply(old[NOTES]["vectors"]), atol=2e-6)


def test_the_distance_that_it_has_already_keeps_the_graph(indexed: Path) -> None:
    (result,) = ChromaMigrator(indexed).migrate([CollectionJob("notes", make_projection(), distance="ip")], force=True)
    assert result.index == "keep"
    with pytest.raises(NothingToMigrateError, match="the distance of collection notes is ip already"):
        ChromaMigrator(indexed).migrate([CollectionJob("notes", distance="ip")])


def test_metadata_that_state_another_distance_are_mended_and_the_graph_is_kept(indexed: Path) -> None:
    with open_client(indexed) as client:
        notes = client.get_collection("notes", embedding_function=None)
        ChromaCollection(client, notes).set_metadata({"owner": "raa", "hnsw:space": "cosine"})
    (facts,) = (facts for facts in ChromaMigrator(indexed).collections() if facts.name == "notes")
    assert (facts.space, facts.stated_space) == ("ip", "cosine")
    (result,) = ChromaMigrator(indexed).migrate([CollectionJob("notes", distance="ip")])
    assert result.index == "keep"
    (facts,) = (facts for facts in ChromaMigrator(indexed).collections() if facts.name == "notes")
    assert (facts.space, facts.stated_space) == ("ip", None)


@pytest.mark.parametrize("version", VERSIONS)
def test_folders_of_old_versions_state_the_new_distance_wherever_they_state_one(version: str, tmp_path: Path) -> None:
    folder = unpack(version, tmp_path)
    names = [facts.name for facts in ChromaMigrator(folder).collections()]
    wanted: dict[str, Metric] = {}
    for facts in ChromaMigrator(folder).collections():
        wanted[facts.name] = "l2" if facts.space == "cosine" else "cosine"
    ChromaMigrator(folder).migrate([CollectionJob(name, distance=wanted[name]) for name in names])
    assert spaces(folder) == wanted
    assert all(facts.stated_space is None for facts in ChromaMigrator(folder).collections())
    with ChromaFolderStore(folder) as store:
        for name in names:
            collection = store.collection(Address(name))
            assert measured_space(collection) == wanted[name]
            assert collection.settings()["metadata"].get("hnsw:space", wanted[name]) == wanted[name]


def test_an_empty_collection_gets_it_too(database: Path) -> None:
    (result,) = ChromaMigrator(database).migrate([CollectionJob("empty", distance="cosine")])
    assert (result.n_migrated, spaces(database)["empty"]) == (0, "cosine")


def with_zeros(folder: Path, space: str) -> Path:
    vectors = make_vectors(60)
    vectors[[3, 7]] = 0
    with open_client(folder) as client:
        configuration: Any = {"hnsw": {"space": space, "sync_threshold": 20, "batch_size": 10}}
        client.create_collection("notes", embedding_function=None, configuration=configuration).add(
            [f"r{row}" for row in range(60)], vectors, documents=[f"text {row}" for row in range(60)]
        )
    return folder


def test_vectors_of_zeros_have_no_direction_but_an_inner_product(tmp_path: Path) -> None:
    folder = with_zeros(tmp_path / "home" / "db", "l2")
    before = contents(folder, (("default_tenant", "default_database", "notes"),))[NOTES]["vectors"]
    with pytest.raises(InvalidVectorsError, match="2 of 60 vectors in notes cannot be compared by cosine") as caught:
        ChromaMigrator(folder).migrate([CollectionJob("notes", distance="cosine")])
    assert list(caught.value.ids) == ["r3", "r7"]
    assert spaces(folder)["notes"] == "l2"
    ChromaMigrator(folder).migrate([CollectionJob("notes", distance="ip")])
    after = contents(folder, (("default_tenant", "default_database", "notes"),))[NOTES]["vectors"]
    assert (after == before).all()
    ChromaMigrator(folder).migrate([CollectionJob("notes", distance="cosine")], invalid_vectors="centre")
    centred = contents(folder, (("default_tenant", "default_database", "notes"),))[NOTES]["vectors"]
    mean = np.delete(before, [3, 7], axis=0).mean(axis=0)
    np.testing.assert_allclose(centred[[3, 7]], [mean, mean], atol=1e-5)


@pytest.mark.parametrize("step", ["project", "write", "verify"])
def test_a_run_that_was_killed_goes_on_with_the_distance_that_it_was_for(indexed: Path, step: str) -> None:
    jobs = [CollectionJob("notes", distance="cosine")]
    with pytest.raises(KilledError):
        ChromaMigrator(indexed, page_size=10, on_progress=dies(step, 3)).migrate(jobs)
    assert spaces(indexed)["notes"] == "ip"
    migrator = ChromaMigrator(indexed)
    assert migrator.interrupted
    (result,) = migrator.resume()
    assert result.verification is not None
    assert (result.verification.space, spaces(indexed)["notes"]) == ("cosine", "cosine")


def test_what_was_built_for_another_distance_is_not_used(indexed: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KilledError):
        ChromaMigrator(indexed, page_size=10, on_progress=dies("verify", 3)).migrate(
            [CollectionJob("notes", make_projection(), distance="cosine")]
        )
    ChromaMigrator(indexed).migrate([CollectionJob("notes", make_projection(), distance="l2")])
    assert "another, interrupted migration" in caplog.text
    assert spaces(indexed)["notes"] == "l2"


def test_the_models_that_an_earlier_migration_recorded_stay(indexed: Path) -> None:
    migrator = ChromaMigrator(indexed)
    migrator.migrate([CollectionJob("notes", make_projection())])
    migrator.migrate([CollectionJob("notes", distance="l2"), CollectionJob("thought_nodes", distance="l2")])
    assert migrator.diagnose().models == {"notes": "new-model"}


def test_a_job_without_anything_to_do_and_one_for_a_distance_that_does_not_exist(indexed: Path) -> None:
    with pytest.raises(LightmigrateError, match="no distance 'cos': give one of l2, cosine, ip"):
        CollectionJob("notes", distance=cast(Metric, "cos"))
    with pytest.raises(LightmigrateError, match="the job for notes has no projection and no distance"):
        CollectionJob("notes")
    assert METRICS == ("l2", "cosine", "ip")


def test_the_plan_says_what_it_is_and_what_it_will_be(indexed: Path) -> None:
    (planned,) = ChromaMigrator(indexed).plan([CollectionJob("notes", distance="cosine")]).collections
    assert (planned.distance, planned.target_distance, planned.keeps_vectors) == ("ip", "cosine", True)
    (planned,) = ChromaMigrator(indexed).plan([CollectionJob("notes", make_projection())]).collections
    assert (planned.distance, planned.target_distance, planned.keeps_vectors) == ("ip", "ip", False)
