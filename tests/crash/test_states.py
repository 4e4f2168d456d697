"""Random adds, deletes, migrations, kills, resumes, rollbacks and cleans, against a plain dictionary."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lightmigrate import ChromaMigrator, Model, Projection
from lightmigrate.errors import RefusedError
from lightmigrate.stores.chroma import from_files, remembered
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.from_files import ChromaRecordsInFiles
from tests.faults import EVERY_OPERATION

# Two spaces, and maps that lose nothing between them, so that every vector says which record it belongs to.
DIMENSIONS = (8, 12)
ROTATION, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))
MODELS = [Model(f"model-{d}", d, normalised=False) for d in DIMENSIONS]
MAPS = [
    Projection.affine(ROTATION[:8], np.zeros(12), source=MODELS[0], target=MODELS[1]),
    Projection.affine(ROTATION[:8].T, np.zeros(8), source=MODELS[1], target=MODELS[0]),
]
Rows = dict[str, tuple[str, int]]


class KilledError(BaseException):
    """The process ends here."""


def vectors(rows: Rows, space: int) -> Any:
    """What each record's vector must be: its number decides."""
    plain = np.array([np.random.default_rng(number).normal(size=8) for _, number in rows.values()], np.float32)
    return plain.reshape(-1, 8) if space == 0 else MAPS[0].apply(plain.reshape(-1, 8))


class Databases(RuleBasedStateMachine):
    """A database folder, what it should hold, and what its backups should hold."""

    # Records that are read through Chroma; collections of more are read from their files.
    sampled = from_files.SAMPLED
    hnsw: ClassVar[dict[str, int]] = {}

    @initialize()
    def start(self) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.path = self.home / "db"
        self.rows: Rows = {}
        self.space = 0
        self.backups: dict[str, tuple[Rows, int]] = {}
        self.number = 0
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(from_files, "SAMPLED", self.sampled)
        self.patch.setattr(remembered, "MOST_RECORDS", self.sampled)
        with open_client(self.path) as client:
            client.create_collection("memory", embedding_function=None, configuration={"hnsw": self.hnsw})
        self.add(3)

    def teardown(self) -> None:
        if hasattr(self, "home"):
            self.patch.undo()
            shutil.rmtree(self.home)

    @rule(count=st.integers(1, 40))
    def add(self, count: int) -> None:
        new = {f"r{self.number + one}": (f"text {self.number + one}", self.number + one) for one in range(count)}
        self.number += count
        with open_client(self.path) as client:
            client.get_collection("memory", embedding_function=None).add(
                ids=list(new), documents=[text for text, _ in new.values()], embeddings=vectors(new, self.space)
            )
        self.rows.update(new)

    @precondition(lambda self: len(self.rows) > 3)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        gone = data.draw(st.lists(st.sampled_from(sorted(self.rows)), min_size=1, max_size=3, unique=True))
        with open_client(self.path) as client:
            client.get_collection("memory", embedding_function=None).delete(ids=gone)
        for one in gone:
            del self.rows[one]

    @rule(page_size=st.sampled_from([7, 1000]))
    def migrate(self, page_size: int) -> None:
        migrator = ChromaMigrator(self.path, page_size=page_size)
        result = migrator.migrate_collection("memory", MAPS[self.space])
        assert result.n_migrated == len(self.rows)
        assert result.backup_path is not None
        self.backups[result.backup_path.name] = (dict(self.rows), self.space)
        self.space = 1 - self.space

    @rule(step=st.sampled_from(["copy", "project", "write", "verify"]), call=st.integers(1, 4))
    def killed(self, step: str, call: int) -> None:
        calls = 0

        def die(progress: Any) -> None:
            nonlocal calls
            calls += progress.step == step
            if calls == call:
                raise KilledError

        try:
            self.migrate_with(ChromaMigrator(self.path, page_size=5, on_progress=die))
        except KilledError:
            pass
        else:
            self.space = 1 - self.space

    def migrate_with(self, migrator: ChromaMigrator) -> None:
        backup = migrator.migrate_collection("memory", MAPS[self.space]).backup_path
        assert backup is not None
        self.backups[backup.name] = (dict(self.rows), self.space)

    @rule(undo=st.booleans())
    def resume(self, undo: bool) -> None:
        migrator = ChromaMigrator(self.path)
        if not migrator.interrupted:
            return
        if undo:
            assert migrator.undo()
            return
        (result,) = migrator.resume()
        assert result.backup_path is not None
        self.backups[result.backup_path.name] = (dict(self.rows), self.space)
        self.space = 1 - self.space

    @precondition(lambda self: self.backups)
    @rule(data=st.data())
    def rollback(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.backups)))
        done = ChromaMigrator(self.path).rollback(name, written="discard")
        displaced = (dict(self.rows), self.space)
        self.rows, self.space = dict(self.backups[name][0]), self.backups[name][1]
        del self.backups[name]
        self.backups[done.displaced_path.name] = displaced
        reasons = {backup.name: backup.reason_to_keep for backup in ChromaMigrator(self.path).backups()}
        assert set(displaced[0]) <= set(self.rows) or reasons[done.displaced_path.name]

    @rule()
    def clean(self) -> None:
        migrator = ChromaMigrator(self.path)
        if any(backup.reason_to_keep for backup in migrator.backups()):
            with pytest.raises(RefusedError, match="nothing was deleted"):
                migrator.clean()
        gone = migrator.clean(list(self.backups))
        assert {backup.name for backup in gone} == set(self.backups)
        self.backups = {}

    @invariant()
    def holds_what_it_should(self) -> None:
        if not hasattr(self, "path"):
            return
        assert {backup.name for backup in ChromaMigrator(self.path).backups()} == set(self.backups)
        self.compare(self.path, self.rows, self.space)

    def compare(self, folder: Path, rows: Rows, space: int) -> None:
        with open_client(folder) as client:
            found = client.get_collection("memory", embedding_function=None).get(include=["documents", "embeddings"])
        assert set(found["ids"]) == set(rows)
        expected = {
            one: (text, vector) for (one, (text, _)), vector in zip(rows.items(), vectors(rows, space), strict=True)
        }
        for one, text, vector in zip(found["ids"], found["documents"] or [], found["embeddings"], strict=True):
            assert text == expected[one][0]
            np.testing.assert_allclose(vector, expected[one][1], atol=1e-4)


class DatabasesReadFromFiles(Databases):
    """The same, read as large collections are: indexes on the disk, the last writes in the log."""

    sampled = 2
    hnsw: ClassVar[dict[str, int]] = {"sync_threshold": 20, "batch_size": 10}
    scans = 0

    @initialize()
    def start(self) -> None:
        super().start()
        scan = ChromaRecordsInFiles.scan

        def counted(records: ChromaRecordsInFiles, *arguments: Any, **options: Any) -> Any:
            type(self).scans += 1
            return scan(records, *arguments, **options)

        self.patch.setattr(ChromaRecordsInFiles, "scan", counted)


SETTINGS = settings(
    max_examples=100 if EVERY_OPERATION else 4,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.reuse, Phase.generate],
)


def test_read_through_chroma() -> None:
    run_state_machine_as_test(Databases, settings=SETTINGS)


def test_read_from_files() -> None:
    run_state_machine_as_test(DatabasesReadFromFiles, settings=SETTINGS)
    assert DatabasesReadFromFiles.scans > 4
