"""The objects below a prefix: listed, read, put and deleted."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

from lightmigrate.errors import DatabaseError, VerificationError
from lightmigrate.files import file_sha256
from lightmigrate.objects.system import attempt, open_system

# Of an object: its size, and a number that is another one after it was written; `None` where there is none.
State: TypeAlias = tuple[int, int] | None

# Requests of one process at the same time, for what takes longer to ask for than to send.
AT_ONCE = 16

# Bytes that are read at once.
_BLOCK = 1 << 22
_READ_AHEAD = 1 << 18

# What a store calls the version of an object, the best first.
_VERSIONS = ("generation", "ETag", "etag", "created", "LastModified", "last_modified")


class ObjectFolder:
    """The objects below a prefix, by their names without it. Can be pickled: another process opens it anew.

    Args:
        address: of the prefix, without options, such as `s3://bucket/vectors`.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._system, self._base = open_system(self.address)

    def __reduce__(self) -> tuple[type[ObjectFolder], tuple[str]]:
        return ObjectFolder, (self.address,)

    def below(self, suffix: str) -> ObjectFolder:
        """The objects below a prefix that begins like this one."""
        return ObjectFolder(f"{self.address}{suffix}")

    def states(self, prefix: str = "") -> dict[str, State]:
        """All objects, or those below a folder of them, with their states, by name; one listing."""
        place = self._path(prefix)

        def listed() -> dict[str, Mapping[str, Any]]:
            self._system.invalidate_cache()
            return dict(self._system.find(place, detail=True))

        try:
            found = attempt(listed, f"{self.address} cannot be listed")
        except FileNotFoundError:
            return {}
        names = {path.strip("/"): info for path, info in found.items() if not path.endswith("/")}
        below = {path: info for path, info in names.items() if path.startswith(f"{place}/")}
        cut = len(self._base) + 1
        return {path[cut:]: _state(info) for path, info in below.items() if info.get("type", "file") == "file"}

    def state(self, name: str) -> State:
        """The state of an object; one request."""

        def asked() -> Mapping[str, Any]:
            self._system.invalidate_cache()
            found: Mapping[str, Any] = self._system.info(self._path(name))
            return found

        try:
            info = attempt(asked, f"{self.address}/{name} cannot be read")
        except FileNotFoundError:
            return None
        return _state(info) if info.get("type", "file") == "file" else None

    def read(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """The bytes of an object, or some of them.

        Raises:
            FileNotFoundError: there is none.
        """
        path = self._path(name)
        data: bytes = attempt(lambda: self._system.cat_file(path, start=start, end=end), self._unread(name))
        return data

    def open(self, name: str, size: int) -> ObjectFile:
        """An object of so many bytes as a file, of which only those parts are asked for that are read."""
        return ObjectFile(_Ranges(self, name, size), _READ_AHEAD)

    def read_json(self, name: str) -> Mapping[str, Any]:
        """The JSON in an object of ours; empty where there is none.

        Raises:
            DatabaseError: it holds something else.
        """
        try:
            fields = json.loads(self.read(name))
        except FileNotFoundError:
            return {}
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            raise DatabaseError(f"{self.address}/{name} is damaged: move it away, and run this again")
        return fields

    def read_all(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """The bytes of some objects, asked for at the same time; those that are gone are left out."""

        def read(name: str) -> tuple[str, bytes | None]:
            try:
                return name, self.read(name)
            except FileNotFoundError:
                return name, None

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for name, data in pool.map(read, names):
                if data is not None:
                    yield name, data

    def fetch(self, name: str, target: Path) -> None:
        """Copy an object to a file. Writes the file.

        Raises:
            FileNotFoundError: there is none.
        """
        path = self._path(name)
        attempt(lambda: self._system.get_file(path, str(target)), self._unread(name))

    def write(self, name: str, data: bytes, require: Callable[[], None] | None = None) -> None:
        """Put an object, in one request; readers see the old one or the new one. Writes.

        Args:
            name: of the object.
            data: its content.
            require: called before each attempt; raises where the object must not be put any more.
        """
        path = self._path(name)

        def put() -> None:
            if require is not None:
                require()
            self._system.pipe_file(path, data)

        attempt(put, f"{self.address}/{name} cannot be written")

    def write_json(self, name: str, fields: Mapping[str, Any]) -> None:
        """Put an object with JSON; see `write`."""
        self.write(name, json.dumps(fields).encode())

    def put(self, source: Path, name: str, sha256: str | None = None) -> None:
        """Put a file as an object, whole or not at all, read it back and compare it. Writes.

        Args:
            source: the file.
            name: of the object.
            sha256: of the file; `None` where it is not known.

        Raises:
            VerificationError: another thing was read back, and was deleted.
        """
        path = self._path(name)
        attempt(lambda: self._system.put_file(str(source), path), f"{self.address}/{name} cannot be written")
        try:
            read = self.sha256(name)
        except DatabaseError as error:  # some stores keep a checksum, and clients compare it
            self.delete([name])
            raise VerificationError(f"{error}, after it was written") from None
        if read != (sha256 or file_sha256(source)):
            self.delete([name])
            raise VerificationError(f"{self.address}/{name} was not read back as it was written")

    def copy(self, name: str, target: ObjectFolder) -> None:
        """Have the store copy an object to the same name in another folder of it. Writes there.

        Raises:
            FileNotFoundError: there is none.
            VerificationError: the copy has another size.
        """
        paths = self._path(name), target._path(name)
        attempt(lambda: self._system.cp_file(*paths), f"{self.address}/{name} cannot be copied")
        old, new = self.state(name), target.state(name)
        if old is not None and (new is None or new[0] != old[0]):
            raise VerificationError(f"{target.address}/{name} was not copied whole")

    def sha256(self, name: str) -> str | None:
        """The digest of an object as it is read now; `None` where there is none."""
        if (state := self.state(name)) is None:
            return None
        digest = hashlib.sha256()
        try:
            for start in range(0, state[0], _BLOCK):
                digest.update(self.read(name, start, min(state[0], start + _BLOCK)))
        except FileNotFoundError:
            return None
        return digest.hexdigest()

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that are gone already are left out. Writes."""

        def remove(name: str) -> None:
            path = self._path(name)
            try:
                attempt(lambda: self._system.rm_file(path), f"{self.address}/{name} cannot be deleted")
            except FileNotFoundError:
                return

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(remove, names))

    def _path(self, name: str) -> str:
        return f"{self._base}/{name}" if name else self._base

    def _unread(self, name: str) -> str:
        return f"{self.address}/{name} cannot be read"


class ObjectFile(io.BufferedReader):
    """An open object."""

    def read_range(self, start: int, size: int) -> bytes:
        """At most so many bytes from a place, in one request; several threads may call it at once."""
        raw = self.raw
        assert isinstance(raw, _Ranges)  # noqa: S101  # as `ObjectFolder.open` makes it
        return raw.folder.read(raw.object_name, start, start + size)


class _Ranges(io.RawIOBase):
    """An object as a file that is read from its places."""

    def __init__(self, folder: ObjectFolder, name: str, size: int) -> None:
        self.folder, self.object_name, self._size, self._place = folder, name, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        end = min(self._size, self._place + len(buffer))
        if end <= self._place:
            return 0
        data = self.folder.read(self.object_name, self._place, end)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def _state(info: Mapping[str, Any]) -> State:
    size = int(info.get("size") or 0)
    version = next((str(info[key]) for key in _VERSIONS if info.get(key)), "")
    digest = hashlib.sha256(version.strip('"').encode()).digest()
    return size, int.from_bytes(digest[:7], "big")
