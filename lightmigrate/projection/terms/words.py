"""The words of a text, in scripts that put spaces between them and in those that do not.

Chinese, Japanese, Thai, Lao, Khmer and Burmese are written without spaces between words. Where there is no dictionary,
neighbouring letters stand for words (McNamee and Mayfield 2004, "Character n-gram tokenization"; Chinese: Kwok 1997):
all pairs in a run of Chinese characters, all threes in a run of Thai and its neighbours. In Japanese the script itself
says where words end: a run of katakana is a word, and so is one of hiragana, unless it is so short and beside other
letters that it is an ending or a particle.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from operator import add

# Letters of scripts without spaces, with the vowel signs among them: Chinese characters; hiragana; katakana; Thai, Lao,
# Burmese and Khmer.
_IDEOGRAPHS = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HIRAGANA = "\u3041-\u309f"
_KATAKANA = "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_SYLLABLES = "\u0e00-\u0e4e\u0e80-\u0eff\u1000-\u103f\u1050-\u109f\u1780-\u17d3"

FEWEST_HIRAGANA = 3

# Words with the same first five letters count as one: a stemmer for all languages with an alphabet.
STEM_LETTERS = 5

# A faster way to find words in ASCII text: everything else becomes a space.
_ASCII = "".join(chr(code) if chr(code).isalnum() else " " for code in range(128))

# As many letters as a word has in the middle, where a number of words is wanted.
_CHINESE_OR_JAPANESE = _IDEOGRAPHS + _HIRAGANA + _KATAKANA
_LETTERS_OF_A_WORD = {_CHINESE_OR_JAPANESE: 2, _SYLLABLES: 5}
_COUNTED_ASCII = re.compile(r"\S+")  # the same where there are no such letters, and faster
_COUNTED = re.compile(
    "|".join(f"[{letters}]{{1,{count}}}" for letters, count in _LETTERS_OF_A_WORD.items())
    + rf"|[^\s{_CHINESE_OR_JAPANESE}{_SYLLABLES}]+"
)


def words_of(text: str) -> list[str]:
    """The words of a text in order: lower-cased runs of letters and digits, or parts of runs without spaces.

    Accents and vowel signs are part of the letter before them; signs that Arabic and Hebrew writers may leave out
    are left out.
    """
    text = text.lower()
    if text.isascii():
        return text.translate(_ASCII).split()
    runs: list[str] = _run().findall(_OPTIONAL.sub("", text.replace("_", " ")))
    return [word for run in runs for word in _parts(run)] if _UNSPACED.search(text) else runs


def _parts(run: str) -> Iterator[str]:
    for found in _KINDS.finditer(run):
        part, kind = found.group(), found.lastgroup
        if kind == "hiragana" and len(part) < FEWEST_HIRAGANA and len(part) < len(run):
            continue
        if kind in (None, "hiragana") or len(part) == 1:
            yield part
        elif kind == "ideographs" or len(part) == 2:
            yield from map(add, part, part[1:])
        else:
            yield from map(add, map(add, part, part[1:]), part[2:])


def pair_of_ideographs(word: str) -> bool:
    """Whether a word is one of the pairs that a run of Chinese characters is taken apart into."""
    return len(word) == 2 and _PAIR.fullmatch(word) is not None


def ideographs_of(text: str) -> set[str]:
    """The different Chinese characters of a text."""
    return set(_IDEOGRAPH.findall(text)) if not text.isascii() else set()


def runs_of(text: str) -> list[str]:
    """The words of a text as projections read it that were fitted before runs were taken apart: `words` 1."""
    text = text.lower()
    return text.translate(_ASCII).split() if text.isascii() else _RUN.findall(text)


def count_words(text: str) -> int:
    """About how many words a reader would count."""
    return len(text.split() if text.isascii() else _COUNTED.findall(text))


def first_words(text: str, count: int, start: int = 0) -> str:
    """The part of a text from word number `start` to the end of word number `start + count`, as a reader counts words.

    Args:
        text: a document.
        count: at least 1; the part ends with the text where it has fewer words.
        start: words that are left out.
    """
    spans = spans_of(text, start + count)[start:]
    return text[spans[0][0] : spans[-1][1]] if spans else ""


def spans_of(text: str, most: int | None = None) -> list[tuple[int, int]]:
    """Where the words of a text begin and end, as a reader counts words: with the signs around them.

    Args:
        text: a document.
        most: of so many first words; what follows them is not read.
    """
    words = (_COUNTED_ASCII if text.isascii() else _COUNTED).finditer(text)
    return [found.span() for found in islice(words, most)]


_RUN = re.compile(r"[^\W_]+")
_IDEOGRAPH, _PAIR = re.compile(f"[{_IDEOGRAPHS}]"), re.compile(f"[{_IDEOGRAPHS}]{{2}}")
_UNSPACED = re.compile(f"[{_CHINESE_OR_JAPANESE}{_SYLLABLES}]")
_KINDS = re.compile(
    f"(?P<ideographs>[{_IDEOGRAPHS}]+)|(?P<hiragana>[{_HIRAGANA}]+)|(?P<syllables>[{_SYLLABLES}]+)"
    f"|[{_KATAKANA}]+|[^{_CHINESE_OR_JAPANESE}{_SYLLABLES}]+"
)

# Vowel signs of Hebrew and Arabic, and the stroke that only makes an Arabic word longer.
_OPTIONAL = re.compile("[\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]+")


@functools.cache
def _run() -> re.Pattern[str]:
    """A letter or digit and what follows: letters, digits, and marks, which Python does not count as letters."""
    marks = "".join(
        re.escape(chr(code)) for code in range(0x300, 0x10000) if unicodedata.category(chr(code)) in ("Mn", "Mc")
    )
    return re.compile(rf"\w[\w{marks}]*")
