"""Rows get other vectors while the application writes, too, and what it writes is left alone.

A row is written only if it still holds what a map gave it. Chroma cannot compare and write in one step, so a window is
left: the milliseconds between reading at most 64 rows and writing them. A text that is written in it is noticed, and
embedded; a vector that is written in it for the text that was there before is replaced by the model's own for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.dial.marks import bear_a_mark, marks_of
from lightmigrate.dial.provenance import Provenance, Row
from lightmigrate.projection.vectors import Vectors
from lightmigrate.providers.base import Provider
from lightmigrate.stores.base import Address, Collection, Page

# Rows compared and written at once.
ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Seen:
    """What some noted rows hold.

    Attributes:
        rows: those that hold what a map gave them, as they are noted.
        page: the same as they are.
        written: ids of those that hold another vector, which the application must have written.
        gone: ids of those that are no longer there.
    """

    rows: Sequence[Row]
    page: Page
    written: Sequence[str]
    gone: Sequence[str]

    def by_text(self, texts: Mapping[str, str | None]) -> tuple[Page, Page]:
        """Those that have the text that `texts` says by their id, and those that have another."""
        same = [text == texts[one] for one, text in zip(self.page.ids, self.page.documents, strict=True)]
        rows = range(len(same))
        return self.page.rows([row for row in rows if same[row]]), self.page.rows([r for r in rows if not same[r]])


class VectorWriter:
    """Writes vectors of one collection.

    Args:
        address: of the collection.
        collection: it, open; others may have it open, too, through the same client or server.
        provenance: of its database.
        provider: the new model, with a cache.

    Attributes:
        found_written: rows that the application had written, and that were left alone.
    """

    def __init__(self, address: Address, collection: Collection, provenance: Provenance, provider: Provider) -> None:
        self._address, self._collection, self._provenance = address, collection, provenance
        self._provider = provider
        self.found_written = 0

    def look(self, ids: Sequence[str]) -> Seen:
        """What some rows hold now; only reads."""
        noted = self._provenance.some(self._address, ids)
        page = self._collection.records(list(noted))
        rows = [noted[one] for one in page.ids]
        same = bear_a_mark(page.vectors, [row.marks for row in rows])
        own, others = (np.flatnonzero(same == kind).tolist() for kind in (True, False))
        gone = sorted(noted.keys() - set(page.ids))
        return Seen([rows[row] for row in own], page.rows(own), [page.ids[row] for row in others], gone)

    def mapped(self, ids: Sequence[str]) -> Seen:
        """The same; what the application has written or deleted is noted as that."""
        seen = self.look(ids)
        self._forget(seen)
        return seen

    def embedded(self, page: Page) -> Vectors:
        """What the new model says to the documents of a page, `(n, d)`."""
        return self._provider.embed([text or "" for text in page.documents])

    def give(self, page: Page, vectors: Vectors) -> tuple[dict[str, bytes], Page]:
        """Give rows other vectors, if they still hold what a map gave them and the text that was read. Writes.

        Args:
            page: the rows as they were read.
            vectors: `(n, d)`.

        Returns:
            The rows that hold them now, with the new marks, which are to be noted; and the rows that have another text
            by now, to be given to `repair`.
        """
        texts, given = dict(zip(page.ids, page.documents, strict=True)), dict(zip(page.ids, vectors, strict=True))
        marks = dict(zip(page.ids, marks_of(vectors), strict=True))
        noted = self._provenance.some(self._address, page.ids)
        written: dict[str, bytes] = {}
        changed: list[Page] = []
        for start in range(0, len(page), ROWS_AT_ONCE):
            ids = [one for one in page.ids[start : start + ROWS_AT_ONCE] if one in noted]
            # both are noted until it is certain which of them a row bears
            self._provenance.mark(self._address, ids, [noted[one].marks + marks[one] for one in ids])
            before = self.look(ids)
            same, other = before.by_text(texts)
            if len(same):
                self._collection.replace_vectors(same.ids, np.stack([given[one] for one in same.ids]))
            after = self.look(same.ids)
            held, overwritten = after.by_text(texts)
            written.update((one, marks[one]) for one in held.ids)
            changed += [other, overwritten]
            self._forget(before)
            self._forget(after)
        return written, Page.joined(changed)

    def repair(self, page: Page) -> None:
        """Embed rows that `give` found with another text than was read, until there are none. Writes.

        They are the application's now. Where its vector was overwritten, the model's own for its text takes the place.
        """
        while len(page := page.rows([row for row, text in enumerate(page.documents) if (text or "").strip()])):
            written, page = self.give(page, self.embedded(page))
            self._provenance.forget(self._address, list(written))

    def _forget(self, seen: Seen) -> None:
        self._provenance.forget(self._address, [*seen.written, *seen.gone])
        self.found_written += len(seen.written)
