"""How far a background refinement is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lightmigrate.results import Result

State = Literal["waiting", "elsewhere", "running", "paused", "out of budget", "exact", "stopped", "failed"]


@dataclass(frozen=True)
class BackgroundStatus(Result):
    """How far a background refinement is.

    Attributes:
        state: `waiting` for the application to open the database, or for other processes to close it; `elsewhere`:
            another process does it; `running`; `paused`; `out of budget` until tomorrow; `exact`: it is done;
            `stopped`, by `stop` or because the application closed the database; `failed`: it goes on at the next start.
        rows: that were not exact when this process began, of all collections.
        exact: those among them that this process made exact.
        reason: why it does not run, in one sentence; empty while it does.
    """

    state: State
    rows: int
    exact: int
    reason: str = ""
