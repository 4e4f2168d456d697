"""A collection of a running server is refined beside the application, killed in the middle, and ends exact."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lightmigrate import BudgetPlan, ChromaMigrator, Migrator
from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.errors import LightmigrateError, RefusedError
from lightmigrate.stores.chroma.client import open_client
from tests.budget.collections import CORPUS, NEW, NOTES, build, cached, curve, require_reembedded, texts
from tests.migration.shadow.server import running_server

ROOT = Path(__file__).parents[2]
SERVED = 200


def test_a_killed_refinement_goes_on_and_ends_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    provider = cached(tmp_path)
    said = [*texts(SERVED - 1), texts(1)[0]]  # one text twice
    with running_server(tmp_path / "db") as server:
        client = server.client()
        held = client.create_collection("notes", embedding_function=None, metadata={"owner": "raa"})
        held.add(
            ids=[f"n{row}" for row in range(SERVED)],
            documents=said,
            embeddings=CORPUS.old_documents[:SERVED],
            metadatas=[{"row": row, "odd": bool(row % 2), "weight": row / 7} for row in range(SERVED)],
            uris=[f"file:///{row}" if row % 3 else None for row in range(SERVED)],
        )
        columns = ["documents", "metadatas", "uris"]
        before = held.get(include=columns)
        drawn = curve(client, provider)
        kind = max(drawn.extract_kinds, key=drawn.extract_kinds.__getitem__)
        plan = BudgetPlan.of(NOTES, drawn, drawn.option(BudgetSetting(True, 12, drawn.calibration, kind)))
        Migrator(client).migrate_by_plan(plan, provider, force=True)

        arguments = [str(server.port), str(tmp_path / "cache.sqlite3"), "2"]
        command = [sys.executable, "-m", "tests.budget.run_refine", *arguments]
        assert subprocess.run(command, cwd=ROOT).returncode == -signal.SIGKILL
        (between,) = Migrator(client).status()
        assert 0 < between.share_exact < 1
        assert between.exact == 61 + 64  # the calibration documents, one of them twice, and a batch; one is not noted

        # the application goes on: it reads everything, changes a text, adds one
        held = client.get_collection("notes", embedding_function=None)
        assert held.get(include=columns) == before
        changed = {"ids": ["n9"], "documents": ["another text"], "embeddings": NEW.embed(["another text"])}
        held.update(**changed)
        held.add(ids=["late"], documents=["a late text"], embeddings=NEW.embed(["a late text"]))

        done = Migrator(client).refine("notes", provider)
        assert done.status.share_exact == 1.0
        after = held.get(include=columns)
        assert after["documents"] == [
            *before["documents"][:9],
            "another text",
            *before["documents"][10:],
            "a late text",
        ]
        assert after["metadatas"] == [*before["metadatas"], None]
        assert after["uris"] == [*before["uris"], None]
        require_reembedded(client)


def test_what_was_rolled_back_is_not_refined(tmp_path: Path) -> None:
    """Its provenance is of rows that are not there any more: none is taken for written by the application."""
    folder, provider = build(tmp_path / "db", texts(SERVED)), cached(tmp_path)
    with open_client(folder) as client:
        drawn = curve(client, provider)
        plan = BudgetPlan.of(NOTES, drawn, drawn.option(BudgetSetting(True, 0, drawn.calibration)))
        Migrator(client).migrate_by_plan(plan, provider, force=True)
        ChromaMigrator(client).rollback()
        with pytest.raises(RefusedError, match="0 of 200 vectors looked at are those that its migration gave it"):
            Migrator(client).refine("notes", provider)
        with pytest.raises(LightmigrateError, match="was rolled back, migrated again or deleted since"):
            Migrator(client).status()
        vectors = client.get_collection("notes", embedding_function=None).get(include=["embeddings"])["embeddings"]
    np.testing.assert_allclose(vectors, CORPUS.old_documents[:SERVED], atol=1e-3)
