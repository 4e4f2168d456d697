"""A database that is a mount point: a volume of its own, or a folder that is mounted again elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Mounting needs rights that a test may not have; in a namespace of its own it has them.
NAMESPACE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]

SCRIPT = """
import shutil, subprocess, sys
from pathlib import Path
from lightmigrate import ChromaMigrator, Projection
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


@pytest.mark.parametrize("kind", ["a volume", "a folder mounted again"])
def test_a_mount_point(kind: str, database: Path, projection_file: Path) -> None:
    if not shutil.which("unshare") or subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount, not even in a namespace of its own")
    command = [*NAMESPACE, sys.executable, "-c", SCRIPT, kind, str(database), str(projection_file)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr
