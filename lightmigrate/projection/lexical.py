"""The lexical term: what the words of the stored text add to what the old vector knew.

A map of the old vector alone can keep only what the old model saw. The text is still there, and the words
in it carry what was lost. Linear in the words, so at run time it is one table: `y += Σ_stem tfidf(stem)·U[stem]`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import ProjectionFileError
from lightmigrate.projection.term import Array, Scale, Texts, matrix, times
from lightmigrate.projection.vectors import Vectors

_WORD = re.compile(r"[^\W_]+")

# The same for text that is all ASCII, at a quarter of the time: everything else becomes a space.
_ASCII = "".join(chr(code) if chr(code).isalnum() else " " for code in range(128))

# Words that share their first five letters count as one: a stemmer for any language that writes with letters.
STEM_LETTERS = 5

# Tokens whose rows are remembered, twenty megabytes of them, and the longest: a text without spaces is one token.
MOST_REMEMBERED = 100_000
LONGEST_REMEMBERED = 32

# Texts whose weights are computed at once: enough that NumPy's calls hardly count.
BLOCK_TEXTS = 256


def words_of(text: str) -> list[str]:
    """The words of a text in order: lower-cased runs of letters and digits."""
    text = text.lower()
    return text.translate(_ASCII).split() if text.isascii() else _WORD.findall(text)


def stems_of(text: str) -> Counter[str]:
    """How often each stem occurs in a text: its words, cut to five letters."""
    return Counter([word[:STEM_LETTERS] for word in words_of(text)])


def rarity(counts: npt.NDArray[np.float64], documents: int) -> Vectors:
    """How much it says that a document has a stem: `1 + ln((1 + documents) / (1 + documents with the stem))`."""
    return (1 + np.log((1 + documents) / (1 + counts))).astype(np.float32)


class _Rows(dict[str, bytes]):
    """The rows of the known stems in a token, which is what stands between white space: `(p53-dependent)` has two.

    They are the bytes of int32 numbers, because joining bytes is the fastest way from many tokens to one array.

    Tokens are remembered, because finding words and cutting them is slow. No word reaches over white space, and no
    letter's lower case depends on what is beyond it, so that a text's words are those of its tokens.
    """

    def __init__(self, stems: Mapping[str, int]) -> None:
        self.stems = stems

    def __missing__(self, token: str) -> bytes:
        stems = (word[:STEM_LETTERS] for word in words_of(token))
        rows = np.array([self.stems[stem] for stem in stems if stem in self.stems], dtype=np.int32).tobytes()
        if len(token) <= LONGEST_REMEMBERED:
            if len(self) >= MOST_REMEMBERED:
                self.clear()
            self[token] = rows
        return rows

    def of(self, text: str) -> bytes:
        """The rows of all known stems of a text, in order."""
        return b"".join(map(self.__getitem__, text.split()))


class Weights(NamedTuple):
    """What is not zero in the matrix `(n, stems)` of the weights of n texts, text by text.

    Attributes:
        ends: where each text's part of the others ends, int64 `(n,)`.
        rows: the stems, as row numbers of the vocabulary, int64 `(k,)`.
        values: float32 `(k,)`.
    """

    ends: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    values: Vectors


@dataclass(frozen=True)
class Vocabulary:
    """The stems that count, and how much.

    `tfidf = (1 + ln count) · rarity`, each document's row scaled to length 1 (Salton and Buckley 1988).

    Attributes:
        stems: in alphabetical order.
        rarities: see `rarity`, float32 `(stems,)`.
    """

    stems: tuple[str, ...]
    rarities: Vectors
    _rows: _Rows = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.rarities.shape != (len(self.stems),):
            raise ValueError(f"{len(self.stems)} stems and {self.rarities.shape} rarities do not fit")
        object.__setattr__(self, "_rows", _Rows({stem: row for row, stem in enumerate(self.stems)}))

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> Vocabulary:
        """The stems of some documents, but those in only one of them or in more than half."""
        documents = [stems_of(text) for text in texts if text]
        found = Counter(stem for stems in documents for stem in stems)
        kept = sorted(stem for stem, count in found.items() if 2 <= count <= max(2, len(documents) / 2))
        counts = np.array([found[stem] for stem in kept], dtype=np.float64)
        return cls(tuple(kept), rarity(counts, len(documents)))

    def tfidf(self, texts: Texts) -> Weights:
        """The weights of n texts; none for a text that is `None`, empty, or made of unknown stems."""
        found = [self._rows.of(text or "") for text in texts]
        of_text = np.repeat(np.arange(len(texts)), [len(rows) // np.dtype(np.int32).itemsize for rows in found])
        size = max(1, len(self.stems))
        cells = of_text * size + np.frombuffer(b"".join(found), dtype=np.int32)
        distinct, counts = np.unique(cells, return_counts=True)
        of_text, rows = np.divmod(distinct, size)
        values = (1 + np.log(counts.astype(np.float32))) * self.rarities[rows]
        lengths = np.sqrt(np.bincount(of_text, values**2, len(texts))).astype(np.float32)
        return Weights(np.searchsorted(of_text, np.arange(len(texts)), "right"), rows, values / lengths[of_text])

    def dense(self, texts: Texts) -> Vectors:
        """The weights of n texts as a whole matrix, float32 `(n, stems)`."""
        output = np.zeros((len(texts), len(self.stems)), dtype=np.float32)
        ends, rows, values = self.tfidf(texts)
        output[np.repeat(np.arange(len(texts)), np.diff(ends, prepend=0)), rows] = values
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
        for first in range(0, len(texts or ()), BLOCK_TEXTS):
            self._add(output[first : first + BLOCK_TEXTS], (texts or ())[first : first + BLOCK_TEXTS])
        return output

    def _add(self, output: Vectors, texts: Texts) -> None:
        """Write the share of n texts to `(n, d_out)`, zeros so far."""
        ends, rows, values = self.vocabulary.tfidf(texts)
        # the table's rows of one text, gathered in one place that stays in the cache
        gathered = np.empty((int(np.diff(ends, prepend=0).max(initial=0)), self.shape[1]), dtype=np.float32)
        start = 0
        for row, end in enumerate(ends.tolist()):
            if end > start:
                own = self.table.take(rows[start:end], axis=0, out=gathered[: end - start], mode="clip")
                np.matmul(values[start:end], own, out=output[row])
            start = end

    def scaled(self, by: Scale) -> Lexical:
        """The same term with all it gives multiplied by a number, or from the right by a matrix `(d_out, d_out)`."""
        return Lexical(self.vocabulary, times(self.table, by), self.source_dimension)

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
