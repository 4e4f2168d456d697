"""The kinds of files that hold vectors, and which collections a folder holds.

To add a kind of file: write its `Format`, and name it here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightmigrate.stores.vector_files.faiss_format import FaissFormat
from lightmigrate.stores.vector_files.llamaindex import LlamaIndexFormat
from lightmigrate.stores.vector_files.llamaindex_faiss import LlamaIndexFaissFormat
from lightmigrate.stores.vector_files.npy import NpyFormat
from lightmigrate.stores.vector_files.parquet import ParquetFormat
from lightmigrate.stores.vector_files.places import Place
from lightmigrate.stores.vector_files.table import Format

FORMATS: Sequence[Format] = (NpyFormat(), ParquetFormat(), FaissFormat(), LlamaIndexFaissFormat(), LlamaIndexFormat())


def places_in(folder: Path) -> dict[str, Place]:
    """The collections of a folder by name; only reads.

    Two files of different kinds with one stem are told apart by their whole names.
    """
    found = [Place(folder, name, format_) for format_ in FORMATS for name in format_.names(folder)]
    stems = [place.name for place in found]
    named = {place.name if stems.count(place.name) == 1 else place.main.name: place for place in found}
    return dict(sorted(named.items()))


def place_of(path: Path) -> Place | None:
    """The collection whose vectors are in a file; `None` where no kind recognises it. Only reads."""
    return next((place for place in places_in(path.parent).values() if place.main.name == path.name), None)


def format_of(main: str) -> tuple[Format, str] | None:
    """The kind of a file by its name alone, and the name of its collection."""
    for format_ in FORMATS:
        before, _, after = format_.main("\0").partition("\0")
        if main.startswith(before) and main.endswith(after):
            return format_, main[len(before) : len(main) - len(after)]
    return None
