"""What a run of `refine` may do, and would pay for, before the model is called."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from lightmigrate.errors import LightmigrateError
from lightmigrate.providers.base import Provider
from lightmigrate.results import Result
from lightmigrate.training.seen_texts import SeenTexts

# Texts looked up in the cache at once.
TEXTS_AT_ONCE = 1000


@dataclass(frozen=True)
class Limits:
    """How much a run may do; `None` means no limit.

    Attributes:
        documents: rows to embed.
        tokens: estimated tokens for the new model to read.
        seconds: after which no batch but the first is started.
    """

    documents: int | None = None
    tokens: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("documents", "tokens", "seconds"):
            limit = getattr(self, name)
            if limit is not None and not limit >= 0:
                raise LightmigrateError(f"{limit} is not a limit of {name}: give 0 or more, or leave it out")

    def allow(self, documents: int, tokens: int, seconds: float) -> bool:
        """Whether these amounts are within the limits."""
        amounts = ((self.documents, documents), (self.tokens, tokens), (self.seconds, seconds))
        return all(limit is None or amount <= limit for limit, amount in amounts)


@dataclass(frozen=True)
class RefinementEstimate(Result):
    """What the new model would embed at most.

    Attributes:
        model: its name.
        documents: rows that the run would make exact, or fewer.
        tokens: of everything that is not in the cache, estimated: their texts, queries that put them in order, words
            and extracts for a refit of the projection.
        dollars: what these tokens cost; 0 when there are none, `None` when no price is known.
    """

    model: str
    documents: int
    tokens: int
    dollars: float | None


class MissingTokens:
    """Counts the tokens of texts that are not in a provider's cache, of equal texts once. Calls no model.

    Args:
        provider: the model, with a cache.

    Attributes:
        tokens: of all texts counted so far.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._seen = SeenTexts()
        self.tokens = 0

    def add(self, texts: Iterable[str]) -> int:
        """Count some documents, and return the tokens that they add."""
        before, remaining = self.tokens, iter(texts)
        while batch := list(itertools.islice(remaining, TEXTS_AT_ONCE)):
            self.tokens += self._provider.bill(list(self._seen.new(batch).values())).tokens
        return self.tokens - before

    def add_queries(self, queries: Iterable[str]) -> None:
        """Count some queries."""
        self.tokens += self._provider.bill([], list(queries)).tokens
