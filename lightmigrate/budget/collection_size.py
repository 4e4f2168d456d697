"""The size of a collection, and the tokens that embedding it would take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lightmigrate.migration.digest import Digest
from lightmigrate.projection.terms.extract import extract_of
from lightmigrate.providers.base import Provider
from lightmigrate.results import Result
from lightmigrate.stores.joined import Readable
from lightmigrate.training.collection_sample import PAGE_ROWS
from lightmigrate.training.request import tokens_of
from lightmigrate.training.text_digest import text_digest


@dataclass(frozen=True)
class CollectionSize(Result):
    """A collection when it was counted.

    Attributes:
        records: all of them.
        texts: records that store a text.
        tokens: estimated tokens of all different texts, the model's prefix included: a text that is stored several
            times is embedded once.
        extract_tokens: estimated tokens of the extracts of all different texts, by their length in words.
        short_texts: number of texts that are no longer than their extract, by its length in words: their extract makes
            them exact.
        content_sha256: digest of the records without their vectors, in whatever order.
        dimension: of the vectors.
    """

    records: int
    texts: int
    tokens: int
    extract_tokens: Mapping[int, int]
    short_texts: Mapping[int, int]
    content_sha256: str
    dimension: int

    @classmethod
    def of(
        cls,
        collection: Readable,
        provider: Provider,
        lengths: Sequence[int],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> CollectionSize:
        """Count an open collection, or several as one, in one pass; only reads, calls no model.

        80 bytes are in memory for every different text.

        Args:
            collection: an open collection.
            provider: the new model, whose prefix counts.
            lengths: lengths of extracts, in words, to count the tokens of.
            progress: called with the number of records read, and of all.
        """
        digest, records, texts, tokens, dimension = Digest(), 0, 0, 0, 0
        extract_tokens, short_texts = dict.fromkeys(lengths, 0), dict.fromkeys(lengths, 0)
        seen: set[bytes] = set()
        total = collection.count()
        for page in collection.scan(PAGE_ROWS):
            digest.add(page)
            records, dimension = records + len(page), page.vectors.shape[1]
            stored = [text for text in page.texts if text and text.strip()]
            texts += len(stored)
            for words in lengths:
                short_texts[words] += sum(extract_of(text, words) == text for text in stored)
            by_digest = {text_digest(text): text for text in stored}
            different = [text for key, text in by_digest.items() if key not in seen]
            seen.update(by_digest)
            tokens += tokens_of(provider, different)
            for words in lengths:
                extract_tokens[words] += tokens_of(provider, [extract_of(text, words) for text in different])
            progress(records, total)
        return cls(records, texts, tokens, extract_tokens, short_texts, digest.content, dimension)
