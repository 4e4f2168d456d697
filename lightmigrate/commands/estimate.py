"""What a command shows of a cost before it asks."""

from __future__ import annotations

from dataclasses import dataclass

from lightmigrate.results import Result


@dataclass(frozen=True)
class Estimate(Result):
    """What the new model will be asked to embed.

    Attributes:
        model: its name.
        documents: number of documents.
        queries: number of queries.
        words: number of single words.
        tokens: of those that are not in the cache, estimated.
        dollars: what they cost; `None` when no price is known.
    """

    model: str
    documents: int
    queries: int
    words: int
    tokens: int
    dollars: float | None
