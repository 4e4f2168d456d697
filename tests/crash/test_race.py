"""Two processes want one folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lightmigrate import ChromaMigrator, Projection
from tests.crash.places import everything, is_new, place
from tests.crash.test_kill import PROGRAM
from tests.databases import contents

__all__ = ["place"]


def test_one_wins_and_the_others_are_refused(
    place: str, database: Path, projection: Projection, projection_file: Path
) -> None:
    old, before = contents(database), everything(database.parent)["chroma_data"]
    command = [sys.executable, str(PROGRAM), str(database), str(projection_file), place, "keep"]
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM.parents[2])}
    racing = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for _ in range(3)
    ]
    ended = [(process.communicate(), process.returncode) for process in racing]
    assert sorted(code for _, code in ended) == [0, 1, 1]
    for (_, message), code in ended:
        if code:  # while the first worked, or after it, when there was nothing left of the old dimension
            assert any(kind in message for kind in ("AnotherRunError", "DatabaseInUseError", "WrongDirectionError")), (
                message
            )
    assert is_new(contents(database), old, projection)
    (backup,) = ChromaMigrator(database).backups()
    assert everything(database.parent)[str(backup.path.relative_to(database.parent))] == before
