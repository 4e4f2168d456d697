"""The known stems of many texts at once: NumPy on bytes, where words are ASCII, instead of Python on words.

A stem has at most five letters, so it fits into one whole number of 64 bits, and a table of such numbers is asked for
all words of some texts in a few calls that let other threads run.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from lightmigrate.projection.terms.words import STEM_LETTERS

# What a byte becomes: letters and digits lower-case ones, white space a space, other ASCII a zero, the rest itself.
_SPACE, _FIRST_LETTER, _NOT_ASCII = ord(" "), ord("0"), 128
_BYTES = bytes(
    ord(chr(code).lower()) if chr(code).isalnum() else _SPACE * chr(code).isspace() for code in range(_NOT_ASCII)
) + bytes(range(_NOT_ASCII, 256))

# Of eight bytes as a number, those of a word of so many letters.
_LETTERS = np.array([(1 << 8 * count) - 1 for count in range(STEM_LETTERS + 1)], dtype=np.uint64)
_AFTER = bytes(8)  # so that eight bytes can be read from every letter

# Places of the table for each stem, and the multiplier that spreads numbers over them (Knuth 1973, section 6.4).
_PLACES = 8
_SPREADING = np.uint64(0x9E3779B97F4A7C15)

Numbers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]


class AsciiStems:
    """From bytes to the rows of known stems, for the words of which all letters are ASCII.

    Args:
        stems: their rows; those that are not ASCII are never found.
    """

    def __init__(self, stems: Mapping[str, int]) -> None:
        words = (stem for stem in stems if stem.isascii() and stem.isalnum() and len(stem) <= STEM_LETTERS)
        known = {stem: stems[stem] for stem in words}
        bits = max(1, (len(known) * _PLACES).bit_length())
        self._shift, self._last = np.uint64(64 - bits), np.int64((1 << bits) - 1)
        self._keys = np.zeros(1 << bits, dtype=np.uint64)
        self._rows = np.full(1 << bits, -1, dtype=np.int64)
        keys = np.array([int.from_bytes(stem.encode(), "little") for stem in known], dtype=np.uint64)
        rows = np.array(list(known.values()), dtype=np.int64)
        places = self._first_place(keys)
        while len(keys):  # a stem whose place is taken gets the next one that is free
            taken, first = np.unique(places, return_index=True)
            first = first[self._rows[taken] < 0]
            self._keys[places[first]], self._rows[places[first]] = keys[first], rows[first]
            keys, rows = np.delete(keys, first), np.delete(rows, first)
            places = (np.delete(places, first) + 1) & self._last

    def of(self, texts: list[bytes]) -> tuple[Numbers, Numbers, list[tuple[int, bytes]]]:
        """The rows of the known stems of n texts in UTF-8.

        Returns:
            the number of the text of each row, in order; the rows; and what stands between white space and is not all
            ASCII, of which no rows are among these, with the number of its text.
        """
        starts = np.cumsum([1, *(len(text) + 1 for text in texts)])
        joined = b" ".join([b"", *texts, _AFTER])
        letters = np.frombuffer(joined.translate(_BYTES), dtype=np.uint8)
        others: list[tuple[int, bytes]] = []
        if not joined.isascii():
            letters = letters.copy()
            others = _taken_out(letters, joined, starts)
        first, end = _words(letters)
        places = np.ndarray(len(letters) - len(_AFTER) + 1, "<u8", letters, strides=(1,))
        rows = self._rows_of(places[first] & _LETTERS[np.minimum(end - first, STEM_LETTERS)])
        known = np.flatnonzero(rows >= 0)
        counts = np.diff(np.searchsorted(first[known], starts))
        return np.repeat(np.arange(len(texts), dtype=np.int64), counts), rows[known], others

    def _rows_of(self, keys: Keys) -> Numbers:
        """The row of each key, -1 where it is unknown."""
        places = self._first_place(keys)
        rows = self._rows.take(places)
        wrong = np.flatnonzero((self._keys.take(places) != keys) & (rows >= 0))
        while len(wrong):
            places[wrong] = (places[wrong] + 1) & self._last
            rows[wrong] = self._rows.take(places[wrong])
            wrong = wrong[(self._keys.take(places[wrong]) != keys[wrong]) & (rows[wrong] >= 0)]
        return rows

    def _first_place(self, keys: Keys) -> Numbers:
        return np.asarray((keys * _SPREADING) >> self._shift, dtype=np.int64)


def _words(letters: npt.NDArray[np.uint8]) -> tuple[Numbers, Numbers]:
    """Where words begin and end; the first and the last byte belong to none."""
    inside = letters >= _FIRST_LETTER
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    return edges[0::2], edges[1::2]


def _taken_out(letters: npt.NDArray[np.uint8], joined: bytes, starts: Numbers) -> list[tuple[int, bytes]]:
    """What stands between white space and is not all ASCII, with the number of its text; blank in `letters` then."""
    spaces = np.flatnonzero(letters == _SPACE)
    after = np.unique(np.searchsorted(spaces, np.flatnonzero(letters >= _NOT_ASCII)))
    begins, ends = spaces[after - 1] + 1, spaces[after]
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        letters[begin:end] = 0
    texts = (np.searchsorted(starts, begins, "right") - 1).tolist()
    return [(text, joined[begin:end]) for text, begin, end in zip(texts, begins.tolist(), ends.tolist(), strict=True)]
