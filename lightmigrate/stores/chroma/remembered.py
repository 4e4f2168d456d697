"""What was read of a folder's small collections, kept while this process alone has the folder open.

Chroma loads the whole index of a collection for the first thing that is asked of it, 3 MiB and about 10 ms for 16
records, and keeps only so many (see `bindings`). A folder of a thousand small collections is read several times for one
migration; without this, nearly all of that time would go into loading indexes. Of a larger collection one sample is
kept: everything that looks at a collection before it is migrated looks at a part of that.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.from_files import ChromaRecordsInFiles
from lightmigrate.stores.chroma.stored import ids_at
from lightmigrate.stores.page import spread_rows
from lightmigrate.vectors import Vectors, evenly

# Records of a collection, or of a sample of it, that are kept, and bytes of all that are kept: what does not fit is
# read again.
MOST_RECORDS, MOST_BYTES = 1000, 64 * 2**20

# The part of a collection that is all of it; a sample is known by its seed.
_WHOLE = None

# Open collections that are kept: one with its schema takes 44 KiB.
MOST_OPEN = 64

# Of a record besides its vector and the characters of its texts: Python's own objects.
_BYTES_OF_A_RECORD = 1000


class Remembered:
    """The records of small collections, by Chroma's id of the collection, until they are written to."""

    def __init__(self) -> None:
        self._open: dict[Address, ChromaCollection] = {}
        self._changes = 0
        self._counts: dict[str, int] = {}
        self._pages: dict[str, dict[int | None, Page]] = defaultdict(dict)
        self._in_files: dict[str, ChromaRecordsInFiles] = {}
        self._writes: dict[str, int] = defaultdict(int)
        self._bytes = 0
        self._lock = threading.Lock()

    def opened(self, address: Address, opening: Callable[[Address], ChromaCollection]) -> ChromaCollection:
        """The collection at an address; opened when nothing was written to the folder since it was opened last."""
        with self._lock:
            known, before = self._open.get(address), self._changes
        if known is not None:
            return known
        collection = opening(address)
        with self._lock:
            if self._changes == before:
                if len(self._open) >= MOST_OPEN:
                    self._open.clear()
                self._open[address] = collection
        return collection

    def count(self, collection: str, read: Callable[[], int]) -> int:
        """The number of records; read when it is not known."""
        with self._lock:
            known, before = self._counts.get(collection), self._writes[collection]
        if known is not None:
            return known
        count = read()
        with self._lock:
            if self._writes[collection] == before:
                self._counts[collection] = count
        return count

    def page(self, collection: str, read: Callable[[], Page], part: int | None = _WHOLE) -> Page:
        """All records, or a sample of them; read when they are not known. Nobody may change them."""
        with self._lock:
            known, before = self._pages[collection].get(part), self._writes[collection]
        if known is not None:
            return known
        page = read()
        page.vectors.flags.writeable = False
        size = _bytes(page)
        with self._lock:
            unchanged = self._writes[collection] == before and part not in self._pages[collection]
            if unchanged and self._bytes + size <= MOST_BYTES:
                self._pages[collection][part] = page
                self._bytes += size
        return page

    def in_files(self, collection: str, read: Callable[[], ChromaRecordsInFiles | None]) -> ChromaRecordsInFiles | None:
        """The records as the files hold them, for one more reader; compared with Chroma's when they are not known."""
        with self._lock:
            known, before = self._in_files.get(collection), self._writes[collection]
        if known is not None and (again := known.again()) is not None:
            return again
        records = read()
        with self._lock:
            if records is not None and self._writes[collection] == before:
                self._in_files[collection] = records
        return records

    def known(self, collection: str) -> Page | None:
        """All records, if they are known."""
        with self._lock:
            return self._pages[collection].get(_WHOLE)

    @contextlib.contextmanager
    def writing(self, collection: str) -> Iterator[None]:
        """Forget a collection that is written to in this block, also what another thread reads meanwhile."""
        self.forget(collection)
        try:
            yield
        finally:
            self.forget(collection)

    def forget(self, collection: str) -> None:
        """Forget all about a collection, and what all are called."""
        with self._lock:
            self._open.clear()
            self._changes += 1
            self._writes[collection] += 1
            self._counts.pop(collection, None)
            self._in_files.pop(collection, None)
            self._bytes -= sum(_bytes(page) for page in self._pages.pop(collection, {}).values())


