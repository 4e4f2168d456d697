"""Other processes that have the files open which a client of this process writes: two that write them damage them.

Where an open database has files, its store says so (`InFiles`). Measured with Chroma 1.5.9: a process that goes on
writing after another one has written 2,000 records, and has closed the folder again, leaves an index that no process
can read any more. After one that only read, or whose records are in the main file alone, all of them are found.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from lightmigrate.errors import DatabaseInUseError
from lightmigrate.stores.files import FileDatabase, fingerprint
from lightmigrate.stores.users import process_name, users_of


@runtime_checkable
class InFiles(Protocol):
    """A store whose client, in this process, writes files that no other process may write at the same time."""

    def own_files(self) -> FileDatabase | None:
        """These files; `None` for a server, and for a database in memory. Reads nothing."""


def files_of(database: object) -> FileDatabase | None:
    """The files of a database that only one process may write; `None` where there are none. Reads nothing."""
    if isinstance(database, FileDatabase):
        return database
    return database.own_files() if isinstance(database, InFiles) else None


def others_of(files: FileDatabase) -> list[int]:
    """Ids of the other processes that have the files open, as far as they can be seen; see `users_of`. Only reads."""
    return [pid for pid in users_of(files.folder / files.main) if pid != os.getpid()]


def require_no_others(database: object) -> None:
    """Raise `DatabaseInUseError` when another process has the files of an open database open. Only reads."""
    files = files_of(database)
    if files is None or not (others := others_of(files)):
        return
    who = ", ".join(f"{pid} ({process_name(pid)})" for pid in others)
    raise DatabaseInUseError(
        f"{files.folder} is open here and in process {who}, and only one may write: stop it first, or serve the folder "
        "by a server and give its client, then run this again",
        processes=others,
    )


class OtherProcesses:
    """Looks now and then whether other processes have the files of a database open, and what they left behind.

    Args:
        database: see `files_of`.
    """

    def __init__(self, database: object) -> None:
        self._files = files_of(database)
        self._since: Mapping[str, tuple[int, int]] | None = None

    def seen(self) -> str:
        """Which processes have the files open now, as `another process has FOLDER open`; empty for none. Only reads."""
        others: Sequence[int] = [] if self._files is None else others_of(self._files)
        if self._files is None or not others:
            return ""
        if self._since is None:
            self._since = self._beside_main(self._files)
        whose = "another process has" if len(others) == 1 else f"{len(others)} other processes have"
        return f"{whose} {self._files.folder} open"

    def left(self) -> str:
        """What those left behind that were seen and are gone: that nothing may be written; empty for nothing."""
        before, self._since = self._since, None
        if self._files is None or before is None or self._beside_main(self._files) == before:
            return ""
        return f"files of {self._files.folder} were changed while another process had it open"

    @staticmethod
    def _beside_main(files: FileDatabase) -> Mapping[str, tuple[int, int]]:
        """The state of the files that an open client does not read again; it does that with the main file."""
        return fingerprint(files.folder, lambda entry: files.owns(entry) and not entry.name.startswith(files.main))
