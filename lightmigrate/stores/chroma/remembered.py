"""What was read of a folder's collections, kept as far as it fits while this process alone has the folder open.

Chroma loads the whole index of a collection for the first thing that is asked of it, 3 MiB and about 10 ms for 16
records, and keeps only so many (see `bindings`). A folder of a thousand small collections is read several times for one
migration; without this, nearly all of that time would go into loading indexes. Of larger ones a whole scan is kept:
Chroma makes a Python float of every number, which takes longer than all that is done with it.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lightmigrate.stores.base import Address, Cursor, Page
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.vectors import Vectors

# Records of a collection that is read whole whatever is asked of it, and bytes of all that are kept: what does not fit
# is read again.
MOST_RECORDS, MOST_BYTES = 1000, 64 * 2**20

# Open collections that are kept: one with its schema takes 44 KiB.
MOST_OPEN = 64

# Of a record besides its vector and the characters of its texts: Python's own objects.
_BYTES_OF_A_RECORD = 1000


class Remembered:
    """The records of collections, by Chroma's id of the collection, until they are written to."""

    def __init__(self) -> None:
        self._open: dict[Address, ChromaCollection] = {}
        self._changes = 0
        self._counts: dict[str, int] = {}
        self._pages: dict[tuple[str, bool], Page] = {}  # with their vectors or without
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

    def page(self, collection: str, read: Callable[[], Page]) -> Page:
        """All records; read when they are not known. Nobody may change them."""
        if (known := self.known(collection)) is not None:
            return known
        before = self.writes(collection)
        page = read()
        self.keep(collection, page, before)
        return page

    def writes(self, collection: str) -> int:
        """How often it was written to, for `keep`."""
        with self._lock:
            return self._writes[collection]

    def keep(self, collection: str, page: Page, before: int, *, vectors: bool = True) -> None:
        """Keep all records, if they fit and nothing was written since there were so many `writes`.

        Args:
            collection: Chroma's id of it.
            page: its records; nobody may change them from now on.
            before: see `writes`.
            vectors: whether the page has the vectors.
        """
        page.vectors.flags.writeable = False
        size = _bytes(page)
        with self._lock:
            if vectors:
                self._drop(collection, False)  # the same records
            known = (collection, True) in self._pages or (collection, vectors) in self._pages
            if self._writes[collection] == before and not known and self._bytes + size <= MOST_BYTES:
                self._pages[collection, vectors] = page
                self._bytes += size

    def known(self, collection: str, *, vectors: bool = True) -> Page | None:
        """All records, if they are known; with their vectors, or perhaps without."""
        with self._lock:
            page = self._pages.get((collection, True))
            return page if page is not None or vectors else self._pages.get((collection, False))

    def room(self, collection: str) -> int:
        """Bytes that a collection may take."""
        with self._lock:
            return MOST_BYTES - self._bytes + self._bytes_of(collection)

    def _bytes_of(self, collection: str) -> int:
        kept = (self._pages.get((collection, vectors)) for vectors in (True, False))
        return sum(_bytes(page) for page in kept if page is not None)

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
            for vectors in (True, False):
                self._drop(collection, vectors)

    def _drop(self, collection: str, vectors: bool) -> None:
        page = self._pages.pop((collection, vectors), None)
        self._bytes -= 0 if page is None else _bytes(page)


class RememberedCollection(ChromaCollection):
    """A collection of a folder that only this process has open. See `ChromaCollection`.

    Args:
        client: see `ChromaCollection`.
        collection: see `ChromaCollection`.
        removals: see `ChromaCollection`.
        remembered: of its folder.
    """

    def __init__(self, client: Any, collection: Any, removals: list[str], remembered: Remembered) -> None:
        super().__init__(client, collection, removals)
        self._remembered = remembered

    def count(self) -> int:
        """Number of records."""
        return self._remembered.count(self.id, super().count)

    def scan(self, size: int, after: Cursor | None = None, *, vectors: bool = True) -> Iterator[Page]:
        """All records after `after`, in the order in which they were added. See `ChromaCollection`."""
        pages = super().scan(size, after, vectors=vectors)
        if after is not None or self.count() <= MOST_RECORDS or self._remembered.known(self.id, vectors=vectors):
            yield from pages
            return
        before, read, left = self._remembered.writes(self.id), list[Page](), self._remembered.room(self.id)
        for page in pages:
            left -= _bytes(page)
            if left >= 0:
                read.append(page)
            else:
                read.clear()
            yield page
        if left >= 0:
            self._remembered.keep(self.id, Page.joined(read), before, vectors=vectors)

    def _read(self, offset: int, size: int, vectors: bool) -> Page:
        page = self._remembered.known(self.id, vectors=vectors)
        if page is None and vectors and self.count() <= MOST_RECORDS:
            read = super()._read
            page = self._remembered.page(self.id, lambda: read(0, MOST_RECORDS, True))
        if page is None:
            return super()._read(offset, size, vectors)
        part = page.part(offset, offset + size)
        cursor = json.dumps([offset + len(part), part.ids[-1] if len(part) else ""])
        return replace(part, vectors=part.vectors if vectors else np.zeros((len(part), 0), np.float32), cursor=cursor)

    def records(self, ids: Sequence[str], *, vectors: bool = True) -> Page:
        """The existing records among these ids, in the order of `ids`; only reads."""
        page = self._remembered.known(self.id, vectors=vectors)
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
