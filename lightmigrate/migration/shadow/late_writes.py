"""What is written to an open collection in the last moment before it is replaced, and how it reaches the new one.

Where writers do not wait, the old collection is read once more after the exchange. From before the exchange until that
is done, a note of what had been read lies beside the database: of a run that is killed in between, the next one does
it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lightmigrate.errors import BackupError, LightmigrateError
from lightmigrate.migration.changes import projection_between
from lightmigrate.migration.distance import centre_of, same_vectors
from lightmigrate.migration.job import Job
from lightmigrate.migration.request import Request
from lightmigrate.migration.shadow.late_note import Note, notes_in, write_note
from lightmigrate.migration.shadow.shadows import PASSES, Shadows
from lightmigrate.migration.shadow.synchronise import Snapshot, synchronise
from lightmigrate.migration.verify import Comparison
from lightmigrate.progress import logger
from lightmigrate.projection.projection import Projection
from lightmigrate.stores.base import Address, Collection, Page, Role, Store, Version
from lightmigrate.vectors import Vectors

# Called before rows of an earlier run are written: the folder for files about the database, the collection, the rows as
# the old one has them, and their new vectors.
OnCarried = Callable[[Path, Address, Page, Vectors], None]


class LateWrites:
    """The late writes of one open database.

    Args:
        store: the database.
        place: the folder for files about it; it need not exist.
        shadows: of the database.
        page_size: records held in memory at once.
        on_carried: called with the rows of runs that were killed.
    """

    def __init__(self, store: Store, place: Path, shadows: Shadows, page_size: int, on_carried: OnCarried) -> None:
        self._store, self._place, self._shadows, self._page_size = store, place, shadows, page_size
        self._on_carried = on_carried

    @property
    def possible(self) -> bool:
        """Whether a write can come between the last look at a collection and its exchange."""
        promised = self._store.capabilities
        return promised.stale_handles or not (promised.holds_writers or promised.settles_again)

    @contextlib.contextmanager
    def noted(self, own: Address, key: str, seen: Snapshot, request: Request | None) -> Iterator[None]:
        """Keep a note beside the database for the length of a block that replaces a collection. Writes.

        It stays where the block ends in an error after the exchange.

        Args:
            own: the collection.
            key: of the exchange.
            seen: the state of the collection when it was last read.
            request: what it is replaced for; `None` where a backup goes back, of which only the contents were seen.
        """
        goes_back = request is None  # which a store may do in one step, without looking again, where it settles else
        note = self._write_note(own, key, seen, request) if self.possible or goes_back else None
        try:
            yield
        except LightmigrateError:
            if note is not None and note not in [kept for kept, _ in self.left()]:
                note.delete()  # nothing was changed
            raise
        if note is not None:
            note.delete()

    def _write_note(self, own: Address, key: str, seen: Snapshot, request: Request | None) -> Note | None:
        try:
            return write_note(self._place, own, key, seen, request, self._page_size)
        except OSError as error:
            logger.warning(
                "%s: what was read of it last could not be noted (%s): if this run is killed in its last moment, "
                "records that are written then are only in the backup", own, error,
            )  # fmt: skip
            return None

    def carry(self, old: Version, target: Collection, job: Job, seen: Snapshot, comparison: Comparison) -> int:
        """Carry over what was written to a replaced collection after it was last read. Writes to the new one.

        What was written to both stays as it is in the new one.

        Args:
            old: the replaced collection.
            target: the new one.
            job: of the migration.
            seen: the state of the old one when it was last read.
            comparison: see `synchronise`.

        Returns:
            How many records were written or deleted.
        """
        if not self.possible:
            return 0
        late = self._brought_up(old, target, job, seen, comparison)
        if late:
            logger.warning(
                "%s: %d records of the old collection were written to after they had been read and were carried over%s",
                old.own, late,
                "; clients that opened it before must open it again" if self._store.capabilities.stale_handles else "",
            )  # fmt: skip
        return late

    def _brought_up(
        self,
        old: Version,
        target: Collection,
        job: Job,
        seen: Snapshot,
        comparison: Comparison,
        *,
        vectors: bool = True,
    ) -> int:
        # it is too late to refuse an invalid vector
        job = replace(job, source=self._store.collection(old.address), invalid_vectors="centre")
        late = 0
        for _ in range(PASSES):
            changed, seen = synchronise(
                job, target, self._page_size, lambda _: None, seen, comparison, self._shadows.tables,
                vectors=vectors, live=True,
            )  # fmt: skip
            late += changed
            if not changed:
                break
        return late

    def left(self) -> list[tuple[Note, Version]]:
        """The notes of exchanges that took place, with the collection that each replaced. Only reads."""
        notes = notes_in(self._place)
        if not notes:
            return []
        backups = {(kept.own, kept.key): kept for kept in self._store.versions() if kept.role is Role.BACKUP}
        return [(note, backups[note.own, note.key]) for note in notes if (note.own, note.key) in backups]

    def recover(self) -> str | None:
        """Carry over what runs that were killed have left. Writes. A note that cannot be followed stays.

        Returns:
            What was carried over, in a sentence; `None` for nothing.
        """
        said = []
        left = self.left()
        for note, old in left:
            try:
                count = self._follow(note, old)
            except LightmigrateError as error:
                logger.warning(
                    "%s: what was written to it in the last moment before a migration is only in its backup %s yet: %s",
                    old.own, old.address, error,
                )  # fmt: skip
                continue
            note.delete()
            if count:
                said.append(f"{old.own}: {count} records, written just before its exchange, were carried over")
        followed = {note.folder for note, _ in left}
        for note in notes_in(self._place):
            if note.folder not in followed:  # the exchange did not take place, or its backup went back
                note.delete()
        return "; ".join(said) or None

    def require_none(self, backups: Sequence[Version]) -> None:
        """Raise `BackupError` where one of some backups holds what could not be carried over. Only reads."""
        only_there = {old.address for _, old in self.left()}
        for backup in backups:
            if backup.address in only_there:
                raise BackupError(
                    f"{backup.address} may hold records that were written just before its exchange and are not in "
                    f"{backup.own} yet:  lightmigrate resume DATABASE  carries them over, or says what is in the way"
                )

    def _follow(self, note: Note, old: Version) -> int:
        """Carry over what one note is about; returns how many records. Writes."""
        source, target = self._store.collection(old.address), self._store.collection(old.own)
        seen = note.seen(self._shadows.tables, self._page_size)
        try:
            return self._apply(note, old, target, seen, self._noted(note, source, target))
        except LightmigrateError:  # such as a projection that embeds extracts, whose model is not at hand here
            return self._apply(note, old, target, seen, self._fitted(source, target))

    def _apply(self, note: Note, old: Version, target: Collection, seen: Snapshot, job: Job) -> int:
        if note.request is not None:
            job = replace(job, moved=lambda page, vectors: self._on_carried(self._place, old.own, page, vectors))
        comparison = Comparison(shared_records=self._store.capabilities.shared_records)
        return self._brought_up(old, target, job, seen, comparison, vectors=note.request is not None)

    def _noted(self, note: Note, source: Collection, target: Collection) -> Job:
        """The job of the run that wrote a note, or one as `_fitted`."""
        request = note.read_request()
        dimension = target.facts().dimension
        if request is None or request.projection.info.target.dimension != dimension:
            return self._fitted(source, target)
        return self._shadows.job(request, source, target, "centre")

    def _fitted(self, source: Collection, target: Collection) -> Job:
        """A job with a projection that is fitted to the records of both."""
        fitted = projection_between(source, target, frozenset(), self._page_size, seed=0)
        projection: Projection = fitted or same_vectors(target.facts().dimension or 0)
        return Job(source, projection, "centre", centre=centre_of(source.sample(self._page_size)))
