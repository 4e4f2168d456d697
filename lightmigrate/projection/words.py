"""The words of a text, in scripts that put spaces between them and in those that do not.

Chinese, Japanese, Thai, Lao, Khmer and Burmese are written without spaces between words. A run of such letters is taken
apart into all pairs of neighbouring letters in Chinese and Japanese, and into all threes in the others: what stands for
words where there is no dictionary (McNamee and Mayfield 2004, "Character n-gram tokenization for European language text
retrieval"; pairs for Chinese: Kwok 1997). A single letter by itself is a word.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from operator import add

# Letters of scripts without spaces: Chinese and Japanese; Thai, Lao, Burmese and Khmer. They hold their vowel signs.
_IDEOGRAPHS = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
_IDEOGRAPHS += "\U00020000-\U0003ffff"
_SYLLABLES = "\u0e00-\u0e4e\u0e80-\u0eff\u1000-\u103f\u1050-\u109f\u1780-\u17d3"

# A faster way to find words in ASCII text: everything else becomes a space.
_ASCII = "".join(chr(code) if chr(code).isalnum() else " " for code in range(128))

# As many letters as a word has in the middle, where a number of words is wanted.
_LETTERS_OF_A_WORD = {_IDEOGRAPHS: 2, _SYLLABLES: 5}
_COUNTED = re.compile(
    "|".join(f"[{letters}]{{1,{count}}}" for letters, count in _LETTERS_OF_A_WORD.items())
    + rf"|[^\s{_IDEOGRAPHS}{_SYLLABLES}]+"
)


def words_of(text: str) -> list[str]:
    """The words of a text in order: lower-cased runs of letters and digits, or the pairs or threes of letters in them.

    Accents and vowel signs are part of the letter before them; signs that Arabic and Hebrew writers may leave out
    are left out.
    """
    text = text.lower()
    if text.isascii():
        return text.translate(_ASCII).split()
    runs: list[str] = _run().findall(text.translate(_OPTIONAL))
    return [word for run in runs for word in _parts(run)] if _UNSPACED.search(text) else runs


def _parts(run: str) -> Iterator[str]:
    for found in _KINDS.finditer(run):
        part = found.group()
        if found.lastgroup is None or len(part) == 1:
            yield part
        elif found.lastgroup == "ideographs" or len(part) == 2:
            yield from map(add, part, part[1:])
        else:
            yield from map(add, map(add, part, part[1:]), part[2:])


def runs_of(text: str) -> list[str]:
    """The words of a text as projections read it that were fitted before runs were taken apart: `words` 1."""
    text = text.lower()
    return text.translate(_ASCII).split() if text.isascii() else _RUN.findall(text)


def count_words(text: str) -> int:
    """About how many words a reader would count."""
    return len(_COUNTED.findall(text))


def first_words(text: str, count: int, start: int = 0) -> str:
    """The part of a text from word number `start` to the end of word number `start + count`, as a reader counts words.

    Args:
        text: a document.
        count: at least 1; the part ends with the text where it has fewer words.
        start: words that are left out.
    """
    spans = [found.span() for found in _COUNTED.finditer(text)][start : start + count]
    return text[spans[0][0] : spans[-1][1]] if spans else ""


_RUN = re.compile(r"[^\W_]+")
_UNSPACED = re.compile(f"[{_IDEOGRAPHS}{_SYLLABLES}]")
_KINDS = re.compile(f"(?P<ideographs>[{_IDEOGRAPHS}]+)|(?P<syllables>[{_SYLLABLES}]+)|[^{_IDEOGRAPHS}{_SYLLABLES}]+")

# Vowel signs of Hebrew and Arabic, and the stroke that only makes an Arabic word longer; an underscore is no letter.
_OPTIONAL: dict[int, str | None] = {ord("_"): " "} | dict.fromkeys(
    (*range(0x591, 0x5C8), *range(0x610, 0x61B), 0x640, *range(0x64B, 0x660), 0x670, *range(0x6D6, 0x6EE))
)


@functools.cache
def _run() -> re.Pattern[str]:
    """A letter or digit and what follows: letters, digits, and marks, which Python does not count as letters."""
    marks = "".join(
        re.escape(chr(code)) for code in range(0x300, 0x10000) if unicodedata.category(chr(code)) in ("Mn", "Mc")
    )
    return re.compile(rf"\w[\w{marks}]*")
