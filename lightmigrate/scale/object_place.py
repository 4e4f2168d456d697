"""A collection in an object store; see `place`. What is where is said in `objects.pointer`."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightmigrate.errors import DatabaseError, RefusedError, VerificationError
from lightmigrate.migration.lock import DatabaseLock
from lightmigrate.migration.results import Backup
from lightmigrate.objects.folder import AT_ONCE, ObjectFolder
from lightmigrate.objects.lock import ObjectLock
from lightmigrate.objects.path import ObjectPath
from lightmigrate.objects.pointer import HOME, DatasetVersion, Pointer, is_run, read_pointer, write_pointer
from lightmigrate.objects.scratch import scratch, sweep
from lightmigrate.objects.system import require_prefix
from lightmigrate.progress import logger
from lightmigrate.scale.file_states import State
from lightmigrate.scale.manifest import Done
from lightmigrate.stores.open import open_units
from lightmigrate.stores.units import UnitFolder

_NOTES = "notes"
_FACTS, _PROJECTION, _WHOLE = "run.json", "projection.npz", "whole.texts"
_UNITS, _OTHERS, _REPLACED = "units", "others.json", "replaced.json"


@dataclass(frozen=True)
class ObjectDestination:
    """See `place.Destination`.

    Attributes:
        objects: that a run builds.
        notes: what is noted of it.
    """

    objects: ObjectFolder
    notes: ObjectFolder

    @contextlib.contextmanager
    def writing(self, unit: str) -> Iterator[Path]:
        """See `Destination`: in a folder for temporary files."""
        with scratch() as folder:
            yield folder / Path(unit).name

    def put(self, file: Path, unit: str, sha256: str, like: Path) -> None:
        """See `Destination`: in one request, and read back."""
        self.objects.put(file, unit, sha256)

    def note(self, done: Done) -> None:
        """See `Destination`: an object for each unit, so that no worker writes what another one writes."""
        self.notes.write_json(f"{_UNITS}/{done.unit}.json", asdict(done))


class ObjectPlace:
    """See `place.Place`.

    Args:
        address: of the collection, such as `s3://bucket/vectors`, with its options.

    Attributes:
        path: the address, without options.
    """

    def __init__(self, address: str) -> None:
        require_prefix(address)
        self._address = address
        prefix = address.partition("?")[0].rstrip("/")
        self._objects = ObjectFolder(prefix)
        self._home = self._objects.below(HOME)
        self._lock = DatabaseLock(ObjectLock(self._home))
        self.path = ObjectPath.at(self._objects)
        self._pointer = read_pointer(self._home)
        self._opened: tuple[DatasetVersion, UnitFolder] | None = None
        self._read: dict[tuple[str, State], Done] = {}

    @property
    def folder(self) -> UnitFolder:
        """See `Place`: the objects that the pointer names, opened anew where it names others."""
        if self._opened is None or self._opened[0].run != self._pointer.live.run:
            opened = open_units(self._address)
            assert isinstance(opened, UnitFolder)  # noqa: S101  # see `migrators`
            self._opened = self._pointer.live, opened
        return self._opened[1]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """See `Place`: a lock of this machine, and one in the store. An exchange is one request, and leaves nothing.

        A deletion is many, and those that a run was killed in are ended.
        """
        with self._lock.held():
            self._pointer = read_pointer(self._home)
            sweep()
            self._end_deletions()
            yield

    def states(self) -> dict[str, State]:
        """See `Place`."""
        return self._version(self._pointer.live).states()

    def require_own(self) -> None:
        """See `Place`: what is in place is not renamed, so whatever else is there is not harmed."""

    def room(self, run: str | None, growth: float, workers: int) -> tuple[int, int, str]:
        """See `Place`: for the largest object and what is made of it, for each worker."""
        scratch = Path(tempfile.gettempdir())
        largest = max((state[0] for state in self.states().values() if state is not None), default=0)
        needed = int(largest * (1 + growth)) * max(1, workers)
        return needed, shutil.disk_usage(scratch).free, f"in {scratch} (TMPDIR names another folder)"

    def runs(self) -> list[str]:
        """See `Place`: known by what is noted of them, which is put first and deleted last."""
        named = {name.split("/")[1] for name in self._home.states(_NOTES)}
        return sorted(run for run in named - self._pointer.runs() if is_run(run))

    def facts(self, run: str) -> Mapping[str, Any]:
        """See `Place`."""
        return self._notes(run).read_json(_FACTS) if run else {}

    @contextlib.contextmanager
    def preparing(self, run: str) -> Iterator[tuple[Path, Path]]:
        """See `Place`: written on this machine, and put then."""
        with scratch() as folder:
            files = folder / _PROJECTION, folder / _WHOLE
            yield files
            for file in files:
                if file.exists():
                    self._notes(run).put(file, file.name)

    def note(self, run: str, facts: Mapping[str, Any]) -> None:
        """See `Place`."""
        self._notes(run).write_json(_FACTS, facts)

    def begin(self, run: str) -> None:
        """See `Place`: nothing, as a request that was not ended has left nothing that can be seen."""

    def discard(self, run: str) -> None:
        """See `Place`."""
        self._delete(DatasetVersion(run))

    def projection(self, run: str) -> Path:
        """See `Place`."""
        return ObjectPath.at(self._notes(run)) / _PROJECTION

    def whole(self, run: str) -> Path:
        """See `Place`."""
        return ObjectPath.at(self._notes(run)) / _WHOLE

    def destination(self, run: str) -> ObjectDestination:
        """See `Place`."""
        return ObjectDestination(self._version(DatasetVersion(run)), self._notes(run))

    def done(self, run: str) -> dict[str, Done]:
        """See `Place`."""
        there = self._version(DatasetVersion(run)).states()
        noted = self.manifest(run)
        return {unit: each for unit, each in noted.items() if (there.get(unit) or (None,))[0] == each.bytes}

    def complete(self, run: str, done: Mapping[str, Done], others: Mapping[str, State]) -> None:
        """See `Place`: the store copies them; what was copied already and is the same is left."""
        live, new, notes = self._version(self._pointer.live), self._version(DatasetVersion(run)), self._notes(run)
        there = new.states()
        copied = {name: tuple(state) for name, state in notes.read_json(_OTHERS).items()}
        missing = {name for name, state in others.items() if name not in there or copied.get(name) != state}

        def copy(name: str) -> bool:
            try:
                live.copy(name, new)
            except (FileNotFoundError, VerificationError):
                if live.state(name) == others[name]:
                    raise
                return False  # it was written to meanwhile, which the next pass sees
            return True

        with ThreadPoolExecutor(AT_ONCE) as pool:
            failed = {name for name, whole in zip(missing, pool.map(copy, missing), strict=True) if not whole}
        new.delete(there.keys() - done.keys() - others.keys())
        notes.write_json(_OTHERS, {name: state for name, state in others.items() if name not in failed})

    def exchange(self, run: str, states: Mapping[str, State], sha256: str) -> Backup:
        """See `Place`: the pointer is put."""
        replaced = self._pointer.live
        self._notes(replaced.name).write_json(_REPLACED, states)
        self._move_to(DatasetVersion(run, str(self.facts(run).get("model", "")), sha256))
        return self._backup(replaced)

    def states_of(self, backup: Backup) -> dict[str, State]:
        """See `Place`."""
        return self._version(self._former(backup)).states()

    def live_run(self) -> str:
        """See `Place`."""
        return self._pointer.live.run

    def manifest(self, run: str) -> dict[str, Done]:
        """See `Place`."""
        if not run:
            return {}
        notes = self._notes(run)
        states = notes.states(_UNITS)
        unread = [name for name, state in states.items() if (f"{run}/{name}", state) not in self._read]
        for name, data in notes.read_all(unread):
            with contextlib.suppress(ValueError, TypeError):
                self._read[f"{run}/{name}", states[name]] = Done(**json.loads(data))
        known = (self._read.get((f"{run}/{name}", state)) for name, state in states.items())
        return {done.unit: done for done in known if done is not None}

    def sha256(self, unit: str) -> str | None:
        """See `Place`."""
        return self._version(self._pointer.live).sha256(unit)

    def backups(self) -> list[Backup]:
        """See `Place`."""
        return [self._backup(version) for version in self._pointer.former]

    def restore(self, backup: Backup) -> Path:
        """See `Place`: the pointer is put."""
        replaced = self._pointer.live
        self._notes(replaced.name).write_json(_REPLACED, self.states())
        self._move_to(self._former(backup))
        return self._backup(replaced).path

    def delete_backup(self, backup: Backup) -> None:
        """See `Place`: first the pointer says that it is no backup any more, and last that it is gone."""
        version = self._former(backup)
        self._require_unwritten(version)
        self._set(self._pointer.without([version], deleted=False))
        self._end_deletions()

    def _end_deletions(self) -> None:
        """Delete what the pointer says is to be deleted. Writes."""
        for version in self._pointer.deleting:
            self._lock.require()
            self._delete(version)
            self._set(self._pointer.without([version], deleted=True))

    def _require_unwritten(self, version: DatasetVersion) -> None:
        """Raise `RefusedError` where somebody who does not read the pointer goes on writing there."""
        late, address = self._states(version) - self._when_replaced(version), self._version(version).address
        if late:
            raise RefusedError(
                f"{len(late)} objects below {address} were written since it was replaced, and are only there: whoever "
                "writes them does not read which prefix is the dataset; copy them to where they belong, and delete the "
                "old ones with the tools of the store"
            )

    def _states(self, version: DatasetVersion) -> set[tuple[str, State]]:
        return set(self._version(version).states().items())

    def _when_replaced(self, version: DatasetVersion) -> set[tuple[str, State]]:
        """The objects of a version as they were when it was replaced. Only reads."""
        noted = self._notes(version.name).read_json(_REPLACED)
        return {(name, (int(size), int(number))) for name, (size, number) in noted.items()}

    def _delete(self, version: DatasetVersion) -> None:
        """Delete the objects of a version, but none that was written since it was replaced; then its notes. Writes."""
        objects, own = self._version(version), self._states(version)
        if (replaced := self._when_replaced(version)) and (late := own - replaced):
            logger.warning("%s: %d objects were written since it was replaced, and stay", objects.address, len(late))
            own &= replaced
        objects.delete([name for name, _ in own])
        notes = self._notes(version.name)
        notes.delete(notes.states())

    def _move_to(self, version: DatasetVersion) -> None:
        self._set(self._pointer.moved_to(version))

    def _set(self, pointer: Pointer) -> None:
        """Put the pointer while the lock is held, and see that it was. Writes."""
        write_pointer(self._home, pointer, self._lock.require)
        if (read := read_pointer(self._home)) != pointer:
            self._pointer = read
            raise VerificationError(f"{self._home.address} was written to by something else: see which is the dataset")
        self._pointer = pointer

    def _former(self, backup: Backup) -> DatasetVersion:
        named = [version for version in self._pointer.former if version.name == backup.name]
        if not named:
            raise DatabaseError(f"{self.path} has no backup {backup.name} any more")
        return named[0]

    def _backup(self, version: DatasetVersion) -> Backup:
        objects = self._version(version)
        size = sum(state[0] for state in objects.states().values() if state is not None)
        return Backup(version.name, ObjectPath.at(objects), size, version.since if version.run else None)

    def _version(self, version: DatasetVersion) -> ObjectFolder:
        return self._objects.below(version.suffix)

    def _notes(self, name: str) -> ObjectFolder:
        return self._home.below(f"/{_NOTES}/{name}")
