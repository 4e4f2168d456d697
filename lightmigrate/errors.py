"""The errors of lightmigrate, with their numbers as attributes.

`except LightmigrateError` catches all of them. A message is one line: what is wrong with both numbers, then the way
out. A message never contains document texts, ids or vectors, because messages end up in logs; where ids help, they are
an attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Literal

FileFault = Literal["missing", "outside", "altered", "unreadable", "contradicting"]


class LightmigrateError(Exception):
    """The root of all errors of this package. `exit_code` is what the command line returns for it."""

    exit_code = 1


class RefusedError(LightmigrateError):
    """The operation would not be safe and was refused; nothing was changed."""

    exit_code = 2


class ProjectionError(LightmigrateError):
    """A projection cannot be used for this purpose."""


class ProjectionFileError(ProjectionError):
    """A projection file is missing, truncated, altered, unsafe to read, or of an unknown version."""


class ListedFileError(ProjectionFileError):
    """A projection file differs from its entry in the registry.

    Attributes:
        kind: what is wrong with it: `missing`, `outside` (a link, or not a regular file), `altered`, `unreadable`, or
            `contradicting` (its own description differs from the entry).
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
    """The projection has the wrong direction: the vectors fit its target model, not its source model."""


class ModelMismatchError(ProjectionError):
    """Two embedding models that should be the same have different names."""


class NoProjectionError(LightmigrateError):
    """No projection between two models is known, and none can be learned here; the message has the command."""


class WrongSpaceError(RefusedError):
    """The stored vectors are not of the projection's source model, although their dimension may fit."""


class MixedCollectionError(RefusedError):
    """The stored vectors are of more than one model, so no projection fits all of them.

    Attributes:
        counts: sampled vectors of each model, the largest number first.
        looked_at: number of sampled vectors.
    """

    def __init__(self, message: str, *, counts: Sequence[int], looked_at: int) -> None:
        super().__init__(message)
        self.counts = tuple(counts)
        self.looked_at = looked_at


class MissingExtraError(LightmigrateError):
    """An optional library that is needed is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed: run  pip install 'lightmigrate[{extra}]'")
        self.library = library
        self.extra = extra


class ProviderError(LightmigrateError):
    """An embedding model cannot be loaded or reached, or its answer is not usable."""


class BusyError(ProviderError):
    """The server of an embedding model is busy, or the quota is used up.

    Attributes:
        seconds: after which it wants to be asked again; `None` when it did not say.
    """

    def __init__(self, message: str, *, seconds: float | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class ModelExchangedError(ProviderError):
    """Another embedding model began to answer under the same name in the middle of a run; nothing of it was kept."""


class TextsRefusedError(ProviderError):
    """An embedding model refuses some texts: they are blank, longer than it takes, or not allowed.

    Attributes:
        texts: the refused texts, as far as they are known (not in the message, because messages are logged).
        reason: what the model said, in one line without texts and keys; empty when it said nothing.
    """

    def __init__(self, message: str, *, texts: Sequence[str] = (), reason: str = "") -> None:
        super().__init__(message)
        self.texts = tuple(texts)
        self.reason = reason


class CostError(RefusedError):
    """The next call would cost more than the limit; what was embedded is kept.

    Attributes:
        spent: dollars spent so far.
        allowed: the limit in dollars.
    """

    def __init__(self, message: str, *, spent: float, allowed: float) -> None:
        super().__init__(message)
        self.spent = spent
        self.allowed = allowed


class DeadlineError(RefusedError):
    """The operation would take longer than the limit; what was embedded is kept."""


class NotEnoughTextsError(LightmigrateError):
    """Fewer texts are available than were requested.

    Attributes:
        asked: number of texts that were requested.
        available: number of different usable texts.
    """

    def __init__(self, message: str, *, asked: int, available: int) -> None:
        super().__init__(message)
        self.asked = asked
        self.available = available


class NotTextsError(LightmigrateError):
    """Many records are no texts, and what a projection makes of their vectors cannot be measured.

    Attributes:
        by_uri: sampled records that have the address of something (an image) and no text.
        sampled: sampled records.
    """

    def __init__(self, message: str, *, by_uri: int, sampled: int) -> None:
        super().__init__(message)
        self.by_uri = by_uri
        self.sampled = sampled


class AmbiguousTextsError(LightmigrateError):
    """It is not known which texts were embedded: several are possible, or the only one does not explain the vectors.

    Attributes:
        candidates: the possible sources of the texts, in words.
    """

    def __init__(self, message: str, *, candidates: Sequence[str]) -> None:
        super().__init__(message)
        self.candidates = candidates


class DatabaseError(LightmigrateError):
    """The database does not exist or cannot be read."""


class PasswordNeededError(DatabaseError):
    """A server asks for a password, and none was given."""


class CollectionNotFoundError(DatabaseError):
    """No collection has this address."""


class DamagedCollectionError(RefusedError):
    """The vectors of a collection cannot be read; its documents can be embedded again. Nothing was changed."""


class NothingToMigrateError(DatabaseError):
    """The collection is empty, or none of its records has a vector."""


class DatabaseInUseError(RefusedError):
    """Another client has the database open.

    Attributes:
        processes: ids of the processes that have it open, as far as this user may see them.
    """

    def __init__(self, message: str, *, processes: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.processes = tuple(processes)


class AnotherRunError(DatabaseInUseError):
    """Another lightmigrate process is working on the database; its lock ends with the process, also after a crash."""


class DatabaseChangedError(RefusedError):
    """Somebody else wrote to the database while it was copied or migrated; what was built may have been deleted."""

    @classmethod
    def require_same(cls, collection: object, opened: str, now: str) -> None:
        """Raise it when a collection's id is not the one that it had when it was opened."""
        if now != opened:
            raise cls(
                f"collection {collection} was replaced by another client meanwhile; nothing was changed, run this again"
            )


