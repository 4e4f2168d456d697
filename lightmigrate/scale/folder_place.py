"""A collection in a folder of a file system; see `place`."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightmigrate.errors import RefusedError
from lightmigrate.files import tree_bytes, write_json
from lightmigrate.migration.results import Backup
from lightmigrate.rights import Rights
from lightmigrate.scale import manifest
from lightmigrate.scale.file_states import State, sha256_of, size_of
from lightmigrate.scale.manifest import Done
from lightmigrate.scale.workspace import MARK, Workspace, states_in
from lightmigrate.stores.mounts import require_one_place
from lightmigrate.stores.open import other_database_in
from lightmigrate.stores.units import UnitFolder
from lightmigrate.system import delete, rename, sync_file, sync_folder

# How the names of files begin that are being written.
_TEMPORARY = ".lightmigrate-writing-"


@dataclass(frozen=True)
class FolderDestination:
    """See `place.Destination`.

    Attributes:
        folder: that a run builds.
        manifest: its manifest.
    """

    folder: Path
    manifest: Path

    @contextlib.contextmanager
    def writing(self, unit: str) -> Iterator[Path]:
        """See `Destination`: beside the name that it gets."""
        target = self.folder / unit
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f"{_TEMPORARY}{secrets.token_hex(4)}.{target.name}")
        try:
            yield aside
        finally:
            delete(aside)

    def put(self, file: Path, unit: str, sha256: str, like: Path) -> None:
        """See `Destination`: it was read back while it was written, and is renamed."""
        file.chmod(like.stat().st_mode & 0o777)
        sync_file(file)
        rename(file, self.folder / unit)
        sync_folder((self.folder / unit).parent)

    def note(self, done: Done) -> None:
        """See `Destination`: a line."""
        manifest.append(self.manifest, done)


class FolderPlace:
    """See `place.Place`.

    Args:
        folder: the files.

    Attributes:
        path: the folder.
        folder: the files.
    """

    def __init__(self, folder: UnitFolder) -> None:
        self.folder = folder
        self.path = folder.path.resolve()
        self._workspace = Workspace(self.path)

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """See `Place`."""
        return self._workspace.locked()

    def states(self) -> dict[str, State]:
        """See `Place`."""
        return states_in(self.path)

    def require_own(self) -> None:
        """See `Place`: an application may have another database in it open, and would go on writing to it."""
        if (other := other_database_in(self.path, self.folder.others())) is not None:
            raise RefusedError(
                f"{other[0]} is a {other[1]} database, which an application may have open while {self.path} is "
                f"exchanged as a whole: move one of them elsewhere, and run this again"
            )
        require_one_place(self.path, works_there=False)

    def room(self, run: str | None, growth: float, workers: int) -> tuple[int, int, str]:
        """See `Place`: for all files, but for those that the run has built."""
        free = shutil.disk_usage(self.path.parent).free
        built = 0 if run is None else tree_bytes(self._workspace.new(run))
        return int(tree_bytes(self.path) * growth), free + built, f"beside {self.path}"

    def runs(self) -> list[str]:
        """See `Place`."""
        return self._workspace.runs()

    def facts(self, run: str) -> Mapping[str, Any]:
        """See `Place`."""
        return self._workspace.facts(run)

    @contextlib.contextmanager
    def preparing(self, run: str) -> Iterator[tuple[Path, Path]]:
        """See `Place`: in their places."""
        yield self._workspace.projection(run), self._workspace.whole(run)

    def note(self, run: str, facts: Mapping[str, Any]) -> None:
        """See `Place`."""
        write_json(self._workspace.facts_file(run), facts)

    def begin(self, run: str) -> None:
        """See `Place`: from then on it is one of `runs`."""
        new = self._workspace.new(run)
        new.mkdir(exist_ok=True)
        for path in new.rglob(f"{_TEMPORARY}*"):
            delete(path)

    def discard(self, run: str) -> None:
        """See `Place`."""
        self._workspace.discard(run)

    def projection(self, run: str) -> Path:
        """See `Place`."""
        return self._workspace.projection(run)

    def whole(self, run: str) -> Path:
        """See `Place`."""
        return self._workspace.whole(run)

    def destination(self, run: str) -> FolderDestination:
        """See `Place`."""
        return FolderDestination(self._workspace.new(run), self._workspace.manifest(run))

    def done(self, run: str) -> dict[str, Done]:
        """See `Place`."""
        new = self._workspace.new(run)
        return {unit: each for unit, each in self.manifest(run).items() if size_of(new / unit) == each.bytes}

    def complete(self, run: str, done: Mapping[str, Done], others: Mapping[str, State]) -> None:
        """See `Place`."""
        new = self._workspace.new(run)
        for name, state in others.items():
            if state is not None:
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.path / name, new / name)
                sync_file(new / name)
        wanted = {*done, *others, MARK}
        for path in sorted(new.rglob("*"), reverse=True):
            if path.is_file() and path.relative_to(new).as_posix() not in wanted:
                delete(path)
        rights = Rights(self.path)
        for path in (new, *sorted(new.rglob("*"))):
            if (old := self.path / path.relative_to(new)).exists():
                rights.give(path, old, old)
        rights.warn()
        shutil.copystat(self.path, new)
        write_json(new / MARK, {"run": run, "model": self._workspace.facts(run).get("model", "")})

    def exchange(self, run: str, states: Mapping[str, State], sha256: str) -> Backup:
        """See `Place`."""
        name = self._workspace.new_backup()
        self._workspace.exchange(self._workspace.new(run), name, states)
        return self._described(self._workspace.home / name)

    def states_of(self, backup: Backup) -> dict[str, State]:
        """See `Place`."""
        return states_in(backup.path)

    def live_run(self) -> str:
        """See `Place`."""
        return self._workspace.live_run()

    def manifest(self, run: str) -> dict[str, Done]:
        """See `Place`."""
        return manifest.read(self._workspace.manifest(run), Done)

    def sha256(self, unit: str) -> str | None:
        """See `Place`."""
        return sha256_of(self.path / unit)

    def backups(self) -> list[Backup]:
        """See `Place`."""
        return [self._described(path) for path in self._workspace.backups()]

    def restore(self, backup: Backup) -> Path:
        """See `Place`."""
        displaced = self._workspace.new_backup()
        self._workspace.exchange(backup.path, displaced, self.states())
        return self._workspace.home / displaced

    def delete_backup(self, backup: Backup) -> None:
        """See `Place`: whoever had a file of it open, or read its name before, can have written to it since."""
        if late := len(self._workspace.written_since(backup.path)):
            path = backup.path
            raise RefusedError(
                f"{late} files in {path} were written to since it was replaced, and are only there: copy what was "
                f"written to where it belongs, then  rm -r {shlex.quote(str(path))}  deletes the backup"
            )
        self._workspace.delete_backup(backup.path)

    def _described(self, backup: Path) -> Backup:
        late = len(self._workspace.written_since(backup))
        reason = f"has {late:,} files that were written to after it was put aside" if late else None
        return Backup(backup.name, backup, tree_bytes(backup), None, reason)
