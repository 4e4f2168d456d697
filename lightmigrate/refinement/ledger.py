"""What a background refinement has spent: counted before it is spent, in the provenance file, so over restarts too."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from lightmigrate.errors import LightmigrateError

# Of what may be spent, the part that one batch may cost.
PART = 0.05

_NO_LIMIT = 2**31


@dataclass(frozen=True)
class Ledger:
    """The expenses of one database.

    Attributes:
        file: the provenance file, which exists.
        per_day: dollars that may be spent a day, in UTC; `None` for no limit.
        in_all: dollars that may be spent since the migration; `None` for no limit.
    """

    file: Path
    per_day: float | None = None
    in_all: float | None = None

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self.per_day is not None or self.in_all is not None

    def count(self, dollars: float) -> bool:
        """Count an expense before it is made; `False`, and nothing is counted, if a limit would be exceeded.

        Several processes may ask at once. What a crash prevents stays counted.
        """
        day = today()
        with _opened(self.file) as connection:
            connection.execute("BEGIN IMMEDIATE")  # nobody else spends between reading and writing
            of_day, of_all = _spent(connection, day), _spent(connection, None)
            allowed = (self.per_day is None or of_day + dollars <= self.per_day) and (
                self.in_all is None or of_all + dollars <= self.in_all
            )
            if allowed:
                _add(connection, day, dollars)
        return allowed

    def record(self, dollars: float) -> None:
        """Count an expense that was made elsewhere, such as that of a migration."""
        with _opened(self.file) as connection:
            _add(connection, today(), dollars)

    def fits_in_a_day(self, dollars: float) -> bool:
        """Whether waiting for another day would allow an expense."""
        return (self.per_day is None or dollars <= self.per_day) and (
            self.in_all is None or self.spent() + dollars <= self.in_all
        )

    def affordable(self, rows: int, dollars: float) -> int:
        """How many rows like these cost so small a part of what may be spent today that little of it is left unused.

        A batch that costs more than is left waits for another day as a whole. Only reads.

        Args:
            rows: how many.
            dollars: what these cost.
        """
        if not self.limited or not dollars:
            return _NO_LIMIT
        left = [self.per_day - self.spent(today())] if self.per_day is not None else []
        left += [self.in_all - self.spent()] if self.in_all is not None else []
        return int(min(_NO_LIMIT, PART * max(0.0, min(left)) * rows / dollars))

    def spent(self, day: str | None = None) -> float:
        """Dollars spent on a day, or on all days; only reads."""
        with _opened(self.file) as connection:
            return _spent(connection, day)


def today() -> str:
    """The day in UTC, as `2026-01-31`."""
    return datetime.now(timezone.utc).date().isoformat()


class _opened:  # noqa: N801  # reads as a phrase
    """A connection for one transaction: committed at the end, rolled back after an error, closed in any case."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> sqlite3.Connection:
        self._connection = sqlite3.connect(self._file, timeout=60, isolation_level=None)
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK" if kind else "COMMIT")
        finally:
            self._connection.close()
        if isinstance(error, sqlite3.Error):
            raise LightmigrateError(f"{self._file} cannot be used ({error}); make it readable and writable") from None


def _spent(connection: sqlite3.Connection, day: str | None) -> float:
    query = "SELECT total(dollars) FROM spending WHERE ? IS NULL OR day = ?"
    ((dollars,),) = connection.execute(query, (day, day)).fetchall()
    return float(dollars)


def _add(connection: sqlite3.Connection, day: str, dollars: float) -> None:
    connection.execute(
        "INSERT INTO spending VALUES (?, ?) ON CONFLICT (day) DO UPDATE SET dollars = dollars + ?",
        (day, dollars, dollars),
    )
