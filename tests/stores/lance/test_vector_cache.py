"""AnythingLLM's cache of vectors: no model's vectors come back from it when another one's are in the tables."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import lancedb
import numpy as np
import pytest

from lightmigrate import CollectionJob, Migrator, Model
from lightmigrate.projection.projection import Projection
from lightmigrate.stores.base import Address, Role
from lightmigrate.stores.lance.fragments import LanceFragments
from lightmigrate.stores.lance.store import LanceStore
from lightmigrate.stores.lance.vector_cache import VectorCache
from tests.contract.crashing import crash
from tests.databases import OLD_DIM, make_projection, make_vectors
from tests.namespaces import NAMESPACE
from tests.processes import start, was_killed
from tests.stores.lance.anythingllm import AnythingLLM

# Of the old model's dimension, so that nothing but the cache keeps their vectors apart.
PROJECTION: Projection = make_projection(target=Model("another/model", OLD_DIM))

WORKSPACES = ("one", "two")
DOCUMENTS = range(6)
KEY, BACK = "20260101_120000", "20260101_120001"

# The steps of an exchange, and of the way back.
STEPS = [
    "lightmigrate.stores.lance.table:Table:commit",
    *(f"lightmigrate.stores.lance.vector_cache:VectorCache:{name}" for name in ("_write", "_rename", "_drop")),
]


def new(vectors: np.ndarray) -> np.ndarray:
    return PROJECTION.apply(vectors)


def storage(folder: Path, workspaces: tuple[str, ...] = WORKSPACES) -> AnythingLLM:
    """A storage with the same documents in each workspace, and in the cache."""
    (folder / "storage" / "lancedb").mkdir(parents=True)
    application = AnythingLLM(folder / "storage")
    for workspace, document in itertools.product(workspaces, DOCUMENTS):
        application.add(document, workspace)
    assert len(application.cached()) == len(DOCUMENTS)
    return application


def migrate(application: AnythingLLM, *workspaces: str) -> Migrator:
    """Migrate workspaces in one go; the application has the new model afterwards."""
    migrator = Migrator(application.tables)
    migrator.migrate([CollectionJob(name, PROJECTION) for name in workspaces])
    application.embed = new
    return migrator


def build(application: AnythingLLM, name: str = "docs") -> None:
    """A version of a workspace that waits for its exchange."""
    with LanceStore(application.tables) as store:
        live = store.collection(Address(name))
        version = store.create_version(live, "k1", OLD_DIM, None)
        for page in live.scan(20):
            version.add(page.with_vectors(new(page.vectors)))


def exchange(application: AnythingLLM, name: str = "docs", key: str = KEY) -> None:
    with LanceStore(application.tables) as store:
        (version,) = (each for each in store.versions() if each.own == Address(name) and each.role is Role.BUILDING)
        store.exchange(store.collection(version.address), store.collection(Address(name)), key)


def restore(application: AnythingLLM, name: str = "docs", key: str = BACK) -> None:
    with LanceStore(application.tables) as store:
        *_, backup = (each for each in store.versions() if each.own == Address(name))
        store.restore(backup, key)


def require_all_of(application: AnythingLLM, workspace: str, model: object) -> None:
    """Check that the vectors of a workspace are of one model, those of documents that were added again among them."""
    documents = np.array([int(text.split()[-1]) for text in texts_in(application, workspace)])
    expected = make_vectors(60)[documents]
    expected = new(expected) if model is new else expected
    np.testing.assert_allclose(np.stack(list(application.vectors(workspace))), expected, atol=2e-5)


def texts_in(application: AnythingLLM, workspace: str) -> list[str]:
    with LanceStore(application.tables) as store:
        page = store.collection(Address(workspace)).sample(1000)
        return [text or "" for text in page.texts]


def test_a_document_that_is_added_again_is_embedded_by_the_new_model_and_after_a_rollback_found_in_the_old_cache(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    application = storage(tmp_path)
    before = application.cached()
    with caplog.at_level(logging.WARNING):
        migrator = migrate(application, *WORKSPACES)
    (line,) = (record.getMessage() for record in caplog.records if "vector-cache" in record.getMessage())
    assert line.startswith("AnythingLLM's cache of the vectors of 6 documents was moved aside to ")
    (backup,) = {version.name.rpartition("old-")[2] for version in migrator.backups()}
    assert application.aside() == [backup]
    assert not application.cache.exists()
    for workspace in WORKSPACES:
        application.add(3, workspace)
        require_all_of(application, workspace, new)
    migrator.rollback(written="discard")
    assert application.cached() == before
    (meanwhile,) = application.aside()
    assert meanwhile > backup
    application.embed = lambda vectors: vectors
    for workspace in WORKSPACES:
        application.add(3, workspace)
        require_all_of(application, workspace, None)
    migrator.rollback(written="discard")
    application.embed = new
    assert application.cached().keys() == {application.file(3).name}
    application.add(3, "one")
    require_all_of(application, "one", new)


def test_of_several_workspaces_the_last_one_that_goes_back_brings_the_cache(tmp_path: Path) -> None:
    application = storage(tmp_path)
    before = application.cached()
    migrator = migrate(application, "one")
    assert not application.cache.exists()
    application.add(1, "one")
    migrate(application, "two")
    assert not application.cache.exists(), "it may hold vectors of either model"
    assert len(application.aside()) == 2
    first, second = (backup.name for backup in migrator.backups())
    migrator.rollback(first, written="discard")
    assert not application.cache.exists(), "the other workspace has the new model's vectors"
    migrator.rollback(second, written="discard")
    assert application.cached() == before


def test_a_workspace_that_is_created_later_keeps_the_cache_aside(tmp_path: Path) -> None:
    application = storage(tmp_path, ("one",))
    migrator = migrate(application, "one")
    application.add(1, "later")
    migrator.rollback()
    assert not application.cache.exists()
    assert len(application.aside()) == 2


def test_a_workspace_that_was_made_anew_is_another_one(tmp_path: Path) -> None:
    application = storage(tmp_path)
    migrator = migrate(application, *WORKSPACES)
    lancedb.connect(application.tables).drop_table("two")
    application.add(1, "two")
    migrator.rollback(written="discard")
    require_all_of(application, "one", None)
    assert not application.cache.exists(), "the other workspace has the new model's vectors"


def test_it_comes_back_with_a_copy_of_the_backup_to_which_changes_were_carried(tmp_path: Path) -> None:
    application = storage(tmp_path, ("one",))
    for document in range(6, 40):
        application.add(document, "one")
    before = application.cached()
    migrator = migrate(application, "one")
    application.add(50, "one")
    assert migrator.rollback(written="carry").carried
    assert application.cached() == before
    assert len(application.aside()) == 1


def test_what_was_moved_aside_is_deleted_with_the_last_backup_it_belongs_to(tmp_path: Path) -> None:
    application = storage(tmp_path)
    migrator = migrate(application, *WORKSPACES)
    one, two = (backup.name for backup in migrator.backups())
    migrator.clean([one])
    assert len(application.aside()) == 1
    migrator.clean([two])
    assert application.aside() == []
    assert not list((application.tables / ".lightmigrate").glob("vector-cache*"))


def test_without_a_backup_nothing_is_kept(tmp_path: Path) -> None:
    application = storage(tmp_path)
    Migrator(application.tables).migrate([CollectionJob(name, PROJECTION) for name in WORKSPACES], auto_backup=False)
    assert not application.cache.exists()
    assert application.aside() == []


def test_one_table_alone_and_one_by_its_fragments_move_it_too(tmp_path: Path) -> None:
    application = storage(tmp_path / "single", ("docs",))
    before, migrator = application.cached(), Migrator(application.tables / "docs.lance")
    migrator.migrate_collection("docs", PROJECTION)
    assert not application.cache.exists()
    migrator.rollback()
    assert application.cached() == before

    application = storage(tmp_path / "fragments", ("docs",))
    table = LanceFragments(application.tables / "docs.lance")
    states = table.units()
    made = {
        unit: table.convert(unit, state, OLD_DIM, lambda page: new(page.vectors), texts=False).description
        for unit, state in states.items()
    }
    key = table.put_in_place(made, states, OLD_DIM, "0123456789abcdef")
    assert application.aside() == [key]
    table.forget("0123456789abcdef")
    assert application.aside() == []


@pytest.mark.parametrize("what", ["exchange", "restore"])
def test_a_run_that_is_killed_leaves_it_to_the_next_one(tmp_path: Path, what: str) -> None:
    built = storage(tmp_path / "built", ("docs",))
    before, after = built.cached(), {}
    build(built)
    if what == "restore":
        exchange(built)
        built.embed = new
        for document in (1, 2):
            built.add(document)
        after = built.cached()
    outcomes, step, in_time = [False], 0, True
    while in_time:
        folder = tmp_path / str(step)
        shutil.copytree(built.storage, folder / "storage")  # with the times of its files
        application = AnythingLLM(folder / "storage")
        in_time = was_killed(start(crash, str(application.tables), "docs", what, step, STEPS))
        for _ in range(2):  # the second time there is nothing to do
            with LanceStore(application.tables) as store:
                store.recover()
                exchanged = any(each.key == (KEY if what == "exchange" else BACK) for each in store.versions())
            # what lies there is of the model that the table has
            if what == "exchange":
                assert (application.cached(), application.aside()) == (({}, [KEY]) if exchanged else (before, []))
            else:
                expected = (before, [BACK]) if exchanged else (after, [KEY])
                assert (application.cached(), application.aside()) == expected
        outcomes.append(exchanged)
        step += 1
    assert outcomes == sorted(outcomes)
    assert outcomes.count(True) > 3, "killed after the commit at each of the steps that follow"


def test_after_a_killed_run_what_was_cached_since_is_never_taken_for_the_old_model_s(tmp_path: Path) -> None:
    application = storage(tmp_path, ("docs",))
    build(application)
    commit = "lightmigrate.stores.lance.vector_cache:VectorCache:_rename"
    assert was_killed(start(crash, str(application.tables), "docs", "exchange", 0, [commit]))
    application.embed = new
    application.add(40)  # by the new model, into the old one's cache
    with LanceStore(application.tables) as store:
        assert "before a cache was moved aside" in (store.recover() or "")
    assert application.aside() == [KEY]
    restore(application)
    assert not application.cache.exists()
    assert application.aside() == [KEY]


def test_another_folder_of_that_name_is_left_alone(tmp_path: Path) -> None:
    application = storage(tmp_path, ("docs",))
    shutil.rmtree(application.cache)
    application.cache.mkdir()
    (application.cache / "settings.json").write_text("{}")
    migrator = migrate(application, "docs")
    migrator.rollback()
    assert [file.name for file in application.cache.iterdir()] == ["settings.json"]
    assert application.aside() == []


def test_a_link_is_moved_and_what_it_leads_to_is_never_deleted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    application = storage(tmp_path, ("docs",))
    elsewhere = application.cache.rename(tmp_path / "elsewhere")
    application.cache.symlink_to(elsewhere)
    before, migrator = application.cached(), migrate(application, "docs")
    assert not application.cache.is_symlink()
    application.add(1)
    migrator.rollback(written="discard")
    assert application.cached() == before
    assert application.cache.is_symlink()
    migrator.rollback(written="discard")
    with caplog.at_level(logging.WARNING):
        migrator.clean()
    assert f"vectors are left in {elsewhere}" in caplog.text
    assert len(list(elsewhere.iterdir())) == len(DOCUMENTS)


def test_a_note_that_somebody_wrote_over_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    application = storage(tmp_path, ("docs",))
    migrator = migrate(application, "docs")
    (note,) = (application.tables / ".lightmigrate").glob("vector-cache*.json")
    for damaged in ("", "[]", '{"key": "k"}', '{"key": "k", "state": 3, "moved": true}'):
        note.write_text(damaged)
        with caplog.at_level(logging.WARNING):
            migrator.rollback()
        assert "it is left alone" in caplog.text
        caplog.clear()
    assert not application.cache.exists()


MOUNTED = """
import logging, subprocess, sys
from pathlib import Path
from tests.stores.lance.anythingllm import AnythingLLM
from tests.stores.lance.test_vector_cache import migrate, require_all_of, new

