"""Shadow collections: built beside the collection they are to replace, and kept up with what is written to it."""

from __future__ import annotations

import hashlib
import json
import secrets
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightmigrate.errors import DatabaseChangedError, VerificationError
from lightmigrate.migration.baseline import Baseline
from lightmigrate.migration.digest import record_digests
from lightmigrate.migration.job import InvalidVectors, Job
from lightmigrate.migration.live.names import Kind, Names
from lightmigrate.migration.live.synchronise import Snapshot, bring_over, synchronise
from lightmigrate.migration.moment import order
from lightmigrate.migration.progress import OnProgress, logger
from lightmigrate.migration.request import Request, keep
from lightmigrate.migration.verify import Comparison, Verification
from lightmigrate.migration.written import Changes, carry
from lightmigrate.stores.base import Collection

# Times a collection is read again because of records that were written while it was read.
PASSES = 10


@dataclass(frozen=True)
class Shadow:
    """A shadow that was brought up to date.

    Attributes:
        job: what it was built from.
        target: the shadow.
        snapshot: what the source held then.
        comparison: of its records with what they should be.
        checked: what was verified; `None` where nothing was to be.
        function: the application's own embedding function, for its collection objects.
        started: when.
    """

    job: Job
    target: Any
    snapshot: Snapshot
    comparison: Comparison
    checked: Verification | None
    function: Any
    started: float


class Shadows:
    """Those of one open database, by their names."""

    def __init__(self, store: Any, page_size: int, on_progress: OnProgress) -> None:
        self._store = store
        self._page_size = page_size
        self._on_progress = on_progress

    def open(self, name: str) -> Any:
        """A collection of the database."""
        return self._store.collection(self._store.address(name))

    def named(self, kind: Kind) -> list[Names]:
        """All collections of a kind, the oldest first."""
        found = [Names.parse(name) for name in self._store.names()]
        chosen = [names for names in found if names.kind is kind]
        return sorted(chosen, key=lambda names: (order(names.key), names.key, names.own))

    def build(self, request: Request, verified: bool, invalid_vectors: InvalidVectors) -> Shadow:
        """A shadow that holds what the collection holds, or what an interrupted run has left to do of it."""
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            asked = keep(Path(folder) / "request", [request], invalid_vectors)
        said = secrets.token_hex() if asked is None else json.dumps(asked, sort_keys=True)
        key = hashlib.sha256(said.encode()).hexdigest()[:12]
        names = Names(request.address.name, Kind.NEW, key)
        for other in self.named(Kind.NEW):
            if other.own == names.own and other != names:
                logger.warning("%s: another migration was interrupted; what it had built is thrown away", names.own)
                self.open(other.name).delete()
        job = Job(self.open(names.own), request.projection, request.embedding_function, invalid_vectors, request.texts)
        if names in self.named(Kind.NEW) and self.open(names.name).count():
            target = self.open(names.name)
        else:
            if names in self.named(Kind.NEW):  # it may have been created only in part
                self.open(names.name).delete()
            target = self._store.create_like(job.source, names.name, request.embedding_function)
        comparison = Comparison()
        try:
            snapshot, sample = bring_over(
                job, target, self._page_size, self._on_progress, comparison if verified else None
            )
            checked = comparison.conclude(Baseline.of(job.source, sample), target) if verified else None
        except VerificationError:
            target.delete()
            raise
        return Shadow(job, target, snapshot, comparison, checked, request.function, started)

    def keep_up(self, shadow: Shadow) -> Snapshot:
        """Read the source again and again until nothing was written since it was read before, vectors left out.

        The sooner the last reading is over, the less is written between it and the exchange; after that all is read.
        """
        job, snapshot = shadow.job, shadow.snapshot
        changed, seconds = 0, 0.0
        for _ in range(PASSES):
            self._require_shadow(shadow.target)
            started = time.monotonic()
            changed, snapshot = synchronise(
                job, shadow.target, self._page_size, self._on_progress, snapshot, shadow.comparison, vectors=False
            )
            seconds = time.monotonic() - started
            if not changed:
                return snapshot
        raise DatabaseChangedError(
            f"collection {job.source.address} was written to in every one of {PASSES} passes, {changed} records in the "
            f"last one of {seconds:.1f} s: nothing was migrated; pause the writers, and run this again to go on"
        )

    def _require_shadow(self, target: Any) -> None:
        """Nobody else may have put it in place meanwhile: then it would be written to over somebody's head."""
        if self.open(target.address.name).handle.id != target.handle.id:
            raise DatabaseChangedError(f"{target.address.name} was replaced by somebody else meanwhile")

    def carried(self, backup: Collection, changes: Changes) -> Any:
        """A copy of the backup to which was done what was done to the live collection since."""
        name = Names(changes.address.name, Kind.NEW, "carried").name
        if any(names.name == name for names in self.named(Kind.NEW)):
            self.open(name).delete()
        copy = self._store.create_like(backup, name, None)
        for page in backup.pages(self._page_size):
            copy.add(page)
        carry(self.open(changes.address.name), copy, changes, self._page_size, seed=0)
        return copy

    def changes(self, names: Names) -> Changes:
        """How the collection's texts and metadata differ from its backup's."""
        ours, theirs = (
            {
                one: digest
                for page in self.open(name).pages(self._page_size, vectors=False)
                for one, digest in zip(page.ids, record_digests(page, vectors=False), strict=True)
            }
            for name in (names.own, names.name)
        )
        return Changes(
            self._store.address(names.own),
            added=[one for one in ours if one not in theirs],
            changed=[one for one, digest in ours.items() if one in theirs and theirs[one] != digest],
            deleted=[one for one in theirs if one not in ours],
        )
