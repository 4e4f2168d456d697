"""Whether a folder or a file is mounted at another place, too, as a container has a folder of the host.

What is mounted stays so when the host renames it: the container goes on with the old one, which is the backup by then.
Linux lists the mounts of every process; those of other containers are seen by the host, not by each other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lightmigrate.errors import LocationError
from lightmigrate.stores.processes import all_processes
from lightmigrate.stores.users import process_name

# How Linux writes such characters of a path in a list of mounts.
_ESCAPED = {b"\\": b"\\134", b" ": b"\\040", b"\t": b"\\011", b"\n": b"\\012"}


def require_one_place(path: Path, *, works_there: bool) -> None:
    """Raise `LocationError` where a path that is to be renamed is mounted elsewhere, too; see `mounted_elsewhere`."""
    if (reason := mounted_elsewhere(path, works_there=works_there)) is not None:
        raise LocationError(reason)


def require_replaceable(path: Path) -> None:
    """Raise `LocationError` where a file is mounted by itself, here or elsewhere. Only reads."""
    with contextlib.suppress(OSError):  # a system without such a list
        if any(words[4] == _escaped(os.fsencode(path)) for words in _mounts(os.getpid())):
            raise LocationError(
                f"{path} is mounted by itself, so that no other file can take its name: mount its folder instead"
            )
    require_one_place(path, works_there=False)


def mounted_elsewhere(path: Path, *, works_there: bool) -> str | None:
    """Where a path that is to be renamed is mounted, too, and what helps; `None` for nowhere. Only reads.

    Args:
        path: a real path, without symbolic links; no mount point.
        works_there: whether what is to be done can be done at a mount point as well.
    """
    for pid, place in mounted_at(path):
        if pid == os.getpid():
            way_out = "unmount it first, or give that path" if works_there else "unmount it first"
            return f"{path} is mounted at {place}, too, where the old one would stay: {way_out}"
        way_out = "stop it first, or run this there" if works_there else "stop it first"
        return (
            f"{path} is mounted at {place} in process {pid} ({process_name(pid)}), in another container or sandbox, "
            f"which would go on with the old one: {way_out}"
        )
    return None


def mounted_at(path: Path) -> Iterator[tuple[int, Path]]:
    """The places where a path is mounted, each with a process that sees it there, this one first. Only reads."""
    if (mounted := _as_mounted(path)) is None:
        return
    seen = set[str]()
    for pid in (os.getpid(), *sorted(all_processes())):
        with contextlib.suppress(OSError):  # it has ended
            namespace = _namespace(pid)
            if namespace not in seen:
                seen.add(namespace)
                yield from ((pid, _path(words[4])) for words in _mounts(pid, mounted) if words[2:4] == mounted)


def _as_mounted(path: Path) -> list[bytes] | None:
    """The device of a path, and its path there, as a list of mounts would have it; `None` where there is no list."""
    wanted, found = _escaped(os.fsencode(path)), None
    with contextlib.suppress(OSError):
        for words in _mounts(os.getpid()):
            _, _, device, root, place = words[:5]
            below = place.rstrip(b"/") + b"/"
            if wanted.startswith(below) and (found is None or len(below) >= found[0]):  # the last one is on top
                found = len(below), [device, root.rstrip(b"/") + b"/" + wanted[len(below) :]]
    return None if found is None else found[1]


def _mounts(pid: int, holding: list[bytes] | None = None) -> list[list[bytes]]:
    """The mounts that a process sees, in words; none where some words are in none of them."""
    content = Path(f"/proc/{pid}/mountinfo").read_bytes()
    if holding is not None and b" ".join(holding) not in content:
        return []
    return [line.split() for line in content.splitlines()]


def _namespace(pid: int) -> str:
    """What all processes have in common that see the same mounts; of the processes of others it is not told."""
    try:
        return str(Path(f"/proc/{pid}/ns/mnt").readlink())
    except PermissionError:
        return str(pid)


def _escaped(path: bytes) -> bytes:
    return b"".join(_ESCAPED.get(bytes([byte]), bytes([byte])) for byte in path)


def _path(escaped: bytes) -> Path:
    for character, code in reversed(_ESCAPED.items()):  # the backslash last
        escaped = escaped.replace(code, character)
    return Path(os.fsdecode(escaped))