class RememberedCollection(ChromaCollection):
    """A collection of a folder that only this process has open. See `ChromaCollection`.

    Args:
        client: see `ChromaCollection`.
        collection: see `ChromaCollection`.
        removals: see `ChromaCollection`.
        remembered: of its folder.
        folder: the folder.
    """

    def __init__(self, client: Any, collection: Any, removals: list[str], remembered: Remembered, folder: Path) -> None:
        super().__init__(client, collection, removals)
        self._remembered = remembered
        self._folder = folder

    def count(self) -> int:
        """Number of records."""
        return self._remembered.count(self.id, super().count)

    def _read(self, offset: int, size: int, vectors: bool) -> Page:
        page = self._whole() if vectors else self._remembered.known(self.id)
        if page is None:
            return super()._read(offset, size, vectors)
        part = page.part(offset, offset + size)
        cursor = json.dumps([offset + len(part), part.ids[-1] if len(part) else ""])
        return replace(part, vectors=part.vectors if vectors else np.zeros((len(part), 0), np.float32), cursor=cursor)

    def _whole(self) -> Page | None:
        """All records; `None` when there are many."""
        if self.count() > MOST_RECORDS:
            return None
        read = super()._read
        return self._remembered.page(self.id, lambda: read(0, MOST_RECORDS, True))

    def sample(self, n: int, seed: int = 0) -> Page:
        """About n records from all over the collection; only reads. See `stores.base.Collection`."""
        if n > MOST_RECORDS:
            return super().sample(n, seed)
        page = self._remembered.page(self.id, lambda: self._sample(seed), seed)
        return page.rows(evenly(len(page), n)) if n < len(page) else page

    def _sample(self, seed: int) -> Page:
        """As many records as are kept. By their ids, which the tables give: skipping to a row reads all before it."""
        count = self.count()
        if count <= MOST_RECORDS:
            return super().sample(MOST_RECORDS, seed)
        rows = spread_rows(count, MOST_RECORDS, seed)
        ids = ids_at(self._folder, self.address, lambda known: rows if known == count else [])
        return self.records(ids) if ids else super().sample(MOST_RECORDS, seed)

    def records(self, ids: Sequence[str], *, vectors: bool = True) -> Page:
        """The existing records among these ids, in the order of `ids`; only reads."""
        page = self._remembered.known(self.id)
        if page is None:
            return super().records(ids, vectors=vectors)
        place = {record: row for row, record in enumerate(page.ids)}
        found = page.rows([place[record] for record in dict.fromkeys(ids) if record in place])
        return found if vectors else found.with_vectors(np.zeros((len(found), 0), np.float32))

    def _write(self, write: Callable[..., Any], page: Page) -> None:
        with self._remembered.writing(self.id):
            super()._write(write, page)

    def replace_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Replace only the vectors `(n, d)` of existing records; durable on return."""
        with self._remembered.writing(self.id):
            super().replace_vectors(ids, vectors)

    def remove(self, ids: Sequence[str]) -> None:
        """Delete the existing records among these ids."""
        with self._remembered.writing(self.id):
            super().remove(ids)

    def rename(self, name: str) -> None:
        """Give it another name within its database."""
        with self._remembered.writing(self.id):
            super().rename(name)

    def set_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Set the collection's metadata as it is, `hnsw:*` keys included."""
        with self._remembered.writing(self.id):
            super().set_metadata(metadata)


def _bytes(page: Page) -> int:
    """About what a page takes in memory."""
    texts = sum(len(text) for text in page.texts if text)
    return page.vectors.nbytes + 2 * texts + _BYTES_OF_A_RECORD * len(page)
