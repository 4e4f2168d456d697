"""Objects where those who read files expect a path: they are opened, listed and looked at, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from lightmigrate.objects.folder import ObjectFolder, State
from lightmigrate.server_path import ServerPath


class ObjectPath(ServerPath):
    """An object, or a prefix, by its address. Can be pickled.

    What it does is that of a path; parts that are read of an open object are asked for alone.

    Attributes:
        known: the state that it had when it was listed; `None` where it was not.
    """

    _folder: ObjectFolder
    _name: str
    known: State

    @classmethod
    def at(cls, folder: ObjectFolder, name: str = "", known: State = None) -> ObjectPath:
        """An object of a folder, or the folder itself.

        Args:
            folder: the folder.
            name: of the object in it.
            known: the state of it, if that was asked for.
        """
        path = cls.of(f"{folder.address}/{name}" if name else folder.address)
        assert isinstance(path, ObjectPath)  # noqa: S101  # of this class
        path._folder, path._name, path.known = folder, name, known
        return path

    def __reduce__(self) -> tuple[Any, ...]:
        return ObjectPath.at, (self._folder, self._name, self.known)

    @property
    def folder(self) -> ObjectFolder:
        """The folder that it is in."""
        return self._folder

    def __truediv__(self, name: str | os.PathLike[str]) -> ObjectPath:
        return ObjectPath.at(self._folder, f"{self._name}/{name}" if self._name else str(name))

    @property
    def parent(self) -> ObjectPath:
        """The folder that it is in."""
        above = str(PurePosixPath(self._name).parent)
        return ObjectPath.at(self._folder, "" if above == "." else above)

    def relative_to(self, *other: Any, **options: Any) -> Any:
        """The name below another path of the same folder."""
        (above,) = other
        return PurePosixPath(self._name).relative_to(above._name or ".")

    def rglob(self, pattern: str, **options: Any) -> Iterator[Any]:  # type: ignore[override]  # names alone
        """The objects below whose last name matches."""
        for name, state in self._folder.states(self._name).items():
            if PurePosixPath(name).match(pattern):
                yield ObjectPath.at(self._folder, name, state)

    def glob(self, pattern: str, **options: Any) -> Iterator[Any]:  # type: ignore[override]  # names alone
        """The objects right below whose name matches."""
        return (path for path in self.rglob(pattern) if path.parent._name == self._name)

    def is_symlink(self) -> bool:
        """No: there are none."""
        return False

    def is_dir(self, **options: Any) -> bool:
        """Whether there are objects below."""
        return self.known is None and bool(self._folder.states(self._name))

    def is_file(self, **options: Any) -> bool:
        """Whether it is an object."""
        return self._state() is not None

    def exists(self, **options: Any) -> bool:
        """Whether it is an object, or there are some below."""
        return self.is_file() or self.is_dir()

    def resolve(self, strict: bool = False) -> ObjectPath:
        """Itself."""
        return self

    def stat(self, **options: Any) -> os.stat_result:
        """Its size; the rest is 0."""
        state = self._state()
        if state is None:
            raise FileNotFoundError(str(self))
        return os.stat_result((0o100444, 0, 0, 0, 0, 0, state[0], 0, 0, 0))

    def open(self, mode: str = "rb", *more: Any, **options: Any) -> Any:
        """As a file, to read bytes of."""
        if mode != "rb":
            raise OSError(f"{self} is opened to be read, as bytes")
        return self._folder.open(self._name, self.stat().st_size)

    def fetch(self, target: Path) -> None:
        """Copy it to a file of this machine; see `ObjectFolder.fetch`."""
        self._folder.fetch(self._name, target)

    def read_bytes(self) -> bytes:
        """All of it."""
        return self._folder.read(self._name)

    def read_text(self, encoding: str | None = None, *more: Any, **options: Any) -> str:
        """All of it."""
        return self.read_bytes().decode(encoding or "utf-8")

    def _state(self) -> State:
        return self.known or self._folder.state(self._name)


def readable(path: Path) -> Any:
    """What a library of another language reads a path from: its name, or an object as an open file."""
    return path.open("rb") if isinstance(path, ObjectPath) else path
