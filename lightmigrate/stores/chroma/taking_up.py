"""What an interrupted process left of an index: taken up where it is whole, begun anew where it is not.

Chroma writes the files of an index in place, one after another, so a process that is killed meanwhile leaves files of
two states. Chroma then refuses the index, or ends the process that loads it. So the files are checked first. An index
that passes may still be one that Chroma cannot use: while it is tried, a mark says so, and the next process does not
try again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lightmigrate.errors import DatabaseError
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.health import damaged_indexes
from lightmigrate.stores.chroma.hnsw import HnswFiles
from lightmigrate.stores.chroma.indexes import segment_of
from lightmigrate.stores.chroma.layout import LABELS_FILE
from lightmigrate.system import delete, sync_folder


class TakingUp:
    """The mark of an attempt to go on with an index.

    Args:
        mark: its file; the folder need not exist.
    """

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def possible(self, folder: Path, address: Address) -> bool:
        """Whether the index of a collection is whole, and no process ended while it tried to use it. Only reads."""
        return not self._mark.exists() and is_whole(folder, address)

    @contextlib.contextmanager
    def trying(self) -> Iterator[None]:
        """While the index is used for the first time. Writes the mark, and deletes it unless this process ends."""
        self._mark.parent.mkdir(parents=True, exist_ok=True)
        self._mark.touch()
        sync_folder(self._mark.parent)
        try:
            yield
        finally:
            self.forget()

    def forget(self) -> None:
        """Delete the mark: the index it was about is gone, or can be used."""
        delete(self._mark)


def is_whole(folder: Path, address: Address) -> bool:
    """Whether the files of a collection's index are of one state, as far as Chroma has written any. Only reads.

    Args:
        folder: a closed database.
        address: the collection.
    """
    try:
        if damaged_indexes(folder, thorough=True, of=address):
            return False
    except DatabaseError:  # not even the tables are there
        return False
    segment = segment_of(folder, address)
    if segment is None or not (folder / segment / LABELS_FILE).exists():
        return True  # the records are in Chroma's log
    try:
        index = HnswFiles.open(folder / segment)
        labels, levels = index.labels().numbers, index.higher_levels()
        present = np.unique(index.labels_of_elements().astype(np.int64))
    except (ValueError, OSError):
        return False
    in_graph = all(links.max(initial=0) < index.elements for level in levels for links in level.values())
    return in_graph and bool(np.isin(labels, present).all()) and len(present) == index.elements
