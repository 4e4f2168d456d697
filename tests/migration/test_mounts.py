"""A database that is a mount point: a volume of its own, or a folder that is mounted again elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.namespaces import NAMESPACE, require_namespaces

SCRIPT = """
import shutil, subprocess, sys
from pathlib import Path
from lightmigrate import ChromaMigrator, Projection
from lightmigrate.errors import LocationError
from tests.crash.places import everything, is_new
from tests.databases import contents

kind, template, projection = sys.argv[1], Path(sys.argv[2]), Projection.load(sys.argv[3])
volume = template.parent / "volume"
volume.mkdir()
what = ["-t", "tmpfs", "tmpfs"] if kind == "a volume" else ["--bind", str(template)]
subprocess.run(["mount", *what, str(volume)], check=True)
if kind == "a volume":
    shutil.copytree(template, volume, dirs_exist_ok=True)
(volume / "models").mkdir()
(volume / "models" / "somebody.bin").write_text("not ours")
old, before = contents(volume), everything(volume)["."]
if kind == "a folder mounted again":
    try:
        ChromaMigrator(template).migrate_collection("thought_nodes", projection)
        raise SystemExit("the other place would stay with the old folder")
    except LocationError as error:
        assert f"{template} is mounted at {volume}, too, where the old one would stay" in str(error), error

migrator = ChromaMigrator(volume)
result = migrator.migrate_collection("thought_nodes", projection)
second = migrator.migrate_collection("notes", projection)
assert result.backup_path.parent == volume
assert is_new(contents(volume), old, projection)
assert all(check.unchanged for check in migrator.verify())
assert [backup.path for backup in migrator.backups()] == [result.backup_path, second.backup_path]
migrator.rollback()
migrator.rollback(result.backup_path.name)
assert everything(volume)["."] == before
assert (volume / "models" / "somebody.bin").read_text() == "not ours"
migrator.clean()
assert list(everything(volume)) == ["."]
assert not (volume / ".lightmigrate").exists()
print("well")
"""


DISK = """
import shutil, subprocess, sys
from pathlib import Path
from lightmigrate.migration.aside import room
from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.errors import DiskSpaceError
from lightmigrate.errors import FailedError
from lightmigrate.migration.aside import room
from tests.crash.places import everything, is_new
from tests.databases import contents, make_database

kind, template, projection = sys.argv[1], Path(sys.argv[2]), Projection.load(sys.argv[3])
disk = template.parent / "disk"
disk.mkdir()

def remount(options):
    subprocess.run(["mount", "-o", "remount," + options, str(disk)], check=True)

subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(disk)], check=True)
database = make_database(disk / "db", n=1200)
old, before = contents(database), everything(disk)["db"]
used = sum(path.stat().st_size for path in disk.rglob("*") if path.is_file())
jobs = [CollectionJob(name, projection) for name in ("thought_nodes", "notes")]
calls = 0

def disturb(progress):
    global calls
    calls += progress.step == "write"
    if calls == 6 and kind == "read-only":
        remount("ro")

if kind == "full":
    remount(f"size={2 * used + 600_000}")
    try:
        ChromaMigrator(database).migrate(jobs)
        raise SystemExit("it should not even begin")
    except DiskSpaceError as error:
        assert error.free_bytes < error.needed_bytes
    room.SPARE_BYTES = -(2**40)  # and if it had begun all the same
try:
    ChromaMigrator(database, page_size=100, on_progress=disturb).migrate(jobs)
    raise SystemExit("it should have failed")
except FailedError as error:
    assert "lightmigrate resume" in str(error) and "MiB are free" in str(error), error
remount("rw,size=1g")
migrator = ChromaMigrator(database)
assert everything(disk)["db"] == before
assert migrator.interrupted
migrator.resume()
assert is_new(contents(database), old, projection)
print("well")
"""


def in_a_namespace(script: str, *words: object) -> None:
    require_namespaces()
    command = [*NAMESPACE, sys.executable, "-c", script, *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr


@pytest.mark.parametrize("kind", ["a volume", "a folder mounted again"])
def test_a_mount_point(kind: str, database: Path, projection_file: Path) -> None:
    in_a_namespace(SCRIPT, kind, database, projection_file)


@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_disk_that_fails_in_the_middle(kind: str, database: Path, projection_file: Path) -> None:
    """A real one, of a few megabytes; afterwards it is larger, or writable again, and the migration goes on."""
    in_a_namespace(DISK, kind, database, projection_file)
