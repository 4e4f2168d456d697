"""The manifest of a run: one line of JSON for each unit that is done, appended by whoever did it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from lightmigrate.errors import CostError, LightmigrateError, ProviderError
from lightmigrate.system import sync


@dataclass(frozen=True)
class Done:
    """A unit that was converted, compared and put under its name.

    Attributes:
        unit: path of the file, below its folder.
        source_bytes: size of the file that it was made from.
        source_changed_ns: when that was last changed, in nanoseconds since 1970.
        vectors: how many it holds.
        bytes: its size.
        sha256: of its content.
        exact: vectors among them that the new model made of whole texts.
        cut: texts of it that were longer than the model takes.
        refused: texts of it that the model refuses.
    """

    unit: str
    source_bytes: int
    source_changed_ns: int
    vectors: int
    bytes: int
    sha256: str
    exact: int = 0
    cut: int = 0
    refused: int = 0


@dataclass(frozen=True)
class DonePart:
    """A part of a table whose new vectors were written and compared.

    Attributes:
        unit: name of the part.
        state: that it had.
        vectors: how many it holds.
        bytes: size of the file with the new ones.
        sha256: of that file.
        description: what puts it in place; see `stores.units.Made`.
        exact: see `Done`, as the others.
        cut: likewise.
        refused: likewise.
    """

    unit: str
    state: str
    vectors: int
    bytes: int
    sha256: str
    description: str
    exact: int = 0
    cut: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Failed:
    """A unit that was not converted.

    Attributes:
        unit: path of the file below its folder, or name of the part of a table.
        reason: what is wrong, in a sentence without ids and texts.
        changed: whether it was only written to meanwhile.
    """

    unit: str
    reason: str
    changed: bool = False


@dataclass(frozen=True)
class Stopped:
    """A unit that was not converted for a reason that all others share: the new model fails, or costs too much.

    Attributes:
        unit: see `Failed`.
        reason: what is wrong, in a sentence without ids and texts.
        spent: dollars spent so far, where a limit of cost was reached; `None` otherwise.
        allowed: that limit.
    """

    unit: str
    reason: str
    spent: float | None = None
    allowed: float | None = None

    def error(self) -> LightmigrateError:
        """As the run raises it."""
        if self.spent is None or self.allowed is None:
            return ProviderError(self.reason)
        return CostError(self.reason, spent=self.spent, allowed=self.allowed)


_D = TypeVar("_D", Done, DonePart)


def append(manifest: Path, done: Done | DonePart) -> None:
    """Add a line, in one write; durable on return. Several processes may append at once. Writes."""
    # begins with the end of a line: what a process that was killed had left of its own must not run into this one
    line = b"\n" + json.dumps(asdict(done)).encode() + b"\n"
    descriptor = os.open(manifest, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    with os.fdopen(descriptor, "ab", buffering=0) as file:
        file.write(line)
        sync(file)


def read(manifest: Path, kind: type[_D]) -> dict[str, _D]:
    """The last line of each unit; lines that were not written whole are left out. Only reads."""
    known: dict[str, _D] = {}
    try:
        lines = manifest.read_bytes().splitlines()
    except FileNotFoundError:
        return known
    for line in lines:
        try:
            done = kind(**json.loads(line))
        except (ValueError, TypeError):
            continue
        known[done.unit] = done
    return known


def total(units: Iterable[Done] | Iterable[DonePart]) -> str:
    """The digest of all units together: the sum of those of each, modulo 2²⁵⁶, in whatever order."""
    digests = (hashlib.sha256(f"{done.sha256} {done.unit}".encode()).digest() for done in units)
    return f"{sum(int.from_bytes(digest, 'big') for digest in digests) % 2**256:064x}"
