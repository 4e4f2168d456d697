"""From texts to the rows of their known stems."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from lightmigrate.projection.terms.ascii_stems import AsciiStems, Numbers
from lightmigrate.projection.terms.base import Texts
from lightmigrate.projection.terms.words import STEM_LETTERS

# The most tokens in the cache, about 20 MB, and the longest of them: a text without spaces is one token.
MOST_REMEMBERED = 100_000
LONGEST_REMEMBERED = 32

# Fewer texts are read token by token, and so is a text of which more than one letter in so many is not ASCII: NumPy's
# calls would take longer.
FEWEST_AT_ONCE = 12
ASCII_FOR_EACH_OTHER = 100


class StemRows:
    """Finds the rows of known stems: ASCII words with NumPy, all other tokens one by one, with a cache.

    Args:
        stems: their rows.
        words_of: takes a text apart into words; ASCII text at everything but letters and digits.
    """

    def __init__(self, stems: Mapping[str, int], words_of: Callable[[str], list[str]]) -> None:
        self._stems = stems
        self._tokens = _Tokens(stems, words_of)

    @functools.cached_property
    def _ascii(self) -> AsciiStems:
        return AsciiStems(self._stems)

    def of(self, texts: Texts) -> tuple[Numbers, Numbers]:
        """The rows of all known stems of n texts, as often as they occur, in any order.

        Returns:
            the number of the text of each row, int64 `(k,)`; the rows, int64 `(k,)`.
        """
        if len(texts) < FEWEST_AT_ONCE:
            return _joined((number, self._tokens.of(text)) for number, text in enumerate(texts) if text)
        encoded = [(text or "").encode("utf-8", "surrogatepass") for text in texts]
        by_token = []
        for number, text in enumerate(texts):
            if text and len(encoded[number]) - len(text) > len(text) / ASCII_FOR_EACH_OTHER:
                encoded[number] = b""
                by_token.append((number, self._tokens.of(text)))
        of_text, rows, others = self._ascii.of(encoded)
        by_token += [(number, self._tokens[token.decode("utf-8", "surrogatepass")]) for number, token in others]
        of_more, more = _joined(by_token)
        return np.concatenate([of_text, of_more]), np.concatenate([rows, more])


def _joined(found: Iterable[tuple[int, bytes]]) -> tuple[Numbers, Numbers]:
    """The number of the text of each row, and the rows, from numbers of texts and rows as bytes."""
    pairs = list(found)
    numbers = np.array([number for number, _ in pairs], dtype=np.int64)
    counts = [len(rows) // np.dtype(np.int32).itemsize for _, rows in pairs]
    rows = np.frombuffer(b"".join([rows for _, rows in pairs]), dtype=np.int32)
    return np.repeat(numbers, counts), rows.astype(np.int64)


class _Tokens(dict[str, bytes]):
    """A cache: token to the rows of its known stems. A token is a run without white space, such as `(p53-dependent)`.

    The rows are the bytes of int32 numbers: joining bytes is the fastest way from many tokens to one array.

    Tokens are cached because splitting them into words is slow. White space separates words and does not change how
    letters are lower-cased, so the words of a text are the words of its tokens.
    """

    def __init__(self, stems: Mapping[str, int], words_of: Callable[[str], list[str]]) -> None:
        self.stems = stems
        self.words_of = words_of

    def __missing__(self, token: str) -> bytes:
        stems = (word[:STEM_LETTERS] for word in self.words_of(token))
        rows = np.array([self.stems[stem] for stem in stems if stem in self.stems], dtype=np.int32).tobytes()
        if len(token) <= LONGEST_REMEMBERED:
            if len(self) >= MOST_REMEMBERED:
                self.clear()
            self[token] = rows
        return rows

    def of(self, text: str) -> bytes:
        """The rows of all known stems of a text, in order."""
        return b"".join(map(self.__getitem__, text.split()))
