"""Where a migration of a folder works, and how two folders are exchanged: a hidden folder beside.

    vectors/                                the application's folder
    .vectors.lightmigrate-files/new-ID/           the folder that is being built, with the same paths in it
    .vectors.lightmigrate-files/ID.json, .jsonl   what it is built for, and its manifest
    .vectors.lightmigrate-files/ID.npz, .texts    its projection, and the digests of the texts that are embedded whole
    .vectors.lightmigrate-files/old-TIMESTAMP/    what was replaced
    .vectors.lightmigrate-files/replaced-old-TIMESTAMP.json   its files as they were then
    .vectors.lightmigrate-files/exchange.json     while two folders are exchanged

A folder that was built here holds its ID in `.lightmigrate.json`. Which of two folders is in place while they are
exchanged is known by the number that the file system gives each, which goes with it when it is renamed; and where
both were copied since, by the ID of the one that is not in place, to which no application writes.

An exchange that a crash left before its first step is undone: the application may have gone on writing for days. One
that has begun is ended. What was written to a folder after its files were read for the last time is only in the
backup, which is then said, and not deleted.
"""

from __future__ import annotations

import contextlib
import errno
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lightmigrate.errors import AnotherRunError, DatabaseError, LocationError
from lightmigrate.files import read_json, try_lock, write_json
from lightmigrate.progress import logger
from lightmigrate.scale.file_states import State, different, state_of, warn_of_late
from lightmigrate.stores.mounts import require_one_place
from lightmigrate.stores.timestamp import next_timestamp, order
from lightmigrate.system import delete, delete_folder, exchange_names, rename, sync_folder

MARK = ".lightmigrate.json"
_NEW, _OLD, _REPLACED, _EXCHANGE = "new-", "old-", "replaced-", "exchange.json"


