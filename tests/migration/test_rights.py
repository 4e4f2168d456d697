"""Who owns a database, and who may read it: the new one, its backup, and what a rollback brings back."""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.files import IndexRoute
from tests.crash.places import place
from tests.databases import make_database, make_vectors
from tests.indexed import make_indexed
from tests.other_users import APP, DEPLOY, SHARED, as_user, give_all, needs_root, open_folder

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


Found = Mapping[str, tuple[int, int, int]]


def rights_in(folder: Path) -> Found:
    """Owner, group and mode of every entry, by name; those of index folders, whose names are new, by their kind."""
    found: dict[str, tuple[int, int, int]] = {}
    for path in (folder, *folder.rglob("*")):
        parts = path.relative_to(folder).parts
        name = "/".join(["index", *parts[1:]] if parts and "-" in parts[0] and (folder / parts[0]).is_dir() else parts)
        status = path.stat()
        rights = status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)
        assert found.setdefault(name, rights) == rights, name
    return found


@needs_root
@pytest.mark.parametrize("route", ["keep", "rebuild", "rewrite"])
def test_an_entry_of_another_owner_than_the_folder_keeps_it(
    route: IndexRoute, place: str, projection: Projection, tmp_path: Path
) -> None:
    database = make_indexed(tmp_path / "home" / "chroma_data")
    give_all(database, APP, SHARED, 0o750, 0o644)
    os.chown(database, 0, SHARED)
    database.chmod(0o2775)
    before = rights_in(database)
    migrator = ChromaMigrator(database)
    migrator.migrate([CollectionJob(name, projection) for name in ("thought_nodes", "notes")], index=route)
    main = before["chroma.sqlite3"]
    assert rights_in(database).items() >= before.items()
    new = {name: rights for name, rights in rights_in(database).items() if name not in before}
    assert {rights for name, rights in new.items() if "backup" not in name} == {main}
    (backup,) = migrator.backups()
    assert rights_in(backup.path).items() >= before.items()


@needs_root
def test_without_root_the_group_stays_where_the_user_is_in_it(
    place: str, projection: Projection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_folder() as home:
        database = make_database(home / "chroma_data")
        give_all(database, DEPLOY, SHARED, 0o770, 0o660)
        before = rights_in(database)
        with as_user(DEPLOY, [SHARED]):
            ChromaMigrator(database).migrate_collection("thought_nodes", projection)
        assert rights_in(database).items() >= before.items()
        assert {group for _, group, _ in rights_in(database).values()} == {SHARED}
    assert "chown" not in caplog.text


@needs_root
@pytest.mark.parametrize(
    ("owner", "groups", "folders", "files", "warned"),
    [
        (DEPLOY, [], 0o770, 0o660, True),  # the group is locked out
        (DEPLOY, [], 0o775, 0o664, True),  # it may only read
        (DEPLOY, [], 0o755, 0o644, False),
        (APP, [SHARED], 0o770, 0o660, True),  # the owner is, unless known to be in the group
        (APP, [SHARED], 0o777, 0o666, False),
        (0, [SHARED], 0o770, 0o660, False),
    ],
)
def test_who_is_locked_out_is_said_in_one_line_with_the_command_that_lets_him_in_again(
    owner: int,
    groups: list[int],
    folders: int,
    files: int,
    warned: bool,
    place: str,
    projection: Projection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with open_folder() as home:
        database = make_database(home / "chroma_data")
        give_all(database, owner, SHARED, folders, files)
        before = rights_in(database)
        with as_user(DEPLOY, groups):
            ChromaMigrator(database).migrate_collection("thought_nodes", projection)
        lines = [record.getMessage() for record in caplog.records if "chown" in record.getMessage()]
        assert len(lines) == warned
        for line in lines:
            assert "\n" not in line
            assert re.search(r"the owner or the group of (\d+) of \1 files and folders", line)
            subprocess.run(shlex.split(line.partition("as root:  ")[2]), check=True)
            exchanged = {name: rights for name, rights in rights_in(database).items() if "backup" not in name}
            assert exchanged.items() >= before.items()
