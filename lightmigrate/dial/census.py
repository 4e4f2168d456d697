"""What a collection holds and what embedding it would take: counted in one pass, remembered as digests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lightmigrate.migration.digest import Digest
from lightmigrate.projection.abridged import abridge
from lightmigrate.providers.base import Provider, estimated_tokens
from lightmigrate.results import Result
from lightmigrate.stores.base import Collection

PAGE_ROWS = 1000


@dataclass(frozen=True)
class Census(Result):
    """A collection as it was when it was counted.

    Attributes:
        records: all of them.
        texts: those that store a text.
        tokens: of all texts, estimated, the model's prefix included.
        beginnings: tokens of the first words of all texts, by how many words.
        whole: texts that have no more words than that, by how many words: read with their beginning, they are exact.
        content_sha256: of ids, texts, metadatas and uris, in whatever order.
        dimension: of its vectors.
    """

    records: int
    texts: int
    tokens: int
    beginnings: Mapping[int, int]
    whole: Mapping[int, int]
    content_sha256: str
    dimension: int

    @classmethod
    def of(
        cls,
        collection: Collection,
        provider: Provider,
        lengths: Sequence[int],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Census:
        """Count an open collection; only reads, calls no model.

        Args:
            collection: it.
            provider: the new model, whose prefix counts.
            lengths: numbers of first words to count the tokens of.
            progress: called with the number of records read and of all.
        """
        digest, records, texts, tokens, dimension = Digest(), 0, 0, 0, 0
        beginnings, whole = dict.fromkeys(lengths, 0), dict.fromkeys(lengths, 0)
        total = collection.count()
        for page in collection.pages(PAGE_ROWS):
            digest.add(page)
            records, dimension = records + len(page), page.vectors.shape[1]
            said = [text for text in page.documents if text and text.strip()]
            texts += len(said)
            tokens += tokens_of(provider, said)
            for words in lengths:
                begun = [abridge(text, words) for text in said]
                beginnings[words] += tokens_of(provider, begun)
                whole[words] += sum(one == other for one, other in zip(begun, said, strict=True))
            progress(records, total)
        return cls(records, texts, tokens, beginnings, whole, digest.content, dimension)


def tokens_of(provider: Provider, texts: Sequence[str]) -> int:
    """About how many tokens the model reads of these documents, its prefix included; calls nothing."""
    return estimated_tokens(provider.worded(texts))