class Workspace:
    """The hidden folder beside a folder that is migrated.

    Args:
        live: the application's folder; need not exist while an exchange is interrupted.

    Attributes:
        recovered: how an interrupted exchange was ended, in a sentence; `None` where there was none.
    """

    def __init__(self, live: Path) -> None:
        self.live = live
        self.home = live.parent / f".{live.name}.lightmigrate-files"  # not that of a database in a folder
        self.recovered: str | None = None

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
            self.recovered = self.recover() or self.recovered
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

    def exchange(self, incoming: Path, outgoing: str, states: Mapping[str, State]) -> None:
        """Put a folder of this workspace in place; what it replaces becomes the backup `outgoing`. Writes.

        In one step where the system exchanges names (Linux, macOS, on most file systems), else in two, and after a
        crash in between the next run does the second.

        Args:
            incoming: the folder.
            outgoing: a free name; see `new_backup`.
            states: the files of what it replaces, as they were when they were read for the last time.

        Raises:
            LocationError: the folder cannot be renamed, such as a mounted one; nothing was exchanged.
        """
        require_one_place(self.live, works_there=False)
        write_json(self._replaced(outgoing), states)
        fields = {
            "incoming": incoming.name,
            "outgoing": outgoing,
            "number": incoming.stat().st_ino,
            "run": run_of(incoming),
        }
        write_json(self.home / _EXCHANGE, fields)
        self._swap(incoming, self.home / outgoing)
        self._finish(incoming, self.home / outgoing)

    def written_since(self, backup: Path) -> set[str]:
        """The files of a backup that are not what they were when it was replaced, as far as that was noted; reads."""
        noted = read_json(self._replaced(backup.name))
        return different(states_in(backup), _states(noted)) if noted else set()

    def _replaced(self, backup: str) -> Path:
        return self.home / f"{_REPLACED}{backup}.json"

    def is_used(self) -> bool:
        """Whether the folder was migrated here, is being, or has a backup: a lock alone says nothing. Only reads."""
        return bool(self.interrupted() or self.live_run() or self.runs() or self.backups())

    def interrupted(self) -> bool:
        """Whether an exchange is to be ended; only reads."""
        return (self.home / _EXCHANGE).exists()

    def recover(self) -> str | None:
        """Undo an exchange that a crash interrupted before its first step, and do the rest of any other. Writes.

        Returns:
            How it was ended, in a sentence; `None` where there was none.

        Raises:
            DatabaseError: somebody changed its journal, or put another folder in place between its two steps.
        """
        fields = read_json(self.home / _EXCHANGE)
        if not fields:
            return None
        names = [fields.get("incoming"), fields.get("outgoing")]
        if not all(isinstance(name, str) and re.fullmatch(r"(new|old)-\w+", name) for name in names):
            raise DatabaseError(f"{self.home / _EXCHANGE} is damaged: move it away, and run this again")
        incoming, outgoing = (self.home / str(name) for name in names)
        aside, moved = self._is_aside(incoming, fields), outgoing.exists()
        if aside and moved and self.live.exists():
            raise DatabaseError(
                f"an exchange was interrupted, and somebody made another {self.live} since; what was there is in "
                f"{outgoing}:  mv {shlex.quote(str(self.live))} {shlex.quote(f'{self.live}-since')}  and run this again"
            )
        if aside and not moved:
            self._forget_exchange(outgoing)
            ended = "an interrupted exchange was undone, as it had not begun: the folder is as it was"
            logger.warning("%s: %s", self.live, ended)
            return ended
        ended = "an interrupted exchange was finished"
        self._finish(incoming, outgoing)
        logger.warning("%s: %s", self.live, ended)
        if late := len(self.written_since(outgoing)) if outgoing.exists() else 0:
            warn_of_late(self.live, late, outgoing)
        return ended

    def _is_aside(self, incoming: Path, fields: Mapping[str, Any]) -> bool:
        """Whether the folder that is to be put in place still has the name that it had before; only reads."""
        number = fields.get("number")
        if not incoming.exists() or (self.live.exists() and self.live.stat().st_ino == number):
            return False
        return incoming.stat().st_ino == number or run_of(incoming) == fields.get("run")

    def _swap(self, incoming: Path, outgoing: Path) -> None:
        """The first step. Writes."""
        try:
            if not exchange_names(incoming, self.live):
                rename(self.live, outgoing)
        except OSError as error:
            self._forget_exchange(outgoing)
            if error.errno not in (errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM):
                raise
            raise LocationError(
                f"{self.live} cannot be renamed ({error.strerror}): is it the root of a mounted file system? give a "
                "folder inside of it"
            ) from None

    def _finish(self, incoming: Path, outgoing: Path) -> None:
        """All that follows the first step, as far as it is not done. Writes."""
        if incoming.exists():  # if there is one in place, they were exchanged, and this is the old one
            rename(incoming, outgoing if self.live.exists() else self.live)
        sync_folder(self.live.parent)
        sync_folder(self.home)
        delete(self._replaced(incoming.name))  # a backup that is in place is written to
        delete(self.home / _EXCHANGE)

    def _forget_exchange(self, outgoing: Path) -> None:
        """Delete what was noted of an exchange that has not begun. Writes."""
        delete(self.home / _EXCHANGE)
        delete(self._replaced(outgoing.name))

    def delete_backup(self, backup: Path) -> None:
        """Delete what was replaced, and what was noted of the run that had built it. Writes."""
        run = run_of(backup)
        delete_folder(backup)
        delete(self._replaced(backup.name))
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


def states_in(folder: Path) -> dict[str, State]:
    """The files of a folder but the mark of a run; only reads."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return {name: state_of(folder / name) for name in names if name != MARK}


def _states(noted: Mapping[str, Any]) -> dict[str, State]:
    """States that were read from a file: JSON has turned their tuples into lists."""
    return {name: None if state is None else (state[0], state[1]) for name, state in noted.items()}


def _is_id(run: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{12,32}", run) is not None
