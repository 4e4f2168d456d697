"""Two processes want one folder."""

from __future__ import annotations

from pathlib import Path

from lightmigrate import ChromaMigrator, Projection
from tests.crash.places import everything, is_new, place
from tests.crash.test_kill import migrate_in_another_process
from tests.databases import contents
from tests.processes import was_killed

__all__ = ["place"]


def test_one_wins_and_the_others_are_refused(
    place: str, database: Path, projection: Projection, projection_file: Path
) -> None:
    old, before = contents(database), everything(database.parent)["chroma_data"]
    racing = [migrate_in_another_process(database, projection_file, place) for _ in range(3)]
    ends = [progress.recv() for _, progress in racing]
    assert not any(was_killed(process) for process, _ in racing)
    # while the first worked, or after it, when there was nothing left of the old dimension
    assert sum(end in ("AnotherRunError", "DatabaseInUseError", "WrongDirectionError") for end in ends) == 2, ends
    assert ends.count(0) == 1
    assert is_new(contents(database), old, projection)
    (backup,) = ChromaMigrator(database).backups()
    assert everything(database.parent)[str(backup.path.relative_to(database.parent))] == before
