"""What a projection is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import LightmigrateError
from lightmigrate.projection.terms.extract_rule import DocumentFrequencies, ExtractKind, ExtractRule, described
from lightmigrate.training.frequent_words import FrequentWords
from lightmigrate.vectors import Metric, Vectors


@dataclass(frozen=True)
class CalibrationData:
    """Documents to calibrate on, and what belongs to them.

    Attributes:
        texts: K different documents.
        vectors: their stored vectors, float32 `(K, d_in)`; `None` when the old model has to embed them.
        words: the frequent words of all documents of the collection; `None` for a projection that reads no texts.
        frequencies: in how many documents of the collection its words occur, for extracts of rare words; `None` when
            nobody counted them.
        collection_size: number of documents that these K represent.
        about: facts for the projection's header: where the documents are from.
        queries: queries of users. The gate judges by them. Without any, it judges by sentences of the documents, which
            predict less well what users will find.
        extract_texts: M more documents, of which the new model embeds only an extract, if it embeds extracts at all.
        extract_vectors: their stored vectors, float32 `(M, d_in)`.
        metric: the distance of the collection, in which the projection is judged; cosine where there is none.
        representative: how many of the documents, the first ones, stand for all of the collection: only sentences of
            these judge. By default all do; see `shorter_first`.
        positions: the place of each of the K documents in a scan of what they are from, int64 `(K,)`; `None` when
            they are not from collections.
    """

    texts: Sequence[str]
    vectors: Vectors | None
    words: FrequentWords | None
    collection_size: int
    about: Mapping[str, Any] = field(default_factory=dict)
    queries: Sequence[str] = ()
    extract_texts: Sequence[str] = ()
    extract_vectors: Vectors | None = None
    metric: Metric = "cosine"
    positions: npt.NDArray[np.int64] | None = None
    frequencies: DocumentFrequencies | None = None
    representative: int | None = None

    @property
    def judging(self) -> int:
        """Number of documents, the first ones, whose sentences judge."""
        return len(self.texts) if self.representative is None else min(self.representative, len(self.texts))

    def extract_rule(self, kind: ExtractKind, words: int) -> ExtractRule:
        """Extracts of a kind, of so many words, for the documents of the collection.

        Raises:
            LightmigrateError: rare words are asked for, and nobody counted the words of the collection.
        """
        if kind == "first":
            return ExtractRule(words)
        if self.frequencies is None:
            raise LightmigrateError(
                f"extracts of the {described(kind, words)} need to know how rare words are: give frequencies= with the "
                "texts, or use extract_kind='first'"
            )
        return ExtractRule(words, kind, self.frequencies)

    def first(self, documents: int, extracts: int = 0) -> CalibrationData:
        """Calibrate on the first `documents` only, and use extracts of `extracts` of those after them, short and long.

        So are the extracts of the first half of these.
        """
        left = max(0, len(self.texts) - documents)
        spread = documents + np.arange(min(extracts, left)) * left // max(1, min(extracts, left))
        others = np.concatenate([spread[::2], spread[1::2]])
        return replace(
            self,
            texts=self.texts[:documents],
            vectors=None if self.vectors is None else self.vectors[:documents],
            about={**self.about, "chosen": documents},
            extract_texts=[self.texts[row] for row in others.tolist()],
            extract_vectors=None if self.vectors is None else self.vectors[others],
            positions=None if self.positions is None else self.positions[:documents],
        )

    def shorter_first(self, representative: int | None) -> CalibrationData:
        """The same with the other documents from the shortest to the longest, after the representative ones.

        A short document teaches nearly as much as a long one and costs less: the same tokens buy up to twice as many
        documents as at random, and more of what searches find is as after embedding everything
        (`benchmarks/results/short_documents.md`). Those of less than half the usual length, as a "thank you" among
        messages, are no better than others of up to that length.

        Args:
            representative: how many documents stay first, in their order; `None` leaves all as they are.
        """
        if representative is None:
            return self
        lengths = np.array([len(text) for text in self.texts])
        shortness = np.maximum(lengths, np.median(lengths) / 2)[representative:]
        order = np.concatenate([np.arange(representative), representative + np.argsort(shortness, kind="stable")])
        return replace(
            self,
            texts=[self.texts[row] for row in order.tolist()],
            vectors=None if self.vectors is None else self.vectors[order],
            positions=None if self.positions is None else self.positions[order],
            representative=representative,
        )

    def with_words(self, most: int) -> CalibrationData:
        """The same with at most so many frequent words."""
        return self if self.words is None else replace(self, words=self.words.first(most))

    def without(self, texts: AbstractSet[str], rows: AbstractSet[int]) -> CalibrationData:
        """Without some texts, because a model refuses them.

        Args:
            texts: left out wherever they are: documents, queries of users, words.
            rows: more calibration documents to leave out, by row.
        """
        kept = [row for row, text in enumerate(self.texts) if text not in texts and row not in rows]
        more = [row for row, text in enumerate(self.extract_texts) if text not in texts]
        return replace(
            self,
            texts=[self.texts[row] for row in kept],
            vectors=None if self.vectors is None else self.vectors[kept],
            words=None if self.words is None else self.words.without(texts),
            about={**self.about, "chosen": len(kept)},
            queries=[query for query in self.queries if query not in texts],
            extract_texts=[self.extract_texts[row] for row in more],
            extract_vectors=None if self.extract_vectors is None else self.extract_vectors[more],
            positions=None if self.positions is None else self.positions[kept],
            representative=None if self.representative is None else sum(row < self.judging for row in kept),
        )

    def without_texts(self) -> CalibrationData:
        """The same for a projection that reads no texts."""
        return replace(self, words=None)
