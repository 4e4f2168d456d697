"""What a route takes: the model's time for its texts, and the time to write the new vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.budget.text_count import TextCount
from lightmigrate.migration.duration import Work, seconds_to_write
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.routes.route import Kind, Route
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.training.model_speed import ModelSpeed, measure_speed


@dataclass(frozen=True)
class Costs:
    """What routes to one model take for some collections.

    Attributes:
        provider: the new model.
        count: the texts of the collections.
        speed: of the model.
        writing_seconds: to build, verify and exchange the new database, with new indexes.
    """

    provider: Cached
    count: TextCount
    speed: ModelSpeed
    writing_seconds: float

    @classmethod
    def measure(cls, collection: JoinedCollections, provider: Cached, stored_bytes: int = 0) -> Costs:
        """Count the texts, and measure the model on a few of them. Calls the model; only reads.

        Args:
            collection: the open collections as one, with their embedded texts.
            provider: the new model.
            stored_bytes: of the folder that a migration copies; 0 for an open database.
        """
        count = TextCount.of(collection, provider)
        speed = measure_speed(provider, count.some_missing)
        return cls(provider, count, speed, seconds_to_write(_work(collection, provider, stored_bytes))[1])

    def embedding_seconds(self) -> float:
        """How long the model takes for all texts that are not in its cache."""
        return self.speed.seconds(self.count.missing_texts, self.count.missing_tokens)

    def everything(self, expected: QualityEstimate) -> Route:
        """The route that embeds every text."""
        count = self.count
        return self.route(
            "everything", f"embed all {count.texts:,}", count.missing_texts, count.missing_tokens, expected, True
        )

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
        seconds = self.speed.seconds(texts, tokens) + fitting_seconds + self.writing_seconds
        exact_tokens, exact_seconds = tokens, seconds
        if kind != "everything":
            # what is learned from stays exact, sentences and extracts are extra: at least the rest, at most everything
            documents = 0 if setting is None else setting.documents
            share = max(0.0, 1 - documents / max(1, self.count.texts))
            rest = round(share * self.count.missing_tokens)
            exact_tokens += rest
            exact_seconds += self.speed.seconds(round(share * self.count.missing_texts), rest)
        return Route(
            kind=kind,
            description=description,
            texts=texts,
            tokens=tokens,
            dollars=self.provider.priced(tokens).dollars,
            seconds=seconds,
            exact_seconds=exact_seconds,
            exact_dollars=self.provider.priced(exact_tokens).dollars,
            expected=expected,
            measured=measured,
            setting=setting,
        )


def _work(collection: JoinedCollections, provider: Cached, stored_bytes: int) -> Work:
    new = provider.model.dimension
    members: Sequence[tuple[int, int, int]] = [
        (int(count), member.facts().dimension or 0, new)
        for member, count in zip(collection.members, collection.counts, strict=True)
    ]
    return Work(stored_bytes, members)
