"""The gate's judgement of projected calibration documents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightmigrate.quality.gate import Gate, Thresholds, gate
from lightmigrate.training.embedded import EmbeddedData
from lightmigrate.training.request import EmbeddingRequest
from lightmigrate.vectors import Metric, Vectors


@dataclass(frozen=True)
class Judge:
    """Judges predictions for documents that were left out of the fit.

    Attributes:
        embedded: the documents and queries in both spaces.
        request: they were embedded for.
        collection_size: number of documents that they represent.
        metric: the distance to judge by.
        thresholds: of the gate; its own when `None`.
        seed: of every random choice.
    """

    embedded: EmbeddedData
    request: EmbeddingRequest
    collection_size: int
    metric: Metric
    thresholds: Thresholds | None
    seed: int

    def judge(
        self,
        predicted: Vectors,
        rows: npt.NDArray[np.int64],
        exact_share: float = 0.0,
        collection_size: int | None = None,
    ) -> Gate:
        """Judge by some documents, and by the sentences taken from them or all queries of users.

        Args:
            predicted: `(n, d_out)`, projections of these documents by fits that have not seen them.
            rows: of these documents, int64 `(n,)` in ascending order.
            exact_share: share of the collection, in [0, 1], that is not projected but embedded.
            collection_size: number of documents that these represent; by default that of all.
        """
        embedded, request = self.embedded, self.request
        queries, taken_from = np.arange(len(request.queries)), None
        if request.query_rows is not None:
            query_rows = np.asarray(request.query_rows, dtype=np.int64)
            queries = np.flatnonzero(np.isin(query_rows, rows))
            taken_from = np.searchsorted(rows, query_rows[queries]).tolist()
        return gate(
            true=embedded.new[rows],
            projected=predicted,
            queries=embedded.new_queries[queries],
            taken_from=taken_from,
            collection_size=self.collection_size if collection_size is None else collection_size,
            metric=self.metric,
            old=embedded.old[rows],
            old_queries=embedded.old_queries[queries] if embedded.old_queries is not None else None,
            exact_share=exact_share,
            thresholds=self.thresholds,
            seed=self.seed,
        )
