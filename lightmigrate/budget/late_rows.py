"""Rows that the application writes while its open database is migrated: they are recorded before they are carried over.

What was recorded of every row beforehand holds for those that nobody writes meanwhile. A row that gets another vector
than the recorded one was written since: it is recorded anew, with its vector of then, before the new collection gets
it. So no crash and no missing backup leaves a projected row that counts as the application's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightmigrate.migration.partly_exact import PartlyExact
from lightmigrate.projection.projection import Projection
from lightmigrate.refinement.checks import EXACT_WHEN_MIGRATED
from lightmigrate.refinement.provenance import Provenance, Row, VectorOrigin
from lightmigrate.refinement.vector_fingerprint import fingerprints_of, matches
from lightmigrate.stores.base import Address, Page
from lightmigrate.texts.source import TextSource
from lightmigrate.training.text_digest import text_digest
from lightmigrate.vectors import Vectors


@dataclass(frozen=True)
class Recording:
    """How the rows of a collection are recorded.

    Attributes:
        projection: of the migration.
        extract_words: length of the extracts that it embeds; 0 for none.
        exact: digests of the texts that the new model embeds whole.
        fitted: digests of the texts that the projection was fitted to.
    """

    projection: Projection
    extract_words: int
    exact: AbstractSet[bytes]
    fitted: AbstractSet[bytes]

    def rows(self, page: Page, vectors: Vectors) -> list[Row]:
        """The provenance of the rows of a page.

        Args:
            page: of the collection before the migration, with its old vectors and its embedded texts.
            vectors: its new vectors, `(n, d)`.
        """
        rows = []
        refused = {digest for step in self.projection.steps if isinstance(step, PartlyExact) for digest in step.refused}
        columns = zip(page.ids, page.vectors, page.texts, fingerprints_of(vectors), strict=True)
        for row_id, vector, text, fingerprint in columns:
            digest = text_digest(text) if text else b""
            has_extract = self.extract_words and text and text.strip()
            origin = VectorOrigin.EXTRACT if has_extract else VectorOrigin.PROJECTED
            origin = VectorOrigin.EXACT if digest in self.exact and digest not in refused else origin
            rows.append(Row(row_id, origin, np.asarray(vector), fingerprint, digest in self.fitted))
        return rows


class LateRows:
    """Records the rows of a migration that are written while it runs.

    Args:
        draft: the provenance file in which all rows were recorded beforehand.
    """

    def __init__(self, draft: Path) -> None:
        self._file = draft
        self._late: set[Address] = set()

    def noting(self, address: Address, recording: Recording, texts: TextSource) -> Callable[[Page, Vectors], None]:
        """What is to be called with records of a collection and the new vectors that they are about to get.

        Args:
            address: the collection.
            recording: how its rows are recorded.
            texts: where its embedded texts come from.
        """
        return lambda page, vectors: self._note(address, recording, texts.applied(page), vectors)

    def _note(self, address: Address, recording: Recording, page: Page, vectors: Vectors) -> None:
        with Provenance(self._file) as provenance:
            known = provenance.rows_by_id(address, page.ids)
            fingerprints = [known[record].fingerprints if record in known else b"" for record in page.ids]
            late = np.flatnonzero(~matches(vectors, fingerprints)).tolist()
            if late:
                provenance.add(address, recording.rows(page.rows(late), vectors[late]))
                self._late.add(address)

    def kept_beside(self, place: Path) -> None:
        """The rows were taken over into the provenance file of the new database: later ones are recorded there."""
        self._file = Provenance.file_in(place)

    def finish(self) -> None:
        """Count again how many rows were exact right after the migration, where some came late."""
        if self._late:
            with Provenance(self._file) as provenance:
                note_exact(provenance, sorted(self._late, key=str))


def record_carried(place: Path, address: Address, page: Page, vectors: Vectors) -> None:
    """Record rows as projected that a run which was killed left to be carried over, where rows are recorded. Writes.

    Args:
        place: the folder for files about the database.
        address: the collection.
        page: the rows with their old vectors.
        vectors: that they are about to get, `(n, d)`.
    """
    if not Provenance.file_in(place).exists():
        return
    with Provenance.of(place) as provenance:
        if address in provenance.addresses():
            rows = zip(page.ids, page.vectors, fingerprints_of(vectors), strict=True)
            provenance.add(
                address, [Row(record, VectorOrigin.PROJECTED, old, new, fitted=False) for record, old, new in rows]
            )


def note_exact(provenance: Provenance, addresses: Sequence[Address]) -> None:
    """Note of some collections how many of their rows are exact right after their migration."""
    with provenance.together():
        for address in addresses:
            provenance.note(address, {EXACT_WHEN_MIGRATED: provenance.counts(address)[VectorOrigin.EXACT]})
