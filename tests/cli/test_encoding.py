"""Outputs that cannot hold every character, as a file on a Windows machine cannot: no command fails for that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightmigrate import ChromaMigrator
from tests.databases import make_database, make_projection


def printed(encoding: str, *words: object) -> str:
    """What a command prints into a file of an encoding; its exit code is 0."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "lightmigrate", *map(str, words)]
    ended = subprocess.run(command, env=environment, capture_output=True, stdin=subprocess.DEVNULL, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.decode(encoding)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp932"])
def test_what_was_done_is_told_in_every_encoding(encoding: str, tmp_path: Path) -> None:
    folder = make_database(tmp_path / "данные é")
    make_projection().save(tmp_path / "projection.npz")
    told = printed(encoding, "migrate", folder, "-p", tmp_path / "projection.npz", "-c", "notes", "--force", "--yes")
    assert "notes: 30 records" in told
    assert json.loads(printed(encoding, "doctor", folder, "--json"))["path"] == str(folder)
    assert "next:" in printed(encoding, "rollback", folder, "--yes")
    assert len(ChromaMigrator(folder).backups()) == 1
