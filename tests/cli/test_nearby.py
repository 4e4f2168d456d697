"""`lightmigrate` alone: databases here and below, each with the command that comes next."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Migrator, Projection
from lightmigrate.cli.app import main
from tests.migration.test_resume import KilledError, dies


def alone(capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main([])
    return int(ended.value.code or 0), capsys.readouterr().out


def test_nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    code, shown = alone(capsys)
    assert code == 0
    assert "No database in this folder or below" in shown
    assert "lightmigrate demo" in shown


def test_each_database_has_its_next_command(
    database: Path, projection: Projection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = database.parent
    monkeypatch.chdir(home)
    for name in ("migrated", "rolled back", "broken off"):
        shutil.copytree(database, home / name / "chroma")
    np.save(home / "vectors.npy", np.eye(4, dtype=np.float32))
    ChromaMigrator(home / "migrated" / "chroma").migrate([CollectionJob("thought_nodes", projection)])
    rolled_back = ChromaMigrator(home / "rolled back" / "chroma")
    rolled_back.migrate([CollectionJob("thought_nodes", projection)])
    rolled_back.rollback()
    with pytest.raises(KilledError):
        ChromaMigrator(home / "broken off" / "chroma", on_progress=dies("verify", 1)).migrate(
            [CollectionJob("thought_nodes", projection)]
        )
    vectors = np.random.default_rng(0).normal(size=(50, projection.info.source.dimension)).astype(np.float32)
    (home / "half").mkdir()
    np.save(home / "half" / "built.npy", vectors)
    with pytest.raises(KilledError):
        Migrator(home / "half" / "built.npy", on_progress=dies("project", 1)).migrate(
            [CollectionJob("built", projection)], force=True
        )
    assert Migrator(home / "half" / "built.npy").interrupted
    shutil.copytree(database, home / ".hidden" / "chroma")
    code, shown = alone(capsys)
    assert code == 0
    proposed = [shlex.split(line) for line in re.findall(r"^  lightmigrate (.*)$", shown, re.M)]
    assert sorted(map(tuple, proposed)) == [
        ("doctor", "chroma_data"),
        ("doctor", "half"),  # `resume` would not go on there
        ("doctor", "rolled back/chroma"),
        ("doctor", "vectors.npy"),
        ("resume", "broken off/chroma"),
        ("status", "migrated/chroma"),
    ], shown  # neither a backup, nor what is hidden
    for command in proposed:
        if command[0] != "resume":
            with pytest.raises(SystemExit) as ended:
                main(command)
            assert not ended.value.code, command
