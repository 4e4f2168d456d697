"""Replaces vectors while the application writes too, and leaves alone what the application writes.

A row is written only if it still holds a vector that this package gave it. Chroma cannot compare and write in one
step, so a window is left: the milliseconds between reading at most 64 rows and writing them. A text that the
application writes in this window is noticed, and embedded. A vector that it writes in this window for an unchanged text
is replaced by the new model's own vector of that text.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lightmigrate.providers.base import Provider
from lightmigrate.refinement.provenance import Provenance, Row
from lightmigrate.refinement.turns import AtOnce, Turns
from lightmigrate.refinement.vector_fingerprint import fingerprints_of, matches
from lightmigrate.stores.base import Address, Collection, Page
from lightmigrate.vectors import Vectors, finite_rows


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
        turns: when the next rows may be written, and how many at once.

    Attributes:
        written_by_application: number of rows that the application wrote, and that were left alone.
    """

    def __init__(
        self,
        address: Address,
        collection: Collection,
        provenance: Provenance,
        provider: Provider,
        turns: Turns | None = None,
    ) -> None:
        self._address, self._collection, self._provenance = address, collection, provenance
        self._provider, self._turns = provider, turns or AtOnce()
        self.written_by_application = 0

    def look(self, ids: Sequence[str]) -> RowState:
        """The state of some rows; only reads."""
        with self._turns.own():
            return self._look(self._provenance.rows_by_id(self._address, ids))

    def _look(self, stored: Mapping[str, Row]) -> RowState:
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
        # after a crash a row holds one of the two vectors, so both fingerprints are stored before the write
        both = {
            row_id: replace(row, fingerprints=row.fingerprints + fingerprints[row_id]) for row_id, row in stored.items()
        }
        self._provenance.set_fingerprints(self._address, list(both), [row.fingerprints for row in both.values()])
        written: dict[str, bytes] = {}
        changed: list[Page] = []
        waiting, last = [row_id for row_id in page.ids if row_id in both], list[str]()
        while waiting or last:
            # one read sees what became of the rows written last, and whether the next ones are as they were
            rows = self._turns.next() if waiting else 0
            ids, waiting = waiting[:rows], waiting[rows:] if rows else []
            with self._turns.own():
                state = self._look({row_id: both[row_id] for row_id in (*last, *ids) if row_id in both})
                same, other = state.by_text(texts)
                held, new = _divided(same, last)
                if len(new):
                    started = time.monotonic()
                    self._collection.replace_vectors(new.ids, np.stack([given[row_id] for row_id in new.ids]))
                    self._turns.took(len(new), time.monotonic() - started)
            written.update((row_id, fingerprints[row_id]) for row_id in held.ids)
            changed.append(other)
            self._forget(state)
            last = list(new.ids)
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
        if state.written or state.gone:
            self._provenance.forget(self._address, [*state.written, *state.gone])
        self.written_by_application += len(state.written)


def _divided(page: Page, ids: Sequence[str]) -> tuple[Page, Page]:
    """The records among some ids, and the others."""
    chosen = set(ids)
    inside = [row for row, record in enumerate(page.ids) if record in chosen]
    outside = [row for row, record in enumerate(page.ids) if record not in chosen]
    return page.rows(inside), page.rows(outside)
