"""Everything lightmigrate can refuse or fail at, each error carrying its numbers.

One root, so that `except LightmigrateError` catches all of it. A message is one line: what is wrong
with both numbers, then the way out. Document texts, ids and vectors never stand in a message, because
messages end up in logs; where ids help, they are an attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

FileFault = Literal["missing", "outside", "altered", "unreadable", "contradicting"]


class LightmigrateError(Exception):
    """The root of all errors of this package. `exit_code` is what the command line returns for it."""

    exit_code = 1


class RefusedError(LightmigrateError):
    """Nothing is broken, but going on would not be safe; nothing was changed."""

    exit_code = 2


class ProjectionError(LightmigrateError):
    """A projection cannot be used as asked."""


class ProjectionFileError(ProjectionError):
    """A projection file is missing, truncated, altered, unsafe to read, or of an unknown version."""


class ListedFileError(ProjectionFileError):
    """A projection file is not what its registry lists.

    Attributes:
        kind: what is wrong with it: `missing`, `outside` (a link, or no file), `altered`, `unreadable`, or
            `contradicting` (it says other things of itself than the list).
    """

    def __init__(self, message: str, *, kind: FileFault) -> None:
        super().__init__(message)
        self.kind: FileFault = kind


class DimensionError(ProjectionError):
    """Vectors and a projection, or two projections, do not fit each other.

    Attributes:
        expected: the dimension that is needed.
        found: the dimension that was given.
    """

    def __init__(self, message: str, *, expected: int, found: int) -> None:
        super().__init__(message)
        self.expected = expected
        self.found = found


class WrongDirectionError(DimensionError):
    """The projection fits only the other way round: it leads *to* the model the vectors came from."""


class ModelMismatchError(ProjectionError):
    """Two named embedding models should be the same and are not."""


class NoProjectionError(LightmigrateError):
    """No projection between two models is known, and none can be learned here; the message has the command."""


class WrongSpaceError(RefusedError):
    """The stored vectors are not of the model that the projection starts from, whatever their dimension."""


class MixedCollectionError(RefusedError):
    """The stored vectors are of more than one model, so no projection fits all of them.

    Attributes:
        counts: vectors of each model, of those that were looked at, the largest part first.
        looked_at: how many that were.
    """

    def __init__(self, message: str, *, counts: Sequence[int], looked_at: int) -> None:
        super().__init__(message)
        self.counts = tuple(counts)
        self.looked_at = looked_at


class MissingExtraError(LightmigrateError):
    """An optional library is needed for this and is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed: run  pip install 'lightmigrate[{extra}]'")
        self.library = library
        self.extra = extra


class ProviderError(LightmigrateError):
    """An embedding model cannot be loaded or reached, or its answer cannot be used."""


class CostError(RefusedError):
    """Going on would cost more than was allowed; what was embedded is kept.

    Attributes:
        spent: dollars so far.
        allowed: dollars at most.
    """

    def __init__(self, message: str, *, spent: float, allowed: float) -> None:
        super().__init__(message)
        self.spent = spent
        self.allowed = allowed


class DeadlineError(RefusedError):
    """It would take longer than was allowed; what was embedded is kept."""


class NotEnoughTextsError(LightmigrateError):
    """More texts were asked for than there are.

    Attributes:
        asked: how many.
        available: how many different usable ones there are.
    """

    def __init__(self, message: str, *, asked: int, available: int) -> None:
        super().__init__(message)
        self.asked = asked
        self.available = available


class DatabaseError(LightmigrateError):
    """The folder is not a database that can be read."""


class CollectionNotFoundError(DatabaseError):
    """No collection of that name in that tenant and database."""


class NothingToMigrateError(DatabaseError):
    """The collection is empty, or none of its records has a vector."""


class DatabaseInUseError(RefusedError):
    """Another client has the database open.

    Attributes:
        processes: the process ids that hold it, as far as this user may see them.
    """

    def __init__(self, message: str, *, processes: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.processes = tuple(processes)


class AnotherRunError(DatabaseInUseError):
    """Another lightmigrate is working on the database; it lets go of it when it ends, however it ends."""


class DatabaseChangedError(RefusedError):
    """Somebody wrote to the database while it was being copied; the copy was thrown away."""


class LocationError(RefusedError):
    """The folder stands where a safe exchange is not possible (read-only, a mount point, ...)."""


class FailedGateError(RefusedError):
    """The gate said FAIL to a projection when it was made: migrating with it would lose too much."""


class DiskSpaceError(RefusedError):
    """There is not enough room to build the new database beside the old one.

    Attributes:
        needed_bytes: what the migration needs at its peak.
        free_bytes: what the disk has.
    """

    def __init__(self, message: str, *, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(message)
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class InvalidVectorsError(RefusedError):
    """Some stored vectors hold NaN or infinity, or are all zero.

    Attributes:
        ids: the ids of all of them, in database order (not in the message: messages are logged).
    """

    def __init__(self, message: str, *, ids: Sequence[str]) -> None:
        super().__init__(message)
        self.ids = tuple(ids)


class PlanOutdatedError(RefusedError):
    """A collection is not what a plan was made for.

    Attributes:
        planned: records it had then.
        found: records it has now.
    """

    def __init__(self, message: str, *, planned: int, found: int) -> None:
        super().__init__(message)
        self.planned = planned
        self.found = found


class WrittenSinceError(RefusedError):
    """Records were written after the migration, and it was not said what a rollback is to do with them.

    Attributes:
        added: records that the old database does not have.
        changed: records that were written again.
        deleted: records that only the old database has.
    """

    def __init__(self, message: str, *, added: int, changed: int, deleted: int) -> None:
        super().__init__(message)
        self.added = added
        self.changed = changed
        self.deleted = deleted


class VerificationError(LightmigrateError):
    """The new database does not hold what it should; it was thrown away or left in place, as said."""


class FailedError(LightmigrateError):
    """The disk or the database engine failed in the middle; the message says in what state the database is."""


class BackupError(LightmigrateError):
    """No such backup, or nothing to go back to."""
