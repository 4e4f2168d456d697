"""The size of a collection, and the tokens that embedding it would take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from lightmigrate.migration.digest import Digest
from lightmigrate.projection.terms.extract_rule import ExtractKind, ExtractRule
from lightmigrate.providers.base import Provider
from lightmigrate.results import Result
from lightmigrate.stores.joined import Readable
from lightmigrate.training.collection_sample import PAGE_ROWS
from lightmigrate.training.request import tokens_of
from lightmigrate.training.seen_texts import SeenTexts


@dataclass(frozen=True)
class CollectionSize(Result):
    """A collection when it was counted.

    Attributes:
        records: all of them.
        texts: records that store a text.
        tokens: estimated tokens of all different texts, the model's prefix included: a text that is stored several
            times is embedded once.
        extract_tokens: estimated tokens of the extracts of all different texts, by their kind and length in words.
        short_texts: number of texts that are no longer than their extract, by its length in words: their extract makes
            them exact.
        content_sha256: digest of the records without their vectors, in whatever order.
        dimension: of the vectors.
        different_texts: number of different texts; 0 where nobody counted them.
    """

    records: int
    texts: int
    tokens: int
    extract_tokens: Mapping[ExtractKind, Mapping[int, int]]
    short_texts: Mapping[int, int]
    content_sha256: str
    dimension: int
    different_texts: int = 0

    @classmethod
    def of(
        cls,
        collection: Readable,
        provider: Provider,
        lengths: Sequence[int],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> CollectionSize:
        """Count an open collection, or several as one, in one pass; only reads, calls no model.

        Args:
            collection: an open collection.
            provider: the new model, whose prefix counts.
            lengths: lengths of extracts, in words, to count the tokens of for first words; for other kinds see
                `with_extracts`.
            progress: called with the number of records read, and of all.
        """
        digest, records, texts, tokens, dimension = Digest(), 0, 0, 0, 0
        rules = [ExtractRule(words) for words in lengths]
        extract_tokens, short_texts = dict.fromkeys(lengths, 0), dict.fromkeys(lengths, 0)
        seen = SeenTexts()
        total = collection.count()
        for page in collection.scan(PAGE_ROWS):
            digest.add(page)
            records, dimension = records + len(page), page.vectors.shape[1]
            stored = [text for text in page.texts if text and text.strip()]
            texts += len(stored)
            for rule in rules:
                short_texts[rule.words] += sum(rule.of(text) == text for text in stored)
            different = list(seen.new(stored).values())
            tokens += tokens_of(provider, different)
            for rule in rules:
                extract_tokens[rule.words] += tokens_of(provider, [rule.of(text) for text in different])
            progress(records, total)
        by_kind: dict[ExtractKind, Mapping[int, int]] = {"first": extract_tokens}
        return cls(records, texts, tokens, by_kind, short_texts, digest.content, dimension, len(seen))

    def with_extracts(
        self,
        collection: Readable,
        provider: Provider,
        rules: Sequence[ExtractRule],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> CollectionSize:
        """The same with the tokens of more extracts, counted in one more pass; only reads, calls no model.

        Args:
            collection: that was counted.
            provider: as it was counted for.
            rules: make the extracts to count.
            progress: called with the number of records read, and of all.
        """
        tokens = dict.fromkeys(rules, 0)
        seen = SeenTexts()
        done, total = 0, collection.count()
        for page in collection.scan(PAGE_ROWS, vectors=False):
            different = list(seen.new(text for text in page.texts if text and text.strip()).values())
            for rule in rules:
                tokens[rule] += tokens_of(provider, [rule.of(text) for text in different])
            progress(done := done + len(page), total)
        by_kind = {kind: dict(lengths) for kind, lengths in self.extract_tokens.items()}
        for rule, counted in tokens.items():
            by_kind.setdefault(rule.kind, {})[rule.words] = counted
        return replace(self, extract_tokens=by_kind)
