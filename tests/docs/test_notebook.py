"""The notebook runs from its first cell to its last, on a real database, and draws."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from website.notebook import NOTEBOOK, run


def test_the_notebook_runs_and_shows_what_it_drew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    committed = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    outputs = [output for cell in committed["cells"] for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert NOTEBOOK.stat().st_size < 200_000
    names = run(committed)
    assert names["result"].n_migrated == 400
    assert names["alike"].mean() > 2 * names["unlike"].mean(), "documents are near where the new model puts them"
