"""What tells whether a file was written to: its size, and the time of its last change or the version of an object."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from lightmigrate.files import file_sha256
from lightmigrate.progress import logger
from lightmigrate.scale.manifest import Done

# Of a file: its size, and a number that is another one after it was written to; `None` where there is none. See
# `units.UnitFolder.state`.
State: TypeAlias = tuple[int, int] | None


def sources_of(done: Mapping[str, Done]) -> dict[str, State]:
    """The files that others were made from, as they were then."""
    return {unit: (each.source_bytes, each.source_changed_ns) for unit, each in done.items()}


def different(now: Mapping[str, State], states: Mapping[str, State]) -> set[str]:
    """The files that are no longer what they were, or are new, or gone."""
    return {name for name in now.keys() | states.keys() if now.get(name) != states.get(name)}


def warn_of_late(path: Path, count: int, kept: Path) -> None:
    """Say that files of a folder were written to after they were read for the last time, and where that is now."""
    logger.warning(
        "%s: %d files were written to in the last moment before the exchange; what was written is only in %s, which is "
        "kept", path, count, kept,
    )  # fmt: skip


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


def digest_of_states(states: Mapping[str, State], units: Sequence[str]) -> str:
    """A digest of the states of some files."""
    return hashlib.sha256(json.dumps([(unit, states.get(unit)) for unit in units]).encode()).hexdigest()
