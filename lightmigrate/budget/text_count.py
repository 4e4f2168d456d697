"""What embedding every text of some collections would take, counted in one pass without their vectors."""

from __future__ import annotations

from dataclasses import dataclass, field

from lightmigrate.providers.cache import Cached
from lightmigrate.results import Result
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.training.collection_sample import PAGE_ROWS
from lightmigrate.training.request import tokens_of
from lightmigrate.training.seen_texts import SeenTexts

# Texts kept to measure the speed of a model on: so many of each page.
KEPT_OF_PAGE = 4


@dataclass(frozen=True)
class TextCount(Result):
    """The texts of some collections. Equal texts count once: they are embedded once.

    Attributes:
        records: of all collections.
        without_text: records that have none.
        texts: different texts.
        tokens: estimated tokens of them, the model's prefix included.
        missing_texts: those that are not in the model's cache.
        missing_tokens: estimated tokens of these.
        some_missing: a few of them, from all over.
    """

    records: int
    without_text: int
    texts: int
    tokens: int
    missing_texts: int
    missing_tokens: int
    some_missing: tuple[str, ...] = field(repr=False, compare=False)

    @classmethod
    def of(cls, collection: JoinedCollections, provider: Cached) -> TextCount:
        """Count. Only reads; calls the model once, to see whether its cache is still right."""
        seen = SeenTexts()
        records = without_text = tokens = missing = missing_tokens = 0
        some: list[str] = []
        for page in collection.scan(PAGE_ROWS, vectors=False):
            records += len(page)
            without_text += sum(not (text and text.strip()) for text in page.texts)
            new = list(seen.new(text for text in page.texts if text and text.strip()).values())
            tokens += tokens_of(provider, new)
            left = [text for text, there in zip(new, provider.has(new), strict=True) if not there]
            missing += len(left)
            missing_tokens += tokens_of(provider, left)
            some += left[:: max(1, len(left) // KEPT_OF_PAGE)][:KEPT_OF_PAGE]
        return cls(records, without_text, len(seen), tokens, missing, missing_tokens, tuple(some))

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in super()._names() if name != "some_missing"]
