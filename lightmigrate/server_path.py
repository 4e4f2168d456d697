"""The address of a server where results and messages name the path of a database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())  # Python 3.10 and 3.11 have no other that can be derived from


class ServerPath(_Path):
    """The address of a server, such as `qdrant://localhost:6333`, or of a collection in it: `…:6333/notes`.

    A plain path would take away one of the two slashes. There is nothing at it in the file system.
    """

    _address = ""

    @classmethod
    def of(cls, server: object) -> ServerPath:
        """The address that something states as its text, such as an open `Store`."""
        path = cls(str(server))
        path._address = str(server)
        return path

    def __str__(self) -> str:
        return self._address or super().__str__()

    def __truediv__(self, name: str) -> ServerPath:  # type: ignore[override]  # it is joined with names alone
        return ServerPath.of(f"{self}/{name}")
