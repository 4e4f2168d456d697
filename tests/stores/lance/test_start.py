"""A LanceDB folder whose application starts with another model: real vectors, a real projection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pytest

from lightmigrate import auto_migrate
from lightmigrate.registry.library import ENVIRONMENT
from tests.encoders import shared_wordllama
from tests.startup.starts import CORPUS, MINILM, NEW, QUICK, ROWS, WORDLLAMA, registry, vectors_of


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A table of MiniLM's vectors, and a registry with a projection to WordLlama's."""
    monkeypatch.setenv(ENVIRONMENT, str(registry(tmp_path / "projections", (MINILM, WORDLLAMA))))
    rows = [
        {"id": str(row), "vector": vector.tolist(), "text": text}
        for row, (vector, text) in enumerate(zip(vectors_of(MINILM)[:ROWS], CORPUS.documents[:ROWS], strict=True))
    ]
    return lancedb.connect(tmp_path / "lancedb").create_table("abstracts", rows)


def test_a_start_with_another_model_migrates_once(tmp_path: Path, table: Any) -> None:
    report = auto_migrate(tmp_path / "lancedb", NEW, **QUICK)
    assert (report.action, report.error) == ("migrated", "")
    table.checkout_latest()
    found = 0
    for row in range(0, ROWS, 10):
        query = shared_wordllama().embed([CORPUS.documents[row]])[0]
        nearest = table.search(query.tolist()).distance_type("cosine").limit(10).to_list()
        found += str(row) in [hit["id"] for hit in nearest]
    assert found >= 0.8 * ROWS / 10
    again = auto_migrate(str(tmp_path / "lancedb"), NEW, **QUICK)
    assert again.action == "nothing"
    assert np.isfinite(table.to_arrow()["vector"].combine_chunks().flatten().to_numpy()).all()
