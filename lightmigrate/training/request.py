"""What a training asks the embedding models for, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.providers.base import Bill, Provider, estimated_tokens
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.sentences import pseudo_queries

# Sentences that stand in for queries of users. More of them hardly narrow the interval of the estimate.
MOST_SENTENCES = 1000


@dataclass(frozen=True)
class EmbeddingRequest:
    """All texts that the new model has to embed for one training.

    Attributes:
        documents: the calibration documents.
        queries: what the gate searches for: queries of users, or sentences of the documents.
        query_rows: for each sentence the row of its document; `None` for queries of users.
        words: single words; none for a projection that reads no texts.
        extracts: extracts of the calibration documents, then of more documents; none if it embeds no extracts.
    """

    documents: Sequence[str]
    queries: Sequence[str]
    query_rows: Sequence[int] | None
    words: Sequence[str]
    extracts: Sequence[str] = ()

    @classmethod
    def of(
        cls, data: CalibrationData, seed: int = 0, rule: ExtractRule | None = None, sentences: int = MOST_SENTENCES
    ) -> EmbeddingRequest:
        """The request of a training with this data; calls no model.

        Args:
            data: the calibration data.
            seed: of the choice of sentences.
            rule: makes the extracts; `None` for none.
            sentences: at most so many sentences of the documents that judge, when there are no queries of users.
        """
        queries, query_rows = (
            (data.queries, None) if data.queries else pseudo_queries(data.texts[: data.judging], sentences, seed)
        )
        extracts: Sequence[str] = ()
        if rule is not None:
            extracts = [rule.of(text) for text in (*data.texts, *data.extract_texts)]
        return cls(data.texts, queries, query_rows, data.words.words if data.words else (), extracts)

    def __len__(self) -> int:
        return len(self.documents) + len(self.queries) + len(self.words) + len(self.extracts)

    def bill(self, provider: Provider) -> Bill:
        """What it costs; calls no model."""
        return provider.bill([*self.documents, *self.words, *self.extracts], self.queries)


def tokens_of(provider: Provider, documents: Sequence[str], queries: Sequence[str] = ()) -> int:
    """Estimated tokens that a model reads for documents and queries, prefixes included; calls no model."""
    read = estimated_tokens(provider.worded(documents))
    return read + estimated_tokens(provider.worded(queries, queries=True))
