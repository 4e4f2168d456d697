"""A process that migrates, to be killed: `run_migration.py DATABASE PROJECTION beside|inside ROUTE [N]`.

With N it kills itself right before the N-th of the file operations that Python announces (open for
writing, rename, remove, mkdir, ...) on or beside the database. Without, it says `go` and waits to be killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from lightmigrate import ChromaMigrator, CollectionJob
from lightmigrate.migration.aside import location
from lightmigrate.stores import chroma  # noqa: F401  # so that the first operation counted is the migration's own
from lightmigrate.stores.files import Route

WATCHED = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.utime", "os.link"}
# The system's exchange of two names announces itself by no event of its own; what surrounds it does.


def main(database: Path, projection: Path, place: str, route: Route, fatal: int | None) -> None:
    """Migrate two collections; die at operation `fatal`. `inside`: as if the database were a mount point."""
    if place == "inside":
        location.is_mount_point = lambda folder: True
    parent, seen = str(database.parent), 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in WATCHED and str(arguments[0]).startswith(parent):
            if event == "open" and not int(str(arguments[2] or 0)) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
            seen += 1
            if seen == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    print("go", flush=True)
    if fatal is not None:
        sys.addaudithook(watch)
    jobs = [CollectionJob("thought_nodes", projection), CollectionJob("notes", projection)]
    ChromaMigrator(database, page_size=5).migrate(jobs, index=route)
    print(seen, flush=True)


if __name__ == "__main__":
    route: Route = sys.argv[4]  # type: ignore[assignment]  # the tests know them
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], route, int(sys.argv[5]) if len(sys.argv) > 5 else None)
