"""Who owns a database, and who may read it: the new one, its backup, and what a rollback brings back."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.files import IndexRoute
from tests.crash.places import place
from tests.databases import make_vectors
from tests.indexed import make_indexed

__all__ = ["place"]

FOLDER, FILE = 0o750, 0o640
OWNER, GROUP = (12345, 54321) if os.geteuid() == 0 else (os.getuid(), os.getgid())


def restrict(database: Path) -> None:
    for path in (database, *database.rglob("*")):
        path.chmod(FOLDER if path.is_dir() else FILE)
        os.chown(path, OWNER, GROUP)


def assert_restricted(folder: Path) -> None:
    found = {
        str(path.relative_to(folder)): (stat.S_IMODE(path.stat().st_mode), path.stat().st_uid, path.stat().st_gid)
        for path in (folder, *folder.rglob("*"))
    }
    expected = {name: (FOLDER if (folder / name).is_dir() else FILE, OWNER, GROUP) for name in found}
    assert found == expected


@pytest.mark.parametrize("route", ["keep", "rebuild", "rewrite"])
def test_are_kept(route: IndexRoute, place: str, projection: Projection, tmp_path: Path) -> None:
    database = make_indexed(tmp_path / "home" / "chroma_data")
    restrict(database)
    migrator = ChromaMigrator(database)
    jobs = [CollectionJob(name, projection) for name in ("thought_nodes", "notes")]
    results = migrator.migrate(jobs, index=route)
    assert {result.index for result in results} == {route}
    assert_restricted(database)
    for backup in migrator.backups():
        assert_restricted(backup.path)
    with open_client(database) as client:
        client.get_collection("notes", embedding_function=None).add(ids=["later"], embeddings=make_vectors(1, 24))
    restrict(database)
    migrator.rollback(written="carry")
    assert_restricted(database)
