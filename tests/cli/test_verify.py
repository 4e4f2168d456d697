"""`verify` tells what `refine` wrote from what others wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lightmigrate import Migrator
from lightmigrate.cli.app import main
from lightmigrate.stores.chroma.client import open_client
from tests.budget.collections import migrated


def verify(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(folder), *words])
    return int(ended.value.code or 0), capsys.readouterr().out


def test_what_refine_wrote_is_no_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, provider = migrated(tmp_path)
    assert verify(folder, capsys)[0] == 0
    done = Migrator(folder).refine("notes", provider, documents=20)
    assert done.embedded == 20
    code, out = verify(folder, capsys)
    assert code == 0
    assert "refine embedded 20 rows of notes since the migration" in out
    assert "everything else is as the migration left it" in out
    (check,) = json.loads(verify(folder, capsys, "--json")[1])
    assert (check["refined"], check["vectors_equal"]) == (20, True)


def test_what_others_wrote_after_a_refinement_is_a_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, provider = migrated(tmp_path)
    Migrator(folder).refine("notes", provider, documents=20)
    with open_client(folder) as client:
        notes = client.get_collection("notes", embedding_function=None)
        notes.update(ids=["n3"], embeddings=[[0.5] * 128])
    code, out = verify(folder, capsys)
    assert code == 1
    assert "refine embedded 20 rows of notes since the migration" in out
    assert "other programs wrote to it, or it is damaged" in out
