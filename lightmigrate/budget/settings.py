"""What can be chosen on a cost–quality curve, and the queries by which it was judged."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lightmigrate.errors import PlanOutdatedError
from lightmigrate.projection.terms.extract_rule import ExtractKind
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.results import Result


@dataclass(frozen=True)
class BudgetSetting(Result):
    """What the new model embeds of a collection.

    Attributes:
        reads_texts: whether the projection reads the stored texts.
        extract_words: length in words of the extract embedded of every text; 0 for none.
        documents: number of documents embedded whole; the projection is fitted to them, or to 4,000 of them.
        extract_kind: which words are in the extract; see `ExtractRule`.
    """

    reads_texts: bool
    extract_words: int
    documents: int
    extract_kind: ExtractKind = "first"

    @property
    def tried(self) -> TriedProjection:
        """The kind of projection that was tried for it."""
        return TriedProjection(self.reads_texts, self.extract_words, self.extract_kind)


class TriedProjection(NamedTuple):
    """A kind of projection: what it reads. See `BudgetSetting`."""

    reads_texts: bool
    extract_words: int = 0
    extract_kind: ExtractKind = "first"

    def setting(self, documents: int) -> BudgetSetting:
        """The setting with so many documents embedded whole."""
        return BudgetSetting(self.reads_texts, self.extract_words, documents, self.extract_kind)


VECTORS_ONLY, TEXTS = TriedProjection(reads_texts=False), TriedProjection(reads_texts=True)


@dataclass(frozen=True)
class CurvePoint(Result):
    """One point of the curve.

    Attributes:
        setting: what is embedded.
        tokens: estimated tokens that the new model reads in all, calibration included.
        share_of_tokens: as a share of the tokens of embedding everything.
        dollars: for these tokens; `None` when no price is known.
        seconds: for these tokens, at the speed seen while calibrating, or at that of earlier calls when everything was
            in the cache, and to fit the projection; `None` when no earlier call is remembered.
        expected: nDCG@10 to expect, as a share of what embedding everything gives.
    """

    setting: BudgetSetting
    tokens: int
    share_of_tokens: float
    dollars: float | None
    seconds: float | None
    expected: QualityEstimate


@dataclass(frozen=True)
class QuerySet(Result):
    """The queries of users that a plan was judged by: a digest only, so that the same queries judge it again.

    Attributes:
        queries: how many; 0 when sentences of the documents stood in for them.
        sha256: of all of them, in their order.
    """

    queries: int
    sha256: str

    @classmethod
    def of(cls, queries: Sequence[str]) -> QuerySet:
        """The set of these queries."""
        digest = hashlib.sha256()
        for query in queries:
            content = query.encode("utf-8", "surrogatepass")
            digest.update(len(content).to_bytes(8, "big") + content)
        return cls(len(queries), digest.hexdigest())

    def require(self, queries: Sequence[str]) -> None:
        """Raise `PlanOutdatedError` when these are other queries."""
        now = QuerySet.of(queries)
        if now != self:
            others = "other ones" if now.queries == self.queries else f"{now.queries} now"
            raise PlanOutdatedError(
                f"the plan was made with {self.queries} queries of users, and there are {others}: give the same "
                "(--queries FILE), or plan again; what was embedded is not paid for twice",
                planned=self.queries,
                found=now.queries,
            )


NO_QUERIES = QuerySet.of(())
