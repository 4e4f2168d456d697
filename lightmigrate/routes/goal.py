"""What a migration to a new model has to reach, and what it may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightmigrate.errors import LightmigrateError
from lightmigrate.results import Result

if TYPE_CHECKING:  # loads NumPy, and a command line reads its options without
    from lightmigrate.routes.route import Route


@dataclass(frozen=True)
class Goal(Result):
    """What a route has to reach, and what it may take.

    Attributes:
        quality: expected share of what embedding everything gives, in (0, 1].
        max_seconds: until the database can be searched with the new model; `None` for no limit.
        max_cost: dollars; `None` for no limit.
        even_below_nothing: also take a projection of which no more is expected than of doing nothing.
    """

    quality: float = 0.95
    max_seconds: float | None = None
    max_cost: float | None = None
    even_below_nothing: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.quality <= 1:
            raise LightmigrateError(f"--quality {self.quality} is not a share of re-embedding between 0 and 1")
        for option, limit in (("--max-seconds", self.max_seconds), ("--max-cost", self.max_cost)):
            if limit is not None and not limit >= 0:
                raise LightmigrateError(f"{option} {limit} is not a limit: give 0 or more, or leave it out")

    def allows(self, route: Route) -> bool:
        """Whether a route stays within the limits; one of unknown price or time does only where there is none."""
        limits = ((self.max_seconds, route.seconds), (self.max_cost, route.dollars))
        return all(limit is None or (amount is not None and amount <= limit) for limit, amount in limits)


DEFAULT_GOAL = Goal()
