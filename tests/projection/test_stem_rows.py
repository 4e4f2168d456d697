"""Stems are found by NumPy in bytes, or token by token: both give the words of the text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate.projection.terms.ascii_stems import AsciiStems
from lightmigrate.projection.terms.stem_rows import FEWEST_AT_ONCE, StemRows
from lightmigrate.projection.terms.words import STEM_LETTERS, runs_of, words_of
from tests.projection.strategies import examples

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SPACES = (" ", "\n", "\t \r", "\x1f", "\u00a0", "\u2028", "\x85")
WORDS = ("Migrating", "the_cat", "p53-dependent", "a", "\x00b\x7fc", "x" * 50, "ΣΊΣΥΦΟΣ", "naïve", "“quoted”",
         "İstanbul", "\u212aelvin", "e\u0301te", "雪国の自動筛选", "\ud800lone", "--", "aé1", "🙂")  # fmt: skip

tokens = st.sampled_from(WORDS) | st.text(st.sampled_from("aB9_é-"), max_size=7)
texts = st.builds(
    lambda spaces, words, filled: "the cat sat " * filled + "".join(map("".join, zip(words, spaces, strict=False))),
    st.lists(st.sampled_from(SPACES), min_size=9, max_size=9),
    st.lists(tokens, max_size=9),
    st.sampled_from([0, 0, 20]),  # many ASCII words around the others
)


def stems_in(text: str | None, words_of: Callable[[str], list[str]]) -> Counter[str]:
    return Counter(word[:STEM_LETTERS] for word in words_of(text or ""))


@examples
@given(
    some=st.lists(texts | st.none(), max_size=2 * FEWEST_AT_ONCE), split=st.sampled_from([words_of, runs_of]),
    left_out=st.integers(0, 5),
)  # fmt: skip
def test_rows_are_those_of_the_words(some: list[str | None], split: Callable[[str], list[str]], left_out: int) -> None:
    counts = [stems_in(text, split) for text in some]
    stems = sorted({stem for own in counts for stem in own})[left_out:]
    rows_of = StemRows({stem: row for row, stem in enumerate(stems)}, split)
    of_text, rows = rows_of.of(some)
    assert of_text.dtype == rows.dtype == np.int64
    expected = {(text, stem): count for text, own in enumerate(counts) for stem, count in own.items() if stem in stems}
    assert Counter((text, stems[row]) for text, row in zip(of_text.tolist(), rows.tolist(), strict=True)) == expected


def test_a_text_has_the_same_rows_alone_and_among_others() -> None:
    words = [f"word{number:x}" for number in range(200)] + list(WORDS)
    some = [" ".join(words[start::7]) for start in range(30)]
    stems = {stem: row for row, stem in enumerate(sorted(set().union(*(stems_in(text, words_of) for text in some))))}
    rows_of = StemRows(stems, words_of)
    of_text, rows = rows_of.of(some)
    for number, text in enumerate(some):
        assert sorted(rows[of_text == number].tolist()) == sorted(rows_of.of([text])[1].tolist())


@pytest.mark.parametrize("known", [0, 1, 5_000])
def test_many_stems_are_told_apart(known: int) -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, STEM_LETTERS + 1, 12_000)
    drawn = ["".join(LETTERS[letter] for letter in rng.integers(0, len(LETTERS), length)) for length in lengths]
    words = list(dict.fromkeys(drawn))
    stems = {word: row for row, word in enumerate(words[:known])}
    of_text, rows, others = AsciiStems(stems).of([word.encode() for word in words])
    assert of_text.tolist() == rows.tolist() == list(range(known))
    assert not others


def test_stems_that_are_longer_or_not_ascii_do_no_harm() -> None:
    of_text, rows, others = AsciiStems({"naïve": 0, "longer": 1, "": 2, "cat\0": 4, "cat": 3}).of(
        [b"Cat longer", "naïve".encode()]
    )
    assert (of_text.tolist(), rows.tolist(), others) == ([0], [3], [(1, "naïve".encode())])