application = AnythingLLM(Path(sys.argv[1]))
logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")
subprocess.run(["mount", "--bind", str(application.cache), str(application.cache)], check=True)
before = application.cached()
migrator = migrate(application, "one", "two")
assert application.cached() == before
require_all_of(application, "one", new)
subprocess.run(["umount", str(application.cache)], check=True)
assert migrator.clean()
assert not application.cache.exists(), "moved as soon as that is possible, and deleted with its backup"
assert application.aside() == []
"""


def test_one_that_cannot_be_moved_is_named_and_moved_when_it_can_be(tmp_path: Path) -> None:
    application = storage(tmp_path)
    if subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    command = [*NAMESPACE, sys.executable, "-c", MOUNTED, str(application.storage)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if "vector-cache" in line]
    assert [("cannot be moved aside" in line, "move that folder away" in line) for line in lines[:1]] == [(True, True)]
    assert len(lines) == 2, lines


def test_without_a_cache_nothing_is_written_about_it(tmp_path: Path) -> None:
    (tmp_path / "lancedb").mkdir()
    cache = VectorCache(tmp_path / "lancedb")
    assert cache.before(KEY) is None
    cache.after(None)
    assert not cache.recover()
    assert list(tmp_path.rglob("*")) == [tmp_path / "lancedb"]
