"""What every user may know of the processes of others: their locks on files, and the words they were started with.

Linux shows the open files of a process to its own user and to root alone. It shows everybody who holds a lock on a
file: SQLite takes one while it reads or writes, and in WAL mode as long as a file is open.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from lightmigrate.system import user_name


def all_processes() -> list[int]:
    """The ids of all processes that this one may know of; none where the system does not say."""
    try:
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    except FileNotFoundError:
        return []


def lock_holders(main: Path) -> Mapping[int, bool]:
    """The processes that hold a lock on an SQLite file, and whether one that only a writer takes. Only reads."""
    memory = _number(main.with_name(f"{main.name}-shm"))  # of WAL mode, where those that read take every kind of lock
    files = {_number(main), memory} - {""}
    holders: dict[int, bool] = {}
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:  # such as  1: POSIX  ADVISORY  WRITE 4711 fe:01:2213253 1073741826 1073742335
        match line.split():
            case [_, "POSIX" | "FLOCK", _, kind, pid, file, *_] if file in files and int(pid) > 0:
                holders[int(pid)] = holders.get(int(pid), False) or (kind == "WRITE" and file != memory)
    return holders


def hidden_processes_naming(main: Path) -> list[int]:
    """Processes whose open files are not shown, and that were started with the path of a file or of its folder.

    Only reads. Those that started this one are left out: they name what it is to work on.
    """
    places = {path.name: _number(path) for path in (main, main.parent) if _number(path)}
    own = set(_ancestors())
    return [pid for pid in all_processes() if pid not in own and is_hidden(pid) and _names(pid, places)]


def is_hidden(pid: int) -> bool:
    """Whether a process is there whose open files this user may not see."""
    try:
        os.scandir(f"/proc/{pid}/fd").close()
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def told_of(pid: int, what: str) -> str:
    """What the system tells of a process. A name in it is cut to 15 bytes, whatever letter that cuts in two.

    Raises:
        OSError: it has ended, or may not be seen.
    """
    return Path(f"/proc/{pid}/{what}").read_bytes().decode(errors="replace")


def user_of(pid: int) -> str:
    """The name of the user of a process; `?` when it has ended."""
    try:
        status = told_of(pid, "status")
    except OSError:
        return "?"
    return user_name(int(status.partition("\nUid:")[2].split()[1]))


def _names(pid: int, places: Mapping[str, str]) -> bool:
    """Whether one of its words is the path of a place, such as  /srv/db  or  --path=/srv/db ."""
    try:
        words = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")
    except OSError:
        return False
    # What a relative path starts from is not shown. A path of another name is not looked at: its disk may not answer.
    paths = (Path(path) for word in words if (path := word.rpartition("=")[2]).startswith("/"))
    return any(path.name in places and _number(path) == places[path.name] for path in paths)


def _ancestors() -> Iterator[int]:
    """This process and those that started it."""
    pid = os.getpid()
    while pid:
        yield pid
        try:
            pid = int(told_of(pid, "stat").rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            return


def _number(path: Path) -> str:
    """A file as Linux names it in its list of locks; empty for none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ""
    return f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
