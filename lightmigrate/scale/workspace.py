"""Where a migration of a folder works, and how two folders are exchanged: a hidden folder beside.

    vectors/                                the application's folder
    .vectors.lightmigrate-files/new-ID/           the folder that is being built, with the same paths in it
    .vectors.lightmigrate-files/ID.json, .jsonl   what it is built for, and its manifest
    .vectors.lightmigrate-files/ID.npz, .texts    its projection, and the digests of the texts that are embedded whole
    .vectors.lightmigrate-files/old-TIMESTAMP/    what was replaced
    .vectors.lightmigrate-files/exchange.json     while two folders are exchanged

A folder that was built here holds its ID in `.lightmigrate.json`. Which of two folders is in place while they are
exchanged is known by the number that the file system gives each, which goes with it when it is renamed.
"""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lightmigrate.errors import AnotherRunError, DatabaseError, LocationError
from lightmigrate.files import read_json, try_lock, write_json
from lightmigrate.stores.timestamp import next_timestamp, order
from lightmigrate.system import delete, exchange_names, rename, sync_folder

MARK = ".lightmigrate.json"
_NEW, _OLD, _EXCHANGE = "new-", "old-", "exchange.json"


class Workspace:
    """The hidden folder beside a folder that is migrated.

    Args:
        live: the application's folder; need not exist while an exchange is interrupted.
    """

    def __init__(self, live: Path) -> None:
        self.live = live
        self.home = live.parent / f".{live.name}.lightmigrate-files"  # not that of a database in a folder

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the folder, and end an exchange that was interrupted. Writes.

        Raises:
            AnotherRunError: another run holds it.
            LocationError: nothing can be written beside the folder.
        """
        try:
            self.home.mkdir(exist_ok=True)
            lock = try_lock(self.home / "lock")
        except PermissionError:
            raise LocationError(f"{self.live.parent} is read-only for this user: give it write permission") from None
        if lock is None:
            raise AnotherRunError(f"another run of lightmigrate works on {self.live}: wait until it ends")
        with lock:
            self.recover()
            yield

    def new(self, run: str) -> Path:
        """The folder that a run builds."""
        return self.home / f"{_NEW}{run}"

    def manifest(self, run: str) -> Path:
        """The manifest of a run."""
        return self.home / f"{run}.jsonl"

    def facts_file(self, run: str) -> Path:
        """What a run is for."""
        return self.home / f"{run}.json"

    def projection(self, run: str) -> Path:
        """The projection of a run, as its workers read it."""
        return self.home / f"{run}.npz"

    def whole(self, run: str) -> Path:
        """The digests of the texts that a run embeds whole, as its workers read them."""
        return self.home / f"{run}.texts"

    def runs(self) -> list[str]:
        """The runs that have built a folder which was not put in place yet; only reads."""
        named = (path.name.removeprefix(_NEW) for path in self.home.glob(f"{_NEW}*"))
        return sorted(run for run in named if _is_id(run))

    def facts(self, run: str) -> Mapping[str, Any]:
        """What was noted of a run; empty for an unknown one. Only reads."""
        return read_json(self.facts_file(run)) if _is_id(run) else {}

    def live_run(self) -> str:
        """The run that built the folder in place; empty for the application's own. Only reads."""
        return run_of(self.live)

    def backups(self) -> list[Path]:
        """What was replaced, the oldest first; only reads."""
        return sorted(self.home.glob(f"{_OLD}*"), key=lambda path: order(path.name.removeprefix(_OLD)))

    def new_backup(self) -> str:
        """A free name of a backup."""
        return f"{_OLD}{next_timestamp(path.name.removeprefix(_OLD) for path in self.backups())}"

    def exchange(self, incoming: Path, outgoing: str) -> None:
        """Put a folder of this workspace in place; what it replaces becomes the backup `outgoing`. Writes.

        In one step where the system exchanges names (Linux, macOS, on most file systems), else in two, and after a
        crash in between the next run does the second.
        """
        fields = {"incoming": incoming.name, "outgoing": outgoing, "number": incoming.stat().st_ino}
        write_json(self.home / _EXCHANGE, fields)
        self.recover()

    def is_used(self) -> bool:
        """Whether the folder was migrated here, is being, or has a backup: a lock alone says nothing. Only reads."""
        return bool(self.interrupted() or self.live_run() or self.runs() or self.backups())

    def interrupted(self) -> bool:
        """Whether an exchange is to be ended; only reads."""
        return (self.home / _EXCHANGE).exists()

    def recover(self) -> None:
        """Do the rest of an exchange that was begun. Writes.

        Raises:
            DatabaseError: somebody changed its journal.
            LocationError: the folder cannot be renamed, such as a mounted one; nothing was exchanged.
        """
        fields = read_json(self.home / _EXCHANGE)
        if not fields:
            return
        names = [fields.get("incoming"), fields.get("outgoing")]
        if not all(isinstance(name, str) and re.fullmatch(r"(new|old)-\w+", name) for name in names):
            raise DatabaseError(f"{self.home / _EXCHANGE} is damaged: move it away, and run this again")
        incoming, outgoing = (self.home / str(name) for name in names)
        if incoming.exists() and self.live.exists() and self.live.stat().st_ino != fields.get("number"):
            self._swap(incoming, outgoing)
        if not self.live.exists():
            rename(incoming, self.live)
        elif incoming.exists():  # exchanged, so it is the old one
            rename(incoming, outgoing)
        sync_folder(self.live.parent)
        sync_folder(self.home)
        delete(self.home / _EXCHANGE)

    def _swap(self, incoming: Path, outgoing: Path) -> None:
        try:
            if not exchange_names(incoming, self.live):
                rename(self.live, outgoing)
        except OSError as error:
            delete(self.home / _EXCHANGE)
            if error.errno not in (errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM):
                raise
            raise LocationError(
                f"{self.live} cannot be renamed ({error.strerror}): is it the root of a mounted file system? give a "
                "folder inside of it"
            ) from None

    def delete_backup(self, backup: Path) -> None:
        """Delete what was replaced, and what was noted of the run that had built it. Writes."""
        run = run_of(backup)
        shutil.rmtree(backup)
        if run:
            self._forget(run)

    def discard(self, run: str) -> None:
        """Delete what a run has built. Writes."""
        shutil.rmtree(self.new(run), ignore_errors=True)
        self._forget(run)

    def _forget(self, run: str) -> None:
        """Delete what was noted of a run. Writes."""
        for path in (self.facts_file(run), self.manifest(run), self.projection(run), self.whole(run)):
            delete(path)


def run_of(folder: Path) -> str:
    """The run that built a folder; empty for one that was not built here. Only reads."""
    run = read_json(folder / MARK).get("run", "")
    return run if isinstance(run, str) and _is_id(run) else ""


def _is_id(run: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{12,32}", run) is not None
