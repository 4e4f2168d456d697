"""A migration in a process that is killed: by itself before a file operation, or by a test at any moment."""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from lightmigrate import ChromaMigrator, CollectionJob, system
from lightmigrate.errors import LightmigrateError
from lightmigrate.migration.aside import location
from lightmigrate.stores import chroma  # noqa: F401  # so that the first operation counted is the migration's own
from lightmigrate.stores.chroma import from_files
from lightmigrate.stores.files import IndexRoute
from tests.processes import is_write


def change_distance(database: Path, fatal: int | None, progress: Connection) -> None:
    """Give two collections another distance; see `migrate` for the arguments."""
    watch = _Watch(database.parent, fatal)
    progress.send("go")
    watch.begin()
    jobs = [CollectionJob(name, distance="l2") for name in ("thought_nodes", "notes")]
    ChromaMigrator(database, page_size=5).migrate(jobs)
    progress.send(watch.seen)


class _Watch:
    """Counts the file operations on or beside a database, and kills this process right before one of them.

    Attributes:
        seen: how many there were so far.
    """

    def __init__(self, parent: Path, fatal: int | None) -> None:
        self._parent, self._fatal, self.seen = parent, fatal, 0

    def begin(self) -> None:
        """Count from now on; for ever."""
        if self._fatal is not None:
            sys.addaudithook(self._operation)

    def _operation(self, event: str, arguments: tuple[object, ...]) -> None:
        if is_write(event, arguments, self._parent):
            self.seen += 1
            if self.seen == self._fatal:
                os.kill(os.getpid(), signal.SIGKILL)


def migrate(
    database: Path, projection: Path, place: str, route: IndexRoute, fatal: int | None, progress: Connection
) -> None:
    """Migrate two collections.

    Args:
        database: its folder.
        projection: its file.
        place: `beside`; `inside`, as if the database were a mount point; or `renames`, beside, on a system that cannot
            exchange two names.
        route: of the migration.
        fatal: the process kills itself right before this one, from 1, of the file operations that Python announces
            (open for writing, rename, remove, mkdir, ...) on or beside the database; `None` counts none.
        progress: receives `go` before the first step; at the end the number of operations, or the error's name.
    """
    if place == "inside":
        location.is_mount_point = lambda folder: True
    elif place == "renames":
        system._exchange = lambda first, second: None
    from_files.SAMPLED = 20  # or Chroma would be asked for all records of collections as small as these
    watch = _Watch(database.parent, fatal)
    progress.send("go")
    watch.begin()
    jobs = [CollectionJob("thought_nodes", projection), CollectionJob("notes", projection)]
    try:
        ChromaMigrator(database, page_size=5).migrate(jobs, index=route)
    except LightmigrateError as error:
        progress.send(type(error).__name__)
    else:
        progress.send(watch.seen)


def go_back(database: Path, fatal: int | None, progress: Connection) -> None:
    """Go back without what was written since; see `migrate` for the arguments."""
    watch = _Watch(database.parent, fatal)
    progress.send("go")
    watch.begin()
    ChromaMigrator(database).rollback(written="discard")
    progress.send(watch.seen)
