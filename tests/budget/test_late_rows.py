"""What the application writes while its open database is migrated by a plan is known as projected, and becomes exact.

A row that counted as the application's own would keep the projection's vector for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import Migrator
from lightmigrate.migration.shadow.late_writes import LateWrites
from lightmigrate.progress import Progress
from lightmigrate.refinement.provenance import NOT_EXACT, Provenance
from lightmigrate.refinement.vector_fingerprint import matches
from lightmigrate.stores.chroma.client import open_client
from tests.budget.collections import CORPUS, NOTES, ROWS, require_reembedded, with_plan

# The rows that are written: after they were recorded, after they were copied, and a new one.
WRITTEN = ("n5", "n7", "late")


class KilledError(BaseException):
    """The process ends here."""


def writing(collection: Any, written: list[str]) -> Callable[[Progress], None]:
    """Writes each row once, with a text of its own and the old model's vector of it."""

    def write(record: str) -> None:
        if record not in written:
            row = ROWS + WRITTEN.index(record)
            written.append(record)
            collection.upsert([record], CORPUS.old_documents[row : row + 1], documents=[CORPUS.documents[row]])

    def on_progress(progress: Progress) -> None:
        if progress.done >= progress.total and progress.step == "embed":
            write("n5")
        if progress.done >= progress.total and progress.step == "project":
            write("n7")
            write("late")

    return on_progress


def require_recorded(folder: Path, collection: Any) -> list[str]:
    """Every row is recorded with the vector that it holds; returns those that are not exact."""
    held = collection.get(include=["embeddings"])
    with Provenance.existing(folder) as provenance:
        rows = provenance.rows_by_id(NOTES, held["ids"])
        projected = list(provenance.ids(NOTES, *NOT_EXACT))
    assert rows.keys() == set(held["ids"])
    held_vectors = np.asarray(held["embeddings"], np.float32)
    assert matches(held_vectors, [rows[record].fingerprints for record in held["ids"]]).all()
    return projected


@pytest.mark.parametrize("backup", [True, False])
def test_rows_written_during_a_migration_become_exact(tmp_path: Path, backup: bool) -> None:
    folder, provider, plan = with_plan(tmp_path)
    with open_client(folder) as client:
        written: list[str] = []
        on_progress = writing(client.get_collection("notes", embedding_function=None), written)
        Migrator(client, on_progress=on_progress).migrate_by_plan(plan, provider, auto_backup=backup, force=True)
        assert set(written) == set(WRITTEN)
        assert {"n5", "n7", "late"} <= set(
            require_recorded(folder, client.get_collection("notes", embedding_function=None))
        )
        with Provenance.existing(folder) as provenance:
            late = provenance.rows_by_id(NOTES, WRITTEN)
        for number, record in enumerate(WRITTEN):
            np.testing.assert_allclose(late[record].old_vector, CORPUS.old_documents[ROWS + number], atol=1e-3)
        done = Migrator(client).refine("notes", provider)
        assert done.written_by_application == 0
        assert done.status.share_exact == 1.0
        require_reembedded(client)


def test_a_run_that_is_killed_right_after_the_exchange_has_recorded_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it had not carried over is recorded as projected when the next run does it, and becomes exact."""
    folder, provider, plan = with_plan(tmp_path)
    with open_client(folder) as client:
        written: list[str] = []
        on_progress = writing(client.get_collection("notes", embedding_function=None), written)
        last = len(CORPUS.old_documents) - 1

        def die(*arguments: object) -> int:
            backup = client.get_collection(Migrator(client).backups()[0].name, embedding_function=None)
            backup.upsert(["last"], CORPUS.old_documents[last:], documents=[CORPUS.documents[last]])
            raise KilledError

        with monkeypatch.context() as patched:
            patched.setattr(LateWrites, "carry", die)
            with pytest.raises(KilledError):
                Migrator(client, on_progress=on_progress).migrate_by_plan(plan, provider, force=True)
        collection = client.get_collection("notes", embedding_function=None)
        assert len(collection.get("n5", include=["embeddings"])["embeddings"][0]) == 128, "it is exchanged"
        assert set(WRITTEN) <= set(require_recorded(folder, collection))
        assert collection.get("last")["ids"] == []
        assert Migrator(client).recover() == "notes: 1 records, written just before its exchange, were carried over"
        assert {*WRITTEN, "last"} <= set(require_recorded(folder, collection))
        with Provenance.existing(folder) as provenance:
            late = provenance.rows_by_id(NOTES, ["last"])["last"]
        np.testing.assert_allclose(late.old_vector, CORPUS.old_documents[last], atol=1e-3)
        done = Migrator(client).refine("notes", provider)
        assert (done.written_by_application, done.status.share_exact) == (0, 1.0)
        require_reembedded(client)
