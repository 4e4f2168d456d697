"""What users asked when a plan was made, not a word of it: a digest, so that it is judged by the same again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from lightmigrate.errors import PlanOutdatedError
from lightmigrate.results import Result


@dataclass(frozen=True)
class Asked(Result):
    """Queries of users, or none.

    Attributes:
        queries: how many.
        sha256: of all of them, in their order.
    """

    queries: int
    sha256: str

    @classmethod
    def of(cls, queries: Sequence[str]) -> Asked:
        """Of these queries."""
        digest = hashlib.sha256()
        for query in queries:
            said = query.encode("utf-8", "surrogatepass")
            digest.update(len(said).to_bytes(8, "big") + said)
        return cls(len(queries), digest.hexdigest())

    def require(self, queries: Sequence[str]) -> None:
        """Raise `PlanOutdatedError` when these are others."""
        now = Asked.of(queries)
        if now != self:
            others = "other ones" if now.queries == self.queries else f"{now.queries} now"
            raise PlanOutdatedError(
                f"the plan was made with {self.queries} queries of users, and there are {others}: give the same "
                "(--queries FILE), or plan again; what was embedded is not paid for twice",
                planned=self.queries,
                found=now.queries,
            )


NOBODY = Asked.of(())
