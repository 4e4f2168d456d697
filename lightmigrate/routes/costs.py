"""What a route takes: the model's time for its texts, and the time to write the new vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.budget.text_count import TextCount
from lightmigrate.errors import CostError
from lightmigrate.migration.duration import Work, seconds_on_a_slow_machine, seconds_to_write
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.routes.route import Kind, Route
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.training.limits import BeforePaying, SpendingLimit, unasked
from lightmigrate.training.model_speed import NO_TIME, TIMED, ModelSpeed, known_speed, measure_speed

# Vectors that are replaced one by one take so many times as long as a new database with a new index. The index alone
# takes .5 ms of the processor a row, replacing 3 to 4 with what keeps rows reachable (16,000 rows,
# `benchmarks/replaced.py`); a new database is copied, read and compared besides.
TIMES_REPLACING = 4.0


@dataclass(frozen=True)
class Costs:
    """What routes to one model take for some collections.

    Attributes:
        provider: the new model.
        count: the texts of the collections.
        speed: of the model; `None` when it was not measured.
        work: of building, verifying and exchanging the new database.
    """

    provider: Cached
    count: TextCount
    speed: ModelSpeed | None
    work: Work

    @classmethod
    def measure(
        cls,
        collection: JoinedCollections,
        provider: Cached,
        stored_bytes: int = 0,
        limit: SpendingLimit | None = None,
        before_paying: BeforePaying = unasked,
    ) -> Costs:
        """Count the texts, and measure the model on a few of them. Calls the model; only reads.

        Args:
            collection: the open collections as one, with their embedded texts.
            provider: the new model.
            stored_bytes: of the folder that a migration copies; 0 for an open database.
            limit: of what may be spent; a model that would exceed it is not measured.
            before_paying: called with the most that measuring the model costs.
        """
        count = TextCount.of(collection, provider)
        work = _work(collection, provider, stored_bytes)
        if count.some_missing and known_speed(provider) is None:
            bill = provider.bill([*count.some_missing[:TIMED], *["word"] * TIMED])
            try:
                if limit is not None:
                    limit.pay(provider, bill.dollars, "measuring the speed of the model")
            except CostError:
                return cls(provider, count, None, work)
            before_paying(bill, "to measure how fast it is")
        return cls(provider, count, measure_speed(provider, count.some_missing), work)

    @cached_property
    def writing_seconds(self) -> float:
        """To build, verify and exchange the new database, with new indexes. Measures this machine, once."""
        return seconds_to_write(self.work)[1]

    @cached_property
    def projecting_seconds(self) -> float:
        """The same with the graphs of the old indexes, where vectors are replaced soon. Measures this machine, once."""
        return seconds_to_write(self.work)[0]

    def everything_within(self, seconds: float) -> bool:
        """Whether embedding and writing everything takes no longer; measures this machine only if that is in doubt."""
        left = seconds - self.embedding_seconds()
        return left >= 0 and (seconds_on_a_slow_machine(self.work) <= left or self.writing_seconds <= left)

    def embedding_seconds(self) -> float:
        """How long the model takes for all texts that are not in its cache; infinite when nobody knows."""
        return self._seconds(self.count.missing_texts, self.count.missing_tokens)

    def _seconds(self, texts: int, tokens: int) -> float:
        return math.inf if self.speed is None and texts else (self.speed or NO_TIME).seconds(texts, tokens)

    def everything(self, expected: QualityEstimate, more_tokens: int = 0) -> Route:
        """The route that embeds every text, and more tokens that were paid for to compare it."""
        count = self.count
        tokens = count.missing_tokens + more_tokens
        return self.route("everything", f"embed all {count.texts:,}", count.missing_texts, tokens, expected, True)

    def route(
        self,
        kind: Kind,
        description: str,
        texts: int,
        tokens: int,
        expected: QualityEstimate | None,
        measured: bool,
        *,
        fitting_seconds: float = 0.0,
        setting: BudgetSetting | None = None,
    ) -> Route:
        """A route that embeds so many texts of so many tokens."""
        seconds = self._seconds(texts, tokens) + fitting_seconds + self.writing_seconds
        exact_tokens, exact_seconds = tokens, seconds
        if kind not in ("everything", "computed"):
            # what is learned from stays exact, sentences and extracts are extra: at least the rest, at most everything
            documents = 0 if setting is None else setting.documents
            share = max(0.0, 1 - documents / max(1, self.count.texts))
            rest = round(share * self.count.missing_tokens)
            exact_tokens += rest
            exact_seconds += self._seconds(round(share * self.count.missing_texts), rest)
            exact_seconds += share * TIMES_REPLACING * self.writing_seconds
        return Route(
            kind=kind,
            description=description,
            texts=texts,
            tokens=tokens,
            dollars=self.provider.priced(tokens).dollars,
            seconds=seconds if math.isfinite(seconds) else None,
            exact_seconds=exact_seconds if math.isfinite(exact_seconds) else None,
            exact_dollars=self.provider.priced(exact_tokens).dollars,
            expected=expected,
            measured=measured,
            setting=setting,
        )


def _work(collection: JoinedCollections, provider: Cached, stored_bytes: int) -> Work:
    new = provider.probe().shape[1]
    members: Sequence[tuple[int, int, int]] = [
        (int(count), member.facts().dimension or 0, new)
        for member, count in zip(collection.members, collection.counts, strict=True)
    ]
    return Work(stored_bytes, members)
