"""Migration of a database that is open: in this process, or in a server of its own."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection, fit
from lightmigrate.errors import (
    BackupError,
    CollectionNotFoundError,
    DatabaseChangedError,
    DatabaseError,
    DatabaseInUseError,
    FailedError,
    InvalidVectorsError,
    NothingToMigrateError,
    VerificationError,
    WrittenSinceError,
)
from lightmigrate.stores.chroma import live as chroma_live
from lightmigrate.stores.chroma.collection import ChromaCollection
from tests.databases import make_projection, make_vectors
from tests.migration.shadow.rows import N, assert_migrated, fill, handle, names, read
from tests.migration.shadow.server import Server, running_server
from tests.processes import TIMEOUT


class KilledError(BaseException):
    """The process ends here."""


def test_everything_is_kept_and_the_old_one_is_the_backup(client: Any, projection: Projection) -> None:
    before, bystander = read(client), read(client, "bystander")
    settings = ChromaCollection(client, handle(client)).settings()
    migrator = ChromaMigrator(client, page_size=25)
    result = migrator.migrate_collection("memory", projection)
    assert (result.n_migrated, result.previous_dim, result.current_dim, result.written_late) == (N, 16, 24, 0)
    assert result.verification is not None
    assert_migrated(read(client), before, projection)
    assert ChromaCollection(client, handle(client)).settings() == settings
    assert read(client, "bystander").keys() == bystander.keys()
    (backup,) = migrator.backups()
    assert names(client) == {"memory", "bystander", backup.name}
    assert [facts.name for facts in migrator.collections()] == ["bystander", "memory"]
    kept = read(client, backup.name)
    assert all(kept[one][:3] == before[one][:3] and (kept[one][3] == before[one][3]).all() for one in before)
    (check,) = migrator.verify()
    assert check.unchanged


def test_texts_kept_elsewhere_are_read_and_not_written(client: Any) -> None:
    before = read(client)
    about = [f"about {'abcdefghi'[row % 9] * 5}" for row in range(N)]
    old, shifts = np.array([row[3] for row in before.values()]), make_vectors(9, 24)[np.arange(N) % 9]
    reading = fit(old, make_projection().apply(old) + shifts, about, method="lexical")
    assert not np.allclose(reading.apply(old, about), reading.apply(old), atol=0.1)
    texts = dict(zip(before, about, strict=True))
    ChromaMigrator(client, page_size=25).migrate([CollectionJob("memory", reading, texts=texts)])
    found, stored = read(client), [row[0] for row in before.values()]
    assert [found[one][0] for one in before] == stored
    told = [own if own and own.strip() else other for own, other in zip(stored, about, strict=True)]
    assert 0 < sum(one == other for one, other in zip(told, about, strict=True)) < N  # some store a text of their own
    np.testing.assert_allclose([found[one][3] for one in before], reading.apply(old, told), atol=2e-6)


def test_collection_objects_of_this_process_follow(client: Any, projection: Projection) -> None:
    held, backup_sees = handle(client), handle(client)
    result = ChromaMigrator(client).migrate_collection("memory", projection)
    assert result.handles_moved >= 2
    held.add(ids=["after"], embeddings=make_vectors(1, 24))
    assert held.count() == backup_sees.count() == handle(client).count() == N + 1
    assert len(held.query(query_embeddings=make_vectors(1, 24), n_results=3)["ids"][0]) == 3
    assert handle(client, ChromaMigrator(client).backups()[0].name).count() == N


def test_the_new_embedding_function_is_known(client: Any, projection: Projection) -> None:
    record = {"name": "default", "config": {}}
    ChromaMigrator(client).migrate_collection("memory", projection, embedding_function=record)
    (memory,) = [facts for facts in ChromaMigrator(client).collections() if facts.name == "memory"]
    assert memory.embedding_function == record


def test_what_does_not_arrive_as_it_was_written_is_refused(client: Any, projection: Projection) -> None:
    before, add = read(client), ChromaCollection.add

    def astray(self: ChromaCollection, page: Any) -> None:
        add(self, page.with_vectors(page.vectors[::-1].copy()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChromaCollection, "add", astray)
        with pytest.raises(VerificationError, match="has another vector"):
            ChromaMigrator(client).migrate_collection("memory", projection)
    assert names(client) == {"memory", "bystander"}
    after = read(client)
    assert after.keys() == before.keys()
    assert all(after[one][:3] == before[one][:3] for one in before)


def test_an_interrupted_one_can_be_undone_or_replaced_by_another(client: Any, projection: Projection) -> None:
    def stop(progress: Any) -> None:
        raise KilledError

    for _ in range(2):
        with pytest.raises(KilledError):
            ChromaMigrator(client, on_progress=stop).migrate_collection("memory", projection)
    migrator = ChromaMigrator(client)
    assert migrator.interrupted
    with pytest.raises(NothingToMigrateError, match="run the same migration again"):
        migrator.resume()
    assert migrator.undo()
    assert not migrator.undo()
    assert names(client) == {"memory", "bystander"}
    with pytest.raises(KilledError):
        ChromaMigrator(client, on_progress=stop).migrate_collection("memory", projection)
    old, other = read(client), make_projection(seed=5)
    ChromaMigrator(client).migrate_collection("memory", other)
    assert_migrated(read(client), old, other)
    assert len(names(client)) == 3


@pytest.mark.parametrize("rename", [1, 2, 3])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_rename(
    rename: int, after: bool, client: Any, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, renames, real = read(client), 0, ChromaCollection.rename

    def dying(self: ChromaCollection, name: str) -> None:
        nonlocal renames
        renames += 1
        if renames == rename and not after:
            raise KilledError
        real(self, name)
        if renames == rename:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(ChromaCollection, "rename", dying)
        with pytest.raises(KilledError):
            ChromaMigrator(client).migrate_collection("memory", projection)
    migrator = ChromaMigrator(client)
    done = rename - (not after)
    assert (migrator.recover() or "nothing").split(" was ")[-1].split(":")[0] == (
        {0: "nothing", 1: "undone", 2: "finished", 3: "nothing"}[done]
    )
    if done < 2:
        assert read(client).keys() == old.keys()
        migrator.migrate_collection("memory", projection)
    assert_migrated(read(client), old, projection)
    assert len(migrator.backups()) == 1
    assert len(names(client)) == 3
    migrator.rollback()
    assert (read(client)["id-1-é"][3] == old["id-1-é"][3]).all()


def test_a_reader_never_sees_a_part(client: Any, projection: Projection) -> None:
    seen: set[Any] = set()
    begun, stop = threading.Event(), threading.Event()

    def poll() -> None:
        while not stop.is_set():
            try:
                rows = handle(client).get(include=["embeddings"])
            except Exception as error:  # noqa: BLE001  # between two renames there is no such collection
                seen.add(type(error).__name__)
                continue
            seen.add((len(rows["ids"]), rows["embeddings"].shape[1]))
            begun.set()

    reader = threading.Thread(target=poll)
    reader.start()
    try:
        assert begun.wait(TIMEOUT)
        ChromaMigrator(client, page_size=7).migrate_collection("memory", projection)
    finally:
        stop.set()
        reader.join()
    assert (N, 16) in seen
    assert seen <= {(N, 16), (N, 24), "NotFoundError"}


def test_somebody_else_was_faster(client: Any, projection: Projection) -> None:
    """On another machine, where no lock of this one holds them up."""

    def overtake(progress: Any) -> None:
        if "taken-away" not in names(client):
            old = handle(client)
            fresh = client.create_collection("memory-elsewhere", embedding_function=None)
            old.modify(name="taken-away")
            fresh.modify(name="memory")

    with pytest.raises(DatabaseChangedError, match="was replaced by another client"):
        ChromaMigrator(client, on_progress=overtake).migrate_collection("memory", projection)
    assert handle(client, "taken-away").count() == N


def test_two_migrators_exclude_each_other(client: Any, projection: Projection) -> None:
    def second(progress: Any) -> None:
        assert ChromaMigrator(client).recovered is None, "what is in work is not mended"
        with pytest.raises(DatabaseInUseError, match="another lightmigrate is working"):
            ChromaMigrator(client).migrate_collection("memory", projection)

    assert ChromaMigrator(client, on_progress=second).migrate_collection("memory", projection).n_migrated == N


def test_collection_objects_follow_a_rollback_too(client: Any, projection: Projection) -> None:
    held = handle(client)
    migrator = ChromaMigrator(client)
    migrator.migrate_collection("memory", projection)
    migrator.rollback()
    held.add(ids=["after"], embeddings=make_vectors(1))
    assert handle(client).count() == held.count() == N + 1


def test_rollback_says_what_was_written(client: Any, projection: Projection) -> None:
    old = read(client)
    migrator = ChromaMigrator(client)
    migrator.migrate_collection("memory", projection)
    (first,) = migrator.backups()
    handle(client).add(ids=["after"], embeddings=make_vectors(1, 24), documents=["new"])
    handle(client).delete(ids=["id-1-é"])
    with pytest.raises(WrittenSinceError, match="1 records were added, 0 changed, 1 deleted"):
        migrator.rollback()
    done = migrator.rollback(written="carry")
    assert done.carried
    found = read(client)
    assert found.keys() == (old.keys() | {"after"}) - {"id-1-é"}
    assert found["after"][0] == "new"
    assert found["after"][3].shape == (16,)
    for one in old.keys() - {"id-1-é"}:  # a cosine collection keeps a normalised vector and its length
        np.testing.assert_allclose(found[one][3], old[one][3], atol=1e-6)
    assert first.name in {backup.name for backup in migrator.backups()}
    assert migrator.rollback(first.name, written="discard").restored == first.name
    assert read(client).keys() == old.keys()
    with pytest.raises(BackupError, match="no backup nope"):
        migrator.clean(["nope"])
    assert len(migrator.clean()) == 2
    assert names(client) == {"memory", "bystander"}


def test_refusals(client: Any, projection: Projection) -> None:
    migrator = ChromaMigrator(client)
    with pytest.raises(CollectionNotFoundError, match="there are: bystander, memory"):
        migrator.migrate_collection("nope", projection)
    with pytest.raises(CollectionNotFoundError):
        migrator.migrate_collection("memory", projection, tenant="another")
    with pytest.raises(DatabaseError, match="holds no migration"):
        migrator.verify()
    with pytest.raises(BackupError):
        migrator.rollback()
    with pytest.raises(DatabaseError, match="object is not a database: give a folder"):
        ChromaMigrator(object())
    handle(client).add(ids=["zero"], embeddings=np.zeros((1, 16)))
    with pytest.raises(InvalidVectorsError, match="1 of 61 vectors") as caught:
        migrator.migrate_collection("memory", projection)
    assert caught.value.ids == ("zero",)
    migrator.migrate_collection("memory", projection, invalid_vectors="centre")


def test_a_shadow_that_is_not_what_it_should_be_is_thrown_away(
    client: Any, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chroma_live.LiveChromaStore, "create_version", _wrong_settings(chroma_live.LiveChromaStore))
    old = read(client)
    with pytest.raises(VerificationError, match="settings"):
        ChromaMigrator(client).migrate_collection("memory", projection)
    assert names(client) == {"memory", "bystander"}
    assert read(client).keys() == old.keys()


def _wrong_settings(store: Any) -> Any:
    real = store.create_version

    def wrong(self: Any, *arguments: Any) -> Any:
        made = real(self, *arguments)
        made.set_metadata({"owner": "somebody else"})
        return self.collection(made.address)

    return wrong


def test_a_server_that_is_killed_in_the_middle(tmp_path: Path, projection: Projection) -> None:
    with running_server(tmp_path / "db") as server:
        fill(server.client())
        old = read(server.client())
        _killed_while_migrating(server, projection)
        server.start()
        migrator = ChromaMigrator(server.client(), page_size=10)
        assert read(server.client()).keys() == old.keys()
        assert migrator.interrupted
        migrator.migrate([CollectionJob("memory", projection)])
        assert_migrated(read(server.client()), old, projection)


def _killed_while_migrating(server: Server, projection: Projection) -> None:
    calls = 0

    def kill(progress: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            server.kill()

    with pytest.raises(FailedError, match="run the same migration again"):
        ChromaMigrator(server.client(), page_size=10, on_progress=kill).migrate_collection("memory", projection)
