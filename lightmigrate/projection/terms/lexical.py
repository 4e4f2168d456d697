"""The lexical term: a linear function of the words of the stored text.

A function of the old vector alone cannot restore what the old model dropped; the words of the text hold part of it.
The term is linear in the words, so applying it is a look-up in one table: `y += Σ_stem tfidf(stem)·U[stem]`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import ProjectionFileError
from lightmigrate.projection.terms.base import Array, Scale, Texts, matrix, times
from lightmigrate.projection.terms.stem_rows import StemRows
from lightmigrate.projection.terms.words import STEM_LETTERS, runs_of, words_of
from lightmigrate.vectors import Vectors

# How texts are taken apart, by the number that a file names: a table is only good for the words it was fitted to.
_WORDS: Mapping[int, Callable[[str], list[str]]] = {1: runs_of, 2: words_of}
WORDS = 2

# Texts whose weights are computed at once: enough to make the overhead of NumPy's calls small.
BLOCK_TEXTS = 256


def stems_of(text: str) -> Counter[str]:
    """How often each stem occurs in a text: its words, cut to five letters."""
    return Counter([word[:STEM_LETTERS] for word in words_of(text)])


def rarity(counts: npt.NDArray[np.float64], documents: int) -> Vectors:
    """The inverse document frequency of stems: `1 + ln((1 + documents) / (1 + documents with the stem))`."""
    return (1 + np.log((1 + documents) / (1 + counts))).astype(np.float32)


class Weights(NamedTuple):
    """The non-zero TF-IDF weights of n texts, a sparse matrix `(n, stems)`, text by text.

    Attributes:
        ends: the end of each text's range in `rows` and `values`, int64 `(n,)`.
        rows: the stems, as row numbers of the vocabulary, int64 `(k,)`.
        values: float32 `(k,)`.
    """

    ends: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    values: Vectors


@dataclass(frozen=True)
class Vocabulary:
    """The known stems and their weights.

    `tfidf = (1 + ln count) · rarity`, each document's row scaled to length 1 (Salton and Buckley 1988).

    Attributes:
        stems: in alphabetical order.
        rarities: see `rarity`, float32 `(stems,)`.
        words: how texts are taken apart: 2 as `words_of` does, 1 as projections read texts that were fitted before.
    """

    stems: tuple[str, ...]
    rarities: Vectors
    words: int = WORDS
    _rows: StemRows = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.rarities.shape != (len(self.stems),):
            raise ValueError(f"{len(self.stems)} stems and {self.rarities.shape} rarities do not fit")
        if self.words not in _WORDS:
            raise ValueError(f"words {self.words} are unknown, this lightmigrate reads up to {WORDS}")
        rows = StemRows({stem: row for row, stem in enumerate(self.stems)}, _WORDS[self.words])
        object.__setattr__(self, "_rows", rows)

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> Vocabulary:
        """The stems of some documents, without those in only one document or in more than half."""
        documents = [stems_of(text) for text in texts if text]
        frequencies = Counter(stem for stems in documents for stem in stems)
        kept = sorted(stem for stem, count in frequencies.items() if 2 <= count <= max(2, len(documents) / 2))
        counts = np.array([frequencies[stem] for stem in kept], dtype=np.float64)
        return cls(tuple(kept), rarity(counts, len(documents)))

    def tfidf(self, texts: Texts) -> Weights:
        """The weights of n texts; none for a text that is `None`, empty, or made of unknown stems."""
        of_text, rows = self._rows.of(texts)
        size = max(1, len(self.stems))
        cells = of_text * size + rows
        distinct, counts = np.unique(cells, return_counts=True)
        of_text, rows = np.divmod(distinct, size)
        values = (1 + np.log(counts.astype(np.float32))) * self.rarities[rows]
        lengths = np.sqrt(np.bincount(of_text, values**2, len(texts))).astype(np.float32)
        return Weights(np.searchsorted(of_text, np.arange(len(texts)), "right"), rows, values / lengths[of_text])

    def dense(self, texts: Texts) -> Vectors:
        """The weights of n texts as a dense matrix, float32 `(n, stems)`."""
        output = np.zeros((len(texts), len(self.stems)), dtype=np.float32)
        for first in range(0, len(texts), BLOCK_TEXTS):
            ends, rows, values = self.tfidf(texts[first : first + BLOCK_TEXTS])
            output[first + np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0)), rows] = values
        return output


@dataclass(frozen=True)
class Lexical:
    """`Σ_stem tfidf(stem)·U[stem]` over the stems of the stored text.

    Attributes:
        vocabulary: the stems and their weights.
        table: U, float32 `(stems, d_out)`.
        source_dimension: d_in; the vectors themselves are not used.
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
        """The term's value for each text; zero for records without a text, and for all when no texts are given."""
        output = np.zeros((len(vectors), self.shape[1]), dtype=np.float32)
        for first in range(0, len(texts or ()), BLOCK_TEXTS):
            self._add(output[first : first + BLOCK_TEXTS], (texts or ())[first : first + BLOCK_TEXTS])
        return output

    def _add(self, output: Vectors, texts: Texts) -> None:
        """Write the values for n texts to `output`, zeros `(n, d_out)`."""
        ends, rows, values = self.vocabulary.tfidf(texts)
        # One buffer for the table's rows of a text, which stays in the processor's cache.
        gathered = np.empty((int(np.diff(ends, prepend=0).max(initial=0)), self.shape[1]), dtype=np.float32)
        start = 0
        for row, end in enumerate(ends.tolist()):
            if end > start:
                own = self.table.take(rows[start:end], axis=0, out=gathered[: end - start], mode="clip")
                np.matmul(values[start:end], own, out=output[row])
            start = end

    def scaled(self, by: Scale) -> Lexical:
        """The same term with its output multiplied by a number, or from the right by a matrix `(d_out, d_out)`."""
        return Lexical(self.vocabulary, times(self.table, by), self.source_dimension)

    def arrays(self) -> Mapping[str, Array]:
        """`stems` (UTF-8, one per line), `rarities`, `table`, `source_dimension`, `words`."""
        return {
            "stems": np.frombuffer("\n".join(self.vocabulary.stems).encode(), dtype=np.uint8),
            "rarities": self.vocabulary.rarities[None, :],
            "table": self.table,
            "source_dimension": np.array([self.source_dimension]),
            "words": np.array([self.vocabulary.words]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Lexical:
        """The term with these `arrays`; `ProjectionFileError` when they are inconsistent."""
        rarities, table = (matrix(arrays, name, cls.kind) for name in ("rarities", "table"))
        try:
            encoded = arrays["stems"].tobytes().decode()
            stems = tuple(encoded.split("\n")) if encoded else ()
            words = int(arrays["words"][0]) if "words" in arrays else 1
            return cls(Vocabulary(stems, rarities[0], words), table, int(arrays["source_dimension"][0]))
        except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
            raise ProjectionFileError(
                f"the lexical term is inconsistent: {error}; train the projection again"
            ) from None
