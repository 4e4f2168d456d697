"""What formats have in common whose collections are files `NAME.SUFFIX`, each for itself, of any dimension."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lightmigrate.stores.vector_files.table import Options, Table


class SuffixFormat:
    """Parts of a `table.Format`.

    Attributes:
        kind: its name.
        suffix: of the file that holds the vectors, with the dot.
    """

    kind: str
    suffix: ClassVar[str]

    def names(self, folder: Path) -> list[str]:
        """Names of the collections in a folder; only reads."""
        files = (path for path in folder.glob(f"*{self.suffix}") if path.is_file())
        return sorted(path.name.removesuffix(self.suffix) for path in files)

    def main(self, name: str) -> str:
        """Name of the file that holds the vectors."""
        return f"{name}{self.suffix}"

    def merge(self, version: Path, live: Path, name: str) -> None:
        """Do nothing: its files are its own."""

    def refuse(self, like: Table, dimension: int, options: Options) -> str | None:
        """`None`: any dimension."""
        return None
