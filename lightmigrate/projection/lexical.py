"""The lexical term: what the words of the stored text add to what the old vector knew.

A map of the old vector alone can keep only what the old model saw. The text is still there, and the words
in it carry what was lost. Linear in the words, so at run time it is one table: `y += Σ_stem tfidf(stem)·U[stem]`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import ProjectionFileError
from lightmigrate.projection.term import Array, Texts, matrix
from lightmigrate.projection.vectors import Vectors

_WORD = re.compile(r"[^\W_]+")

# Words that share their first five letters count as one: a stemmer for any language that writes with letters.
STEM_LETTERS = 5

# Documents put through the table at once; what lies between is (rows, stems that occur in them).
BLOCK_ROWS = 256


def stems_of(text: str) -> Counter[str]:
    """How often each stem occurs in a text: lower-cased runs of letters and digits, cut to five."""
    return Counter([word[:STEM_LETTERS] for word in _WORD.findall(text.lower())])


@dataclass(frozen=True)
class Vocabulary:
    """The stems that count, and how much.

    `tfidf = (1 + ln count) · rarity`, each document's row scaled to length 1 (Salton and Buckley 1988).

    Attributes:
        stems: in alphabetical order.
        rarities: `1 + ln((1 + n) / (1 + documents with the stem))`, float32 `(stems,)`.
    """

    stems: tuple[str, ...]
    rarities: Vectors
    _rows: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.rarities.shape != (len(self.stems),):
            raise ValueError(f"{len(self.stems)} stems and {self.rarities.shape} rarities do not fit")
        object.__setattr__(self, "_rows", {stem: row for row, stem in enumerate(self.stems)})

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> Vocabulary:
        """The stems of some documents, but those in only one of them or in more than half."""
        documents = [stems_of(text) for text in texts if text]
        found = Counter(stem for stems in documents for stem in stems)
        kept = sorted(stem for stem, count in found.items() if 2 <= count <= max(2, len(documents) / 2))
        counts = np.array([found[stem] for stem in kept], dtype=np.float64)
        return cls(tuple(kept), (1 + np.log((1 + len(documents)) / (1 + counts))).astype(np.float32))

    def tfidf(self, texts: Texts) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Vectors]:
        """The weights of n texts, as the non-zero entries of a matrix `(n, stems)`: rows, columns, values.

        A text that is `None`, empty, or made of unknown stems has no entry.
        """
        rows, columns, counts = [], [], []
        known = self._rows
        for row, text in enumerate(texts):
            for stem, count in stems_of(text or "").items():
                column = known.get(stem)
                if column is not None:
                    rows.append(row)
                    columns.append(column)
                    counts.append(count)
        at, stem_rows = np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64)
        values = (1 + np.log(np.array(counts, dtype=np.float32))) * self.rarities[stem_rows]
        lengths = np.sqrt(np.bincount(at, weights=values**2, minlength=len(texts)))
        return at, stem_rows, (values / lengths[at]).astype(np.float32)

    def dense(self, texts: Texts) -> Vectors:
        """The same as a whole matrix, float32 `(n, stems)`."""
        rows, columns, values = self.tfidf(texts)
        output = np.zeros((len(texts), len(self.stems)), dtype=np.float32)
        output[rows, columns] = values
        return output


@dataclass(frozen=True)
class Lexical:
    """`Σ_stem tfidf(stem)·U[stem]` over the stems of the stored text.

    Attributes:
        vocabulary: the stems and their weights.
        table: U, float32 `(stems, d_out)`.
        source_dimension: d_in, which this term does not look at.
    """

    vocabulary: Vocabulary
    table: Vectors
    source_dimension: int
    kind: ClassVar[str] = "lexical"

    def __post_init__(self) -> None:
        if len(self.table) != len(self.vocabulary.stems):
            raise ValueError(f"{len(self.vocabulary.stems)} stems and a table of {len(self.table)} rows do not fit")

    @property
    def shape(self) -> tuple[int, int]:
        """`(d_in, d_out)`."""
        return self.source_dimension, self.table.shape[1]

    def apply(self, vectors: Vectors, texts: Texts | None) -> Vectors:
        """The share of the texts; zero for records without a text, and for all when no texts are given."""
        output = np.zeros((len(vectors), self.shape[1]), dtype=np.float32)
        for start in range(0, len(vectors) if texts is not None else 0, BLOCK_ROWS):
            block = texts[start : start + BLOCK_ROWS] if texts is not None else ()
            rows, columns, values = self.vocabulary.tfidf(block)
            # Only the stems that occur in these documents take part in the product.
            used, place = np.unique(columns, return_inverse=True)
            weights = np.zeros((len(block), len(used)), dtype=np.float32)
            weights[rows, place] = values
            np.matmul(weights, self.table[used], out=output[start : start + len(block)])
        return output

    def arrays(self) -> Mapping[str, Array]:
        """`stems` (UTF-8, one a line), `rarities`, `table`, `source_dimension`."""
        return {
            "stems": np.frombuffer("\n".join(self.vocabulary.stems).encode(), dtype=np.uint8),
            "rarities": self.vocabulary.rarities[None, :],
            "table": self.table,
            "source_dimension": np.array([self.source_dimension]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Lexical:
        """From what `arrays` gave; `ProjectionFileError` when they do not fit together."""
        rarities, table = (matrix(arrays, name, cls.kind) for name in ("rarities", "table"))
        try:
            encoded = arrays["stems"].tobytes().decode()
            stems = tuple(encoded.split("\n")) if encoded else ()
            return cls(Vocabulary(stems, rarities[0]), table, int(arrays["source_dimension"][0]))
        except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
            raise ProjectionFileError(f"its lexical term contradicts itself: {error}; train it again") from None
