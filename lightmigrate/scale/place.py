"""Where a collection of many files is, is built anew, and is exchanged: the seam to folders and to object stores."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from lightmigrate.migration.results import Backup
from lightmigrate.scale.file_states import State
from lightmigrate.scale.manifest import Done
from lightmigrate.stores.units import UnitFolder


class Destination(Protocol):
    """Where a worker puts the files of a run. Can be pickled."""

    def writing(self, unit: str) -> contextlib.AbstractContextManager[Path]:
        """A name for a file of this machine, to be written; what is left of it is deleted at the end of the block."""

    def put(self, file: Path, unit: str, sha256: str, like: Path) -> None:
        """Put a file that `writing` named under the name of a unit, whole or not at all; durable on return. Writes.

        Args:
            file: the file; may be gone then.
            unit: the unit.
            sha256: of its content.
            like: the unit that it was made from, whose rights it gets.

        Raises:
            VerificationError: it was not read back as it was.
        """

    def note(self, done: Done) -> None:
        """Note that a unit is done; durable on return. Any number of workers may do that at once. Writes."""


class Place(Protocol):
    """Where one collection is. What it says of runs is of those whose files were not put in place yet."""

    @property
    def path(self) -> Path:
        """The collection, for messages."""

    @property
    def folder(self) -> UnitFolder:
        """The files that are the collection now."""

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Hold the lock of the collection, and end what was interrupted of an exchange. Writes.

        Raises:
            AnotherRunError: another run holds it.
            LocationError: nothing can be written there.
        """

    def states(self) -> dict[str, State]:
        """All files that are there now, by name; only reads."""

    def require_own(self) -> None:
        """Raise `RefusedError` where something else is among the files, which may not be exchanged. Only reads."""

    def room(self, run: str | None, growth: float, workers: int) -> tuple[int, int, str]:
        """How many bytes a run needs, how many there are for it, and where, in words. Only reads.

        Args:
            run: its name; `None` for one that has not begun.
            growth: how much longer the new vectors are.
            workers: how many convert at once.
        """

    def runs(self) -> list[str]:
        """The runs that have built something; only reads."""

    def facts(self, run: str) -> Mapping[str, Any]:
        """What was noted of a run; empty for an unknown one. Only reads."""

    def preparing(self, run: str) -> contextlib.AbstractContextManager[tuple[Path, Path]]:
        """Files of this machine for the projection of a new run and for its digests, kept at the end. Writes.

        The block writes them; it need not write the second.
        """

    def note(self, run: str, facts: Mapping[str, Any]) -> None:
        """Note what a run is for. Writes."""

    def begin(self, run: str) -> None:
        """Have all that a new run needs to build, and delete what one that was interrupted has not ended. Writes."""

    def discard(self, run: str) -> None:
        """Delete what a run has built. Writes."""

    def projection(self, run: str) -> Path:
        """The projection of a run, as its workers read it; see `objects.path.local_copy`."""

    def whole(self, run: str) -> Path:
        """The digests of the texts that a run embeds whole, likewise."""

    def destination(self, run: str) -> Destination:
        """Where its workers put files."""

    def done(self, run: str) -> dict[str, Done]:
        """The units that are noted and are there with the size that they had; only reads."""

    def complete(self, run: str, done: Mapping[str, Done], others: Mapping[str, State]) -> None:
        """Bring all other files to those of a run, and delete what is neither. Writes.

        Args:
            run: its name.
            done: its units.
            others: the other files, as they are now.
        """

    def exchange(self, run: str, states: Mapping[str, State], sha256: str) -> Backup:
        """Put what a run has built in place at once; returns what it replaced. Writes.

        Args:
            run: its name.
            states: all files that it was made from.
            sha256: digest of its units.
        """

    def states_of(self, backup: Backup) -> dict[str, State]:
        """All files of what was replaced, by name; only reads."""

    def live_run(self) -> str:
        """The run that built what is in place; empty for the application's own. Only reads."""

    def manifest(self, run: str) -> dict[str, Done]:
        """All units that were noted; only reads."""

    def sha256(self, unit: str) -> str | None:
        """The digest of a file as it is now; `None` where there is none. Only reads."""

    def backups(self) -> list[Backup]:
        """What was replaced, the oldest first; only reads."""

    def restore(self, backup: Backup) -> Path:
        """Put a backup in place at once; returns where that is now which it replaced. Writes."""

    def delete_backup(self, backup: Backup) -> None:
        """Delete what was replaced, and what was noted of the run that had built it. Writes.

        Raises:
            RefusedError: it was written to since it was replaced.
        """
