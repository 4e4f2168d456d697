"""The note of late writes: what it holds, what becomes of one that is damaged, and of one that cannot be followed."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate import ChromaMigrator, CollectionJob, Model, Projection
from lightmigrate.errors import BackupError, LightmigrateError
from lightmigrate.migration.shadow import late_writes
from lightmigrate.migration.shadow.late_note import HOME, notes_in
from lightmigrate.migration.shadow.late_writes import LateWrites
from lightmigrate.stores.record_tables import RecordTables
from tests.databases import make_projection, make_vectors
from tests.migration.shadow.rows import N, handle, read


class KilledError(BaseException):
    """The process ends here."""


def run_that_is_killed(client: Any, monkeypatch: pytest.MonkeyPatch, run: Callable[[], object]) -> None:
    """A run that is killed before it has carried over the record `late`."""

    def die(self: LateWrites, old: Any, *arguments: object) -> int:
        handle(client, str(old.address)).add(["late"], make_vectors(1), documents=["in the last instant"])
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(LateWrites, "carry", die)
        with pytest.raises(KilledError):
            run()


@pytest.fixture
def killed(client: Any, projection: Projection, monkeypatch: pytest.MonkeyPatch) -> ChromaMigrator:
    """A migrator of a database whose migration was killed so."""
    run_that_is_killed(client, monkeypatch, lambda: ChromaMigrator(client).migrate_collection("memory", projection))
    return ChromaMigrator(client)


def note_folder(migrator: ChromaMigrator) -> Path:
    (note,) = notes_in(migrator.place)
    return note.folder


def test_the_next_run_gives_it_the_vector_of_the_projection(
    killed: ChromaMigrator, client: Any, projection: Projection
) -> None:
    assert "late" not in read(client)
    assert killed.resume() == []
    assert killed.recovered == "memory: 1 records, written just before its exchange, were carried over"
    assert read(client)["late"][0] == "in the last instant"
    np.testing.assert_allclose(read(client)["late"][3], projection.apply(make_vectors(1))[0], atol=2e-6)
    assert not (killed.place / HOME).exists()


def test_after_a_change_of_the_distance_alone_it_keeps_its_vector(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = CollectionJob("memory", distance="l2")
    run_that_is_killed(client, monkeypatch, lambda: ChromaMigrator(client).migrate([job]))
    ChromaMigrator(client).recover()
    np.testing.assert_allclose(read(client)["late"][3], make_vectors(1)[0], atol=2e-6)


def without_the_projection(folder: Path) -> None:
    for file in (folder / "request").iterdir():
        file.unlink()


def with_another_projection(folder: Path) -> None:
    for file in (folder / "request").iterdir():
        make_projection(9, Model("a", 16), Model("b", 99)).save(file.with_suffix(".npz"))


def for_another_dimension(folder: Path) -> None:
    fields = json.loads((folder / "note.json").read_text())
    with_another_projection(folder)
    (folder / "note.json").write_text(json.dumps({**fields, "request": None}))


@pytest.mark.parametrize("damage", [without_the_projection, with_another_projection, for_another_dimension])
def test_without_its_projection_one_is_fitted_to_the_records_of_both(
    killed: ChromaMigrator, client: Any, projection: Projection, damage: Callable[[Path], None]
) -> None:
    damage(note_folder(killed))
    assert killed.recover() is not None
    found, expected = read(client)["late"][3], projection.apply(make_vectors(1))[0]
    assert found @ expected > 0.9 * np.linalg.norm(found) * np.linalg.norm(expected)


def no_digests(folder: Path) -> None:
    (folder / "records.sqlite3").write_bytes(b"no database")


def digests_of_other_types(folder: Path) -> None:
    (folder / "records.sqlite3").unlink()
    with sqlite3.connect(folder / "records.sqlite3") as connection:
        connection.execute("CREATE TABLE records (id, digest)")
        connection.execute("INSERT INTO records VALUES ('a', 1000000000000)")


def digests_that_are_missing(folder: Path) -> None:
    (folder / "records.sqlite3").unlink()


@pytest.mark.parametrize("damage", [no_digests, digests_of_other_types, digests_that_are_missing])
def test_one_that_cannot_be_followed_stays_and_its_backup_is_not_deleted(
    killed: ChromaMigrator, client: Any, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(note_folder(killed))
    (backup,) = killed.backups()
    with pytest.raises(BackupError, match=f"{backup.name} may hold records .* lightmigrate resume"):
        killed.clean()
    assert f"only in its backup {backup.name} yet" in caplog.text
    assert "late" in read(client, backup.name)
    killed.rollback(backup.name, written="discard")
    assert "late" in read(client)
    assert killed.unfinished is None
    assert len(killed.clean()) == 1
    assert not (killed.place / HOME).exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"own": 1, "key": 2, "mark": 3, "request": 4}'])
def test_what_is_no_note_is_left_alone(client: Any, projection: Projection, content: str) -> None:
    migrator = ChromaMigrator(client)
    stray = migrator.place / HOME / "stray" / "note.json"
    stray.parent.mkdir(parents=True)
    stray.write_text(content)
    assert migrator.unfinished is None
    assert migrator.migrate_collection("memory", projection).n_migrated == N
    assert stray.read_text() == content
    stray.unlink()
    stray.parent.rmdir()
    stray.parent.parent.rmdir()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


@given(own=VALUES, name=VALUES, key=VALUES, mark=VALUES, request=VALUES, entry=VALUES, records=st.binary(max_size=200))
def test_whatever_stands_in_one_no_other_error_is_raised(records: bytes, entry: object, **fields: object) -> None:
    own = {"name": fields.pop("name")} if fields["own"] is None else fields.pop("own")
    request = fields.pop("request") or {"collections": [entry], "invalid_vectors": "centre"}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / HOME / "it"
        (folder / "request").mkdir(parents=True)
        (folder / "note.json").write_text(json.dumps({**fields, "own": own, "request": request}))
        (folder / "records.sqlite3").write_bytes(records)
        for note in notes_in(Path(place)):
            with contextlib.suppress(LightmigrateError):
                note.read_request()
            with contextlib.suppress(LightmigrateError):
                note.seen(RecordTables(), 10)
            note.delete()
            assert not folder.exists()


def test_no_file_outside_its_folder_is_read(killed: ChromaMigrator, client: Any, tmp_path: Path) -> None:
    folder = note_folder(killed)
    (file,) = (folder / "request").glob("*.npz")
    fields = json.loads((folder / "note.json").read_text())
    shutil.move(file, folder / file.name)
    fields["request"]["collections"][0]["projection"] = f"../{file.name}"
    (folder / "note.json").write_text(json.dumps(fields))
    (note,) = notes_in(killed.place)
    with pytest.raises(LightmigrateError, match="missing or was changed"):
        note.read_request()
    killed.recover()


def test_a_migration_goes_on_where_no_note_can_be_written(
    client: Any, projection: Projection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*arguments: object) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(late_writes, "write_note", full)
    assert ChromaMigrator(client).migrate_collection("memory", projection).n_migrated == N
    assert "could not be noted ([Errno 28] No space left on device)" in caplog.text


def test_no_note_stays_of_an_exchange_that_was_refused(
    client: Any, projection: Projection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **given: object) -> Any:
        raise LightmigrateError("no")

    migrator = ChromaMigrator(client)
    monkeypatch.setattr(type(migrator.database), "exchange", refuse)
    with pytest.raises(LightmigrateError, match="no"):
        migrator.migrate_collection("memory", projection)
    assert not (migrator.place / HOME).exists()
