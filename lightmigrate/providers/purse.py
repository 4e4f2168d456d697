"""What the calls of a model have cost, and whether another one may be made: one purse for all who pay from it."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from typing import Protocol

from lightmigrate.providers.cache_file import VectorFile
from lightmigrate.providers.prices import dollars_for


@dataclass(frozen=True)
class Limit:
    """What may be spent.

    Attributes:
        dollars: at most; `None` for no limit.
        price: dollars for a million tokens; known where `dollars` is.
    """

    dollars: float | None = None
    price: float | None = None

    def allows(self, tokens: int) -> bool:
        """Whether so many tokens are within it."""
        return self.dollars is None or (dollars_for(tokens, self.price) or 0.0) <= self.dollars


class Purse(Protocol):
    """Counts the tokens of calls: those under way as they were estimated, the others as they were."""

    def begin(self, tokens: int, limit: Limit) -> str | None:
        """Count a call before it is made, by its estimated tokens; several may ask at once.

        Returns:
            Its name; `None`, and nothing counted, where the limit does not allow it.
        """

    def end(self, call: str, tokens: int) -> None:
        """Count what a call has cost instead of its estimate."""

    def tokens(self) -> int:
        """All that was counted."""


class OwnPurse:
    """The purse of one object, whose threads pay from it."""

    def __init__(self) -> None:
        self._spent = 0
        self._under_way: dict[str, int] = {}
        self._lock = threading.Lock()

    def begin(self, tokens: int, limit: Limit) -> str | None:
        """See `Purse`."""
        with self._lock:
            if not limit.allows(self._counted() + tokens):
                return None
            call = secrets.token_hex(8)
            self._under_way[call] = tokens
            return call

    def end(self, call: str, tokens: int) -> None:
        """See `Purse`."""
        with self._lock:
            del self._under_way[call]
            self._spent += tokens

    def tokens(self) -> int:
        """See `Purse`."""
        with self._lock:
            return self._counted()

    def _counted(self) -> int:
        return self._spent + sum(self._under_way.values())


# Of one purse, whose name is given twice.
_COUNTED = "(SELECT total(tokens) FROM purses WHERE purse = ?) + (SELECT total(tokens) FROM calls WHERE purse = ?)"


class SharedPurse:
    """One purse for many processes, in the file of their cache.

    The call of a process that died stays counted as it was estimated: it may have been paid for.

    Args:
        file: the file.
        name: of the purse; nobody else has it.
    """

    def __init__(self, file: VectorFile, name: str) -> None:
        self._file, self._name = file, name

    def begin(self, tokens: int, limit: Limit) -> str | None:
        """See `Purse`: one statement reads and counts, so that nobody else spends in between."""
        call, name = secrets.token_hex(8), self._name
        allowed = limit.dollars, name, name, tokens, limit.price or 0.0, limit.dollars
        self._file.change(
            (
                f"INSERT INTO calls SELECT ?, ?, ? WHERE ? IS NULL OR ({_COUNTED} + ?) * ? / 1e6 <= ?",
                [(name, call, tokens, *allowed)],
            )
        )
        return call if self._file.rows("SELECT 1 FROM calls WHERE purse = ? AND call = ?", (self._name, call)) else None

    def end(self, call: str, tokens: int) -> None:
        """See `Purse`."""
        self._file.change(
            (
                "INSERT INTO purses VALUES (?, ?) ON CONFLICT (purse) DO UPDATE SET tokens = tokens + excluded.tokens",
                [(self._name, tokens)],
            ),
            ("DELETE FROM calls WHERE purse = ? AND call = ?", [(self._name, call)]),
        )

    def tokens(self) -> int:
        """See `Purse`."""
        ((counted,),) = self._file.rows(f"SELECT {_COUNTED}", (self._name, self._name))
        return int(counted)

    def forget(self) -> None:
        """Delete what was counted. Writes."""
        own = [(self._name,)]
        self._file.change(("DELETE FROM purses WHERE purse = ?", own), ("DELETE FROM calls WHERE purse = ?", own))
