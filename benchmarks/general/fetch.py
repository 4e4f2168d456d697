"""Packages by name, version and SHA-256, fetched with the package managers' own clients and read without installing.

pip, npm and apt go to whatever index this machine is set up for. A file that lies in the folder already is not
fetched again, so machines without one of the three can be given its files.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lightmigrate.errors import LightmigrateError


@dataclass(frozen=True)
class Package:
    """One file of a package registry.

    Attributes:
        registry: whose client fetches it.
        name: as that client knows it.
        version: exactly this one.
        file: what the client calls the file.
        sha256: of the file.
        platform: of a wheel that holds compiled code: which one is meant, whatever this machine is.
    """

    registry: Literal["PyPI", "npm", "Debian"]
    name: str
    version: str
    file: str
    sha256: str
    platform: tuple[str, ...] = ()

    def fetched(self, folder: Path) -> Path:
        """The file in `folder`, fetched if it is not there.

        Raises:
            LightmigrateError: it cannot be had, or is not the file that is meant.
        """
        path = folder / self.file
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as aside:  # what has its name is whole
                try:
                    subprocess.run(self._command(), cwd=aside, check=True, stdout=subprocess.DEVNULL)
                    (Path(aside) / self.file).replace(path)
                except (subprocess.CalledProcessError, FileNotFoundError) as error:
                    why = f"cannot fetch {self.file} ({error}); put it into {folder} by hand"
                    raise LightmigrateError(why) from None
        if hashlib.sha256(path.read_bytes()).hexdigest() != self.sha256:
            raise LightmigrateError(f"{path} is not the file this script was written for; delete it")
        return path

    def _command(self) -> list[str]:
        if self.registry == "npm":
            return ["npm", "pack", "--silent", f"{self.name}@{self.version}"]
        if self.registry == "Debian":
            return ["apt-get", "download", "-q", f"{self.name}={self.version}"]
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", *self.platform]
        return [*pip, "-d", ".", f"{self.name}=={self.version}"]


def members(path: Path, prefix: str = "", suffix: str = "") -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files in a wheel, an npm or a Debian package, in order of their names."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if name.startswith(prefix) and name.endswith(suffix) and not name.endswith("/"):
                    yield name, archive.read(name)
        return
    content = _data_of(path) if path.suffix == ".deb" else path.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in sorted(tar.getmembers(), key=lambda member: member.name):
            name = member.name.removeprefix("./")
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None and name.startswith(prefix) and name.endswith(suffix):
                yield name, file.read()


def _data_of(path: Path) -> bytes:
    """The inner tar of a Debian package, which is an `ar` archive: headers of 60 bytes, contents padded to two."""
    content, at = path.read_bytes(), 8
    while at < len(content):
        name, size = content[at : at + 16].decode().strip(), int(content[at + 48 : at + 58])
        if name.startswith("data.tar"):
            return content[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
    raise LightmigrateError(f"{path} is not a Debian package")
