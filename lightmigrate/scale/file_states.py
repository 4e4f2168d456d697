"""What tells whether a file was written to: its size and the time of its last change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from lightmigrate.files import file_sha256
from lightmigrate.scale.manifest import Done
from lightmigrate.scale.workspace import MARK

# Of a file: its size and the time of its last change in nanoseconds; `None` where there is none.
State: TypeAlias = tuple[int, int] | None


def sources_of(done: Mapping[str, Done]) -> dict[str, State]:
    """The files that others were made from, as they were then."""
    return {unit: (each.source_bytes, each.source_changed_ns) for unit, each in done.items()}


def written_in(folder: Path, states: Mapping[str, State]) -> set[str]:
    """The files of a folder that are no longer what they were, or are new, or gone; only reads."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()} - {MARK}
    return {name for name in found | states.keys() if state_of(folder / name) != states.get(name)}


def state_of(path: Path) -> State:
    """The state of a file; only reads."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def sha256_of(path: Path) -> str | None:
    """The digest of a file; `None` where there is none. Only reads."""
    try:
        return file_sha256(path)
    except FileNotFoundError:
        return None


def size_of(path: Path) -> int | None:
    """The size of a file in bytes; `None` where there is none. Only reads."""
    state = state_of(path)
    return None if state is None else state[0]


def digest_of_states(folder: Path, units: Sequence[str]) -> str:
    """A digest of the states of some files of a folder. Only reads."""
    states = [(unit, state_of(folder / unit)) for unit in units]
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()
