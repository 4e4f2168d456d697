"""How good is a general projection? The gate measures it on families of genres that it was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from general.corpus import FAMILIES, Text
from lightmigrate.projection.space import Space
from lightmigrate.quality.gate import Gate, gate
from lightmigrate.training.sentences import pseudo_queries
from lightmigrate.vectors import Vectors

Rows = npt.NDArray[np.int64]

# Searched for in each family, and documents of each family that are searched in.
QUERIES, DOCUMENTS = 500, 1500

# Pairs for fitting a projection that is only judged.
FITTED = 10_000

# Documents that are searched for have at least so many words: a part of a short one says too little.
FEWEST_WORDS = 12


@dataclass(frozen=True)
class Judgement:
    """Which searches of which documents judge a projection; the same for all pairs of models.

    Attributes:
        rows: of the documents that are searched in, by family.
        queries: sentences of them, by family.
        taken_from: the place among `rows` of the document each sentence is of, by family.
    """

    rows: Mapping[str, Rows]
    queries: Mapping[str, Sequence[str]]
    taken_from: Mapping[str, Sequence[int]]

    @classmethod
    def of(cls, corpus: Sequence[Text], seed: int = 0) -> Judgement:
        """Drawn from a corpus in random order."""
        rows, queries, taken_from = {}, {}, {}
        for family in FAMILIES:
            mine = [row for row, text in enumerate(corpus) if text.family == family]
            long = [row for row in mine if len(corpus[row].text.split()) >= FEWEST_WORDS]
            asked = long[:QUERIES]
            others = [row for row in mine if row not in set(asked)][: DOCUMENTS - len(asked)]
            rows[family] = np.array(asked + others)
            queries[family], taken_from[family] = pseudo_queries(
                [corpus[row].text for row in asked], most=QUERIES, seed=seed
            )
        return cls(rows, queries, taken_from)

    @property
    def all_queries(self) -> list[str]:
        """Every sentence, family by family."""
        return [query for family in FAMILIES for query in self.queries[family]]

    def others(self, corpus: Sequence[Text], family: str) -> Rows:
        """Pairs of all other families, to fit to: `FITTED` of them, because four more fits to all take an hour."""
        return np.array([row for row, text in enumerate(corpus) if text.family != family][:FITTED])


@dataclass(frozen=True)
class Vectorised:
    """One model's vectors: of the corpus, and of the judging sentences by family; and a sketch of its space."""

    documents: Vectors
    queries: Mapping[str, Vectors]
    space: Space | None


def gate_of(judgement: Judgement, old: Vectorised, new: Vectorised, mapped: Mapping[str, Vectors]) -> Gate:
    """What the gate says of some families as one collection.

    Args:
        judgement: what is searched for and in.
        old: by the old model.
        new: by the new model.
        mapped: by family, the rows of `judgement.rows` by a projection that has not seen the family.
    """
    families = list(mapped)
    starts = np.cumsum([0, *(len(judgement.rows[family]) for family in families)]).tolist()
    rows = np.concatenate([judgement.rows[family] for family in families])
    return gate(
        true=new.documents[rows],
        projected=np.vstack(list(mapped.values())),
        queries=np.vstack([new.queries[family] for family in families]),
        taken_from=[
            start + place
            for start, family in zip(starts[:-1], families, strict=True)
            for place in judgement.taken_from[family]
        ],
        old=old.documents[rows],
        old_queries=np.vstack([old.queries[family] for family in families]),
    )
