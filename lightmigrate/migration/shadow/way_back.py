"""A collection goes back to a backup while applications may write: what they wrote is counted, carried or left."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from lightmigrate.errors import DatabaseChangedError, FailedError, LightmigrateError, WrittenSinceError
from lightmigrate.migration.changes import (
    Carrying,
    Changes,
    OnWritten,
    OwnVectors,
    require_nothing_written,
)
from lightmigrate.migration.digest import held_as_known, record_digests
from lightmigrate.migration.shadow.late_writes import LateWrites
from lightmigrate.migration.shadow.since import by_others, logged_since_replaced, present
from lightmigrate.migration.shadow.synchronise import Snapshot
from lightmigrate.migration.verify import VECTOR_TOLERANCE
from lightmigrate.progress import logger
from lightmigrate.stores.base import Collection, Role, Store, Version
from lightmigrate.stores.record_tables import RecordTable, RecordTables
from lightmigrate.stores.scaled import differing_scaled, with_scaled

# Key of a copy of a backup to which later changes are carried.
CARRIED = "carried"


def go_back(ways: Sequence[WayBack], stamp: str, require: Callable[[], None], goes_on: Callable[[], bool]) -> bool:
    """Put backups in place, one after the other; what they replace become backups `stamp`. Writes.

    Args:
        ways: of the collections.
        stamp: key of the new backups.
        require: raises where the lock of the database was lost; called before each.
        goes_on: whether the same call puts the rest in place after one of them failed.

    Returns:
        Whether changes were carried over.

    Raises:
        FailedError: one of them failed after others were put in place; the message has the command for the rest.
    """
    carried = False
    for way in ways:
        way.go_with(ways)
    for number, way in enumerate(ways):
        try:
            require()
            carried |= way.go(stamp)
        except LightmigrateError as error:
            if not number:
                raise
            rest = "the same command goes on; the next one alone" if goes_on() else "the next one"
            raise FailedError(
                f"{error}; {number} of {len(ways)} collections are back, {rest} goes back with"
                f"  lightmigrate rollback DATABASE --backup {way.version.address}"
            ) from error
    return carried


class WayBack:
    """The way of a live collection back to a backup. Looks at both when it is made; only reads until it is gone.

    Args:
        store: the open database.
        version: the backup.
        written: what becomes of what was written since it was replaced.
        own: tells the vectors that this package wrote since.
        page_size: records held in memory at once.
        tables: for what has to be known of every record.
        late: notes what was read last, where changes are carried.

    Attributes:
        version: the backup.
        changes: what was written to the live collection since it replaced the backup, as far as it was when looked at.

    Raises:
        WrittenSinceError: what was written cannot be carried.
    """

    def __init__(
        self,
        store: Store,
        version: Version,
        written: OnWritten,
        own: OwnVectors,
        page_size: int,
        tables: RecordTables,
        late: LateWrites,
    ) -> None:
        self.version = version
        self._store, self._written, self._own, self._page_size = store, written, own, page_size
        self._late = late
        self._live, self._old = store.collection(version.own), store.collection(version.address)
        noted = self._live.changes()
        self._mark = None if noted is None else noted.mark
        self._seen: RecordTable | None = None
        self._carrying, self._carried = Carrying(page_size, seed=0), False
        self.changes = self._since_replaced(tables)
        self._carries = written == "carry" and bool(self.changes)
        if self._carries:
            self._carrying.fit(self._live, self._old, self.changes)

    def go_with(self, others: Sequence[WayBack]) -> None:
        """Leave the records of the live collection where changes are carried to another vector of the same records.

        A backup that holds its own records would take that vector along, as it was.
        """
        if self._store.capabilities.whole_backups:
            records = replace(self.version.own, vector="")
            self._carries |= any(each._carries and replace(each.version.own, vector="") == records for each in others)

    def go(self, stamp: str) -> bool:
        """Put the backup in place; what it replaces becomes backup `stamp`. Writes.

        Returns:
            Whether changes were carried over.

        Raises:
            WrittenSinceError: somebody wrote meanwhile, and that was to be refused; nothing was changed.
        """
        self._discard_copies()
        try:
            return self._go(stamp)
        except (DatabaseChangedError, WrittenSinceError):  # nothing was changed, and what was built is of no use later
            if not self._store.interrupted_exchange():
                self._discard_copies()
            raise

    def _discard_copies(self) -> None:
        """Delete copies of backups that this run or one that was killed has made of the collection. Writes."""
        of = (self.version.own, self.version.address)  # a store may take the copy of a backup for a version of that
        for version in self._store.versions():
            if version.role is Role.BUILDING and version.own in of and version.key == CARRIED:
                self._store.delete(version.address)

    def _go(self, stamp: str) -> bool:
        incoming = self._with_changes() if self._carries else self._old
        is_copy, promised = incoming is not self._old, self._store.capabilities
        if promised.holds_writers or (is_copy and promised.settles_again):
            self._store.exchange(incoming, self._live, stamp, settle=lambda: self._settle(incoming))
            return self._carried
        with self._noted(stamp):
            if is_copy:
                self._store.exchange(incoming, self._live, stamp)
            else:
                self._store.restore(self.version, stamp)
            self._look_again(stamp)
        return self._carried

    def _noted(self, stamp: str) -> contextlib.AbstractContextManager[None]:
        if not self._looks_again or self._written != "carry":
            return contextlib.nullcontext()
        return self._late.noted(self.version.own, stamp, Snapshot(self._seen, self._mark), None)

    def _since_replaced(self, tables: RecordTables) -> Changes:
        """What others have written to the live collection since it replaced the backup. Only reads."""
        live, old = self._live, self._old
        logged = logged_since_replaced(self._store, self.version, live, old, self._own, self._page_size)
        if logged is None:
            self._seen = tables.table()
            for page in old.scan(self._page_size, vectors=False):
                self._seen.put(dict(zip(page.ids, record_digests(page, vectors=False), strict=True)))
            return self._differences(live, self._seen, beside=self._old)[0]
        return logged

    def _differences(
        self, collection: Collection, seen: RecordTable, beside: Collection | None = None
    ) -> tuple[Changes, Mapping[str, bytes]]:
        """How a collection's texts and payloads differ from what was seen, and what that was, of those. Only reads.

        What was seen is that of the collection afterwards.

        Args:
            collection: the collection.
            seen: digests of what was seen.
            beside: where it was seen, to compare what digests cannot tell (`stores.scaled`); `None` to leave that out.
        """
        added, changed, deleted, round_ = list[str](), list[str](), list[str](), seen.round()
        earlier: dict[str, bytes] = {}
        for page in collection.scan(self._page_size, vectors=False):
            before = round_.meet(page.ids)
            now = dict(zip(page.ids, record_digests(page, vectors=False), strict=True))
            new = {record: digest for record, digest in now.items() if before.get(record) != digest}
            added += (record for record in new if record not in before)
            changed += (record for record in new if record in before)
            earlier.update((record, before[record]) for record in new if record in before)
            seen.put(new)
            if beside is not None and (scaled := set(with_scaled(page)) - new.keys()):
                changed += differing_scaled(page, beside.records(sorted(scaled)), VECTOR_TOLERANCE)
        for gone in round_.missed(self._page_size):
            deleted += gone
            earlier.update(seen.get(gone))
            seen.remove(gone)
        return Changes(self.version.own, added=added, changed=changed, deleted=deleted), earlier

    def _with_changes(self) -> Collection:
        """The backup, or a copy of it, with the changes. Writes."""
        live, old = self._live, self._old
        promised = self._store.capabilities
        if promised.shared_records and not promised.whole_backups:  # only vectors are missing, or to go
            self._carry(live, old, self.changes)
            return old
        copy = self._store.create_version(old, CARRIED, old.facts().dimension or 0, None)
        for page in old.scan(self._page_size):
            copy.add(page)
        self._carry(live, copy, self.changes)
        return copy

    def _carry(self, source: Collection, target: Collection, changes: Changes) -> None:
        self._carrying.carry(source, target, changes)
        self._carried = True

    def _settle(self, incoming: Collection) -> None:
        """Look again within the exchange. Writes to the incoming collection where changes are carried.

        Raises:
            WrittenSinceError: somebody wrote since it was looked at, and that is refused.
        """
        if not self._looks_again:
            return
        late, _ = self._written_since(self._live)
        if self._written == "refuse":
            require_nothing_written([late] if late else [])
        elif late:
            self._carry(self._live, incoming, late)

    @property
    def _looks_again(self) -> bool:
        return self._written != "discard" and (self._seen is not None or self._mark is not None)

    def _written_since(self, collection: Collection) -> tuple[Changes, Mapping[str, bytes]]:
        """What was written to a collection since it was looked at, and known digests from before. Only reads."""
        if self._seen is not None:
            return self._differences(collection, self._seen)
        return self._logged_since(collection), {}

    def _logged_since(self, collection: Collection) -> Changes:
        """What the store's log has of a collection since it was asked last. Only reads."""
        written = collection.changes(self._mark)
        if written is None:
            return Changes(self.version.own, (), (), ())
        self._mark = written.mark
        ids = list(dict.fromkeys([*written.written, *written.deleted]))
        held = present(collection, ids, self._page_size)
        changes = Changes(
            self.version.own,
            added=(),
            changed=[record for record in ids if record in held],
            deleted=[record for record in ids if record not in held],
        )
        return by_others(changes, collection, self._old, self._own, self._page_size)

    def _look_again(self, stamp: str) -> None:
        """Find what was written to the replaced collection meanwhile. Writes where that is carried."""
        if not self._looks_again:
            return
        kept = self._store.backup_of(self.version.own, stamp)
        displaced, live = self._store.collection(kept.address), self._store.collection(self.version.own)
        late, earlier = self._written_since(displaced)
        if (
            self._seen is not None and self._written == "carry"
        ):  # what was written to both stays as it is in the live one
            late = late.only(lambda ids: held_as_known(live, ids, earlier, self._page_size))
        if not late:
            return
        count = len(late.added) + len(late.changed) + len(late.deleted)
        if self._written == "carry":
            self._carry(displaced, live, late)
            logger.info("%s: %d records that were written meanwhile were carried over", self.version.own, count)
            return
        logger.warning(
            "%s: %d records were written while the old collection was put back; they are only in the backup %s: "
            " lightmigrate rollback DATABASE --backup %s  puts that back, and  --written carry  brings them along",
            self.version.own, count, kept.address, kept.address,
        )  # fmt: skip
