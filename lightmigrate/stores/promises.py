"""What a store promises and what not, in words: one line that `doctor` prints, a part of it before a migration asks."""

from __future__ import annotations

from dataclasses import dataclass

from lightmigrate.results import Result
from lightmigrate.stores.base import Capabilities


@dataclass(frozen=True)
class Promises(Result):
    """The promises of a database about migrations, in words.

    Attributes:
        kept: what it promises, a clause each.
        missing: what it cannot promise: what happens instead, a clause each.
    """

    kept: tuple[str, ...]
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " – ".join([f"promised: {'; '.join(self.kept)}", *([self.not_promised] if self.missing else [])])

    @property
    def not_promised(self) -> str:
        """What is missing, as a line; empty for nothing."""
        return f"not promised: {'; '.join(self.missing)}" if self.missing else ""


_WHOLE = "a crash leaves the old or the new, whole"
_ONE_STEP = "an exchange is one step"

# Of a database that is files, which is migrated in a copy.
OF_FILES = Promises((_WHOLE, _ONE_STEP, "it is refused while anything has the folder open"))


def promises_of_files(unknown: str | None) -> Promises:
    """The promises of a database that is files.

    Args:
        unknown: why it is not known whether somebody has it open; see `users.may_be_open`.
    """
    if unknown is None:
        return OF_FILES
    return Promises((_WHOLE, _ONE_STEP), (may_be_open_line(unknown),))


def may_be_open_line(unknown: str) -> str:
    """That somebody may have the files open, and what helps."""
    return f"whoever has the files open may not be seen ({unknown}): stop everything that may use them first"


def promises_of(capabilities: Capabilities) -> Promises:
    """The promises of an open database."""
    kept, missing = [_WHOLE], []
    if capabilities.atomic_exchange:
        kept.append(_ONE_STEP)
    else:
        missing.append("an exchange takes several steps, and the next command ends one that was interrupted")
    if capabilities.holds_writers:
        kept.append("writers wait for it")
    elif capabilities.settles_again:
        kept.append("it is tried again when somebody writes meanwhile")
    else:
        missing.append("writers do not wait for it")
    if capabilities.sees_changes:
        kept.append("a log says what is written")
    else:
        missing.append(
            "no log says what is written, so all records are read again to find it, and a rollback does not see a "
            "vector that was replaced alone"
        )
    if capabilities.stale_handles:
        missing.append("clients see the new vectors only when they open the collection again")
    if capabilities.one_client:
        missing.append("only one client can have it open")
    return Promises(tuple(kept), tuple(missing))