class LocationError(RefusedError):
    """A safe exchange is not possible at this location (read-only, a symbolic link, ...)."""


class FailedGateError(RefusedError):
    """The projection failed the gate when it was made: a migration with it would lose too much quality."""


class DiskSpaceError(RefusedError):
    """There is not enough disk space to build the new database.

    Attributes:
        needed_bytes: space that is needed at the peak.
        free_bytes: free space on the disk.
    """

    def __init__(self, message: str, *, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(message)
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes


class InvalidVectorsError(RefusedError):
    """Some stored vectors hold NaN or infinity, or are all zero.

    Attributes:
        ids: the ids of their records, in database order (not in the message, because messages are logged).
    """

    def __init__(self, message: str, *, ids: Sequence[str]) -> None:
        super().__init__(message)
        self.ids = tuple(ids)


class PlanOutdatedError(RefusedError):
    """A collection has changed since its plan was made.

    Attributes:
        planned: number of records when the plan was made.
        found: number of records now.
    """

    def __init__(self, message: str, *, planned: int, found: int) -> None:
        super().__init__(message)
        self.planned = planned
        self.found = found


class WrittenSinceError(RefusedError):
    """Records were written after the migration, and a rollback needs to know whether to carry or discard them.

    Attributes:
        added: records that the old database does not have.
        changed: records that were written again.
        deleted: records that were deleted.
    """

    def __init__(self, message: str, *, added: int, changed: int, deleted: int) -> None:
        super().__init__(message)
        self.added = added
        self.changed = changed
        self.deleted = deleted


class TooFewPairsError(LightmigrateError):
    """Two collections share too few records to fit a projection between their vectors."""


class VerificationError(LightmigrateError):
    """The new database differs from the expected one; the message says whether it was deleted or left in place."""


class FailedError(LightmigrateError):
    """The disk or the database engine failed during a migration; the message gives the state of the database."""

    @classmethod
    def of(cls, error: Exception, state: str) -> FailedError:
        """Another error, also one of this kind that a store raised, with the state of the database and the way out."""
        kind = "" if isinstance(error, FailedError) else f"{type(error).__name__}: "
        return cls(f"{kind}{' '.join(str(error).split())}; {state}")


class BackupError(LightmigrateError):
    """The backup does not exist, or there is none to restore."""


def loggable(error: BaseException) -> str:
    """What a log says of an error: the message of one of these, the place of any other, which may quote a text."""
    if isinstance(error, LightmigrateError):
        return str(error)
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    place = "" if at is None else f" in {PurePath(at.tb_frame.f_code.co_filename).name}, line {at.tb_lineno}"
    return f"{type(error).__name__}{place}"
