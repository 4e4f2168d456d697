"""A folder that an older Chroma wrote: what its owner is told before it is migrated, and what the backup keeps."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lightmigrate import Migrator
from lightmigrate.cli.app import main
from tests.databases import folder_hash, make_database, make_projection
from tests.stores.chroma.test_legacy import unpack

WRITERS = {"0.5.23": "0.5 or 0.6", "0.6.3": "0.5 or 0.6", "1.0.0": "1.0, 1.1 or 1.2"}


def run(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a command prints, as one line."""
    with pytest.raises(SystemExit):
        main([str(word) for word in words])
    captured = capsys.readouterr()
    return " ".join((captured.out + captured.err).split())


@pytest.mark.parametrize("version", WRITERS)
def test_who_wrote_it_is_told_before_anything_is_changed(
    version: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    folder = unpack(version, tmp_path)
    before = folder_hash(folder)
    notice = f"Chroma {WRITERS[version]} wrote this folder, and Chroma 1.1 or older cannot open it once it is migrated"
    projection = make_projection().save(tmp_path / "p.npz")
    for words in (
        ("doctor", folder),
        ("plan", folder, "-p", projection, "-c", "thought_nodes"),
        ("migrate", folder, "-p", projection, "-c", "thought_nodes"),
        ("migrate", folder, "--distance", "ip"),
    ):
        printed = run(capsys, *words)
        assert notice in printed, words
        assert f"lightmigrate rollback {folder}" in printed, words
    assert folder_hash(folder) == before, "without consent nothing is written"


def test_the_backup_stays_as_the_older_chroma_wrote_it(tmp_path: Path) -> None:
    folder = unpack("1.0.0", tmp_path)
    before = folder_hash(folder)
    migrator = Migrator(folder)
    migrated = migrator.migrate_collection("thought_nodes", make_projection())
    assert migrator.upgrade_notice is None, "a newer Chroma wrote it now"
    assert migrated.backup_path is not None
    assert folder_hash(migrated.backup_path) == before
    migrator.rollback()
    assert folder_hash(folder) == before


def test_nothing_is_told_of_a_folder_of_todays_chroma(tmp_path: Path) -> None:
    assert Migrator(make_database(tmp_path / "db")).diagnose().upgrade_notice is None
