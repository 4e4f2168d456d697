"""Replaces vectors while the application writes too, and leaves alone what the application writes.

A row is written only if it still holds a vector that this package gave it. Chroma cannot compare and write in one
step, so a window is left: the milliseconds between reading at most 64 rows and writing them. A text that the
application writes in this window is noticed, and embedded. A vector that it writes in this window for an unchanged text
is replaced by the new model's own vector of that text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.providers.base import Provider
from lightmigrate.refinement.provenance import Provenance, Row
from lightmigrate.refinement.vector_fingerprint import fingerprints_of, matches
from lightmigrate.stores.base import Address, Collection, Page
from lightmigrate.vectors import Vectors, finite_rows

# Rows compared and written at once.
ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class RowState:
    """What some rows with provenance hold.

    Attributes:
        rows: the provenance of those whose vector matches their fingerprint.
        page: their records, in the same order.
        written: ids of rows with another vector, which the application must have written.
        gone: ids of rows that were deleted.
    """

    rows: Sequence[Row]
    page: Page
    written: Sequence[str]
    gone: Sequence[str]

    def by_text(self, texts: Mapping[str, str | None]) -> tuple[Page, Page]:
        """The records whose text is the one in `texts`, by id, and those with another text."""
        same = [text == texts[row_id] for row_id, text in zip(self.page.ids, self.page.texts, strict=True)]
        rows = range(len(same))
        return self.page.rows([row for row in rows if same[row]]), self.page.rows([r for r in rows if not same[r]])


class VectorWriter:
    """Writes vectors of one collection.

    Args:
        address: of the collection.
        collection: an open collection; the application may have it open too, through the same client or server.
        provenance: of its database.
        provider: the new model, with a cache.

    Attributes:
        written_by_application: number of rows that the application wrote, and that were left alone.
    """

    def __init__(self, address: Address, collection: Collection, provenance: Provenance, provider: Provider) -> None:
        self._address, self._collection, self._provenance = address, collection, provenance
        self._provider = provider
        self.written_by_application = 0

    def look(self, ids: Sequence[str]) -> RowState:
        """The state of some rows; only reads."""
        stored = self._provenance.rows_by_id(self._address, ids)
        page = self._collection.records(list(stored))
        rows = [stored[row_id] for row_id in page.ids]
        matching = matches(page.vectors, [row.fingerprints for row in rows])
        own, others = (np.flatnonzero(matching == kind).tolist() for kind in (True, False))
        gone = sorted(stored.keys() - set(page.ids))
        return RowState([rows[row] for row in own], page.rows(own), [page.ids[row] for row in others], gone)

    def refresh(self, ids: Sequence[str]) -> RowState:
        """The state of some rows. Drops the provenance of rows that the application wrote or deleted."""
        state = self.look(ids)
        self._forget(state)
        return state

    def embedded(self, page: Page) -> Vectors:
        """The documents of a page as the new model embeds them, float32 `(n, d)`; NaN for a text that it refuses."""
        return self._provider.embed_each([text or "" for text in page.texts])

    def give(self, page: Page, vectors: Vectors) -> tuple[dict[str, bytes], Page]:
        """Replace the vectors of rows that still hold their own vector and the text that was read. Writes.

        Args:
            page: the rows as they were read.
            vectors: float32 `(n, d)`.

        Returns:
            The fingerprints of the new vectors, by id, of the rows that hold them now, for the caller to store; and the
            rows that have another text by now, to be given to `repair`.
        """
        texts, given = dict(zip(page.ids, page.texts, strict=True)), dict(zip(page.ids, vectors, strict=True))
        fingerprints = dict(zip(page.ids, fingerprints_of(vectors), strict=True))
        stored = self._provenance.rows_by_id(self._address, page.ids)
        written: dict[str, bytes] = {}
        changed: list[Page] = []
        for start in range(0, len(page), ROWS_AT_ONCE):
            ids = [row_id for row_id in page.ids[start : start + ROWS_AT_ONCE] if row_id in stored]
            # after a crash a row holds one of the two vectors, so both fingerprints are stored before the write
            both = [stored[row_id].fingerprints + fingerprints[row_id] for row_id in ids]
            self._provenance.set_fingerprints(self._address, ids, both)
            before = self.look(ids)
            same, other = before.by_text(texts)
            if len(same):
                self._collection.replace_vectors(same.ids, np.stack([given[row_id] for row_id in same.ids]))
            after = self.look(same.ids)
            held, overwritten = after.by_text(texts)
            written.update((row_id, fingerprints[row_id]) for row_id in held.ids)
            changed += [other, overwritten]
            self._forget(before)
            self._forget(after)
        return written, Page.joined(changed)

    def repair(self, page: Page) -> None:
        """Embed rows that `give` found with another text, until none is left. Writes.

        They belong to the application now. If its vector was overwritten, the new model's own vector replaces it.
        """
        while len(page := page.rows([row for row, text in enumerate(page.texts) if (text or "").strip()])):
            vectors = self.embedded(page)
            taken = np.flatnonzero(finite_rows(vectors)).tolist()
            written, page = self.give(page.rows(taken), vectors[taken])
            self._provenance.forget(self._address, list(written))

    def _forget(self, state: RowState) -> None:
        self._provenance.forget(self._address, [*state.written, *state.gone])
        self.written_by_application += len(state.written)
