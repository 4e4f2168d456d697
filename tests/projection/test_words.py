"""What counts as a word, in scripts with and without spaces between words."""

from __future__ import annotations

import string

import pytest

from lightmigrate.projection.terms.words import count_words, first_words, runs_of, spans_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Migrating, MIGRATION_2 don't", ["migrating", "migration", "2", "don", "t"]),
        ("naïveté_x Straße 한국어 문장", ["naïveté", "x", "straße", "한국어", "문장"]),
        ("自动筛选, A我", ["自动", "动筛", "筛选", "a", "我"]),
        ("Excel2019で自動フィルターを使う", ["excel2019", "自動", "フィルター", "使"]),
        ("すべての列について", ["すべての", "列", "について"]),
        ("らくだ ﾌｨﾙﾀｰ", ["らくだ", "ﾌｨﾙﾀｰ"]),
        ("ภาษาไทย ok ไม่", ["ภาษ", "าษา", "ษาไ", "าไท", "ไทย", "ok", "ไม่"]),
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs do not end a word
        ("العَرَبِيَّة العربية כּתוֹב", ["العربية", "العربية", "כתוב"]),  # signs that may be left out
        ("cafe\u0301 ❤\ufe0f", ["cafe\u0301"]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("text", "count"),
    [("three words here", 3), ("自动筛选", 2), ("自动筛选 ok", 3), ("ภาษาไทยไม่", 2), ("  ", 0)],
)
def test_words_as_a_reader_counts_them(text: str, count: int) -> None:
    assert count_words(text) == count


@pytest.mark.parametrize("between", [*string.whitespace, "\x1c", "\x1f", "\x00", "\x7f", "-", "_"])
def test_words_are_counted_alike_with_and_without_other_letters(between: str) -> None:
    text = f"a{between}b {between}"
    assert spans_of(text) == spans_of(text + " é")[: len(spans_of(text))]
    assert count_words(text) == count_words(text + " é") - 1 == len(spans_of(text))


def test_the_rest_of_a_text_is_not_needed_for_its_first_words() -> None:
    assert spans_of("one two  three", 2) == spans_of("one two  three")[:2] == [(0, 3), (4, 7)]
    assert spans_of("one", 2) == spans_of("one")


def test_a_part_of_a_text_by_words() -> None:
    assert first_words("one two  three four", 2) == "one two"
    assert first_words("one two  three four", 2, 1) == "two  three"
    assert first_words("自动筛选 ok", 2, 1) == "筛选 ok"
    assert first_words("one", 5) == "one"
    assert first_words(" ", 5) == ""


def test_what_earlier_projections_read_stays_what_it_was() -> None:
    assert runs_of("自动筛选, A我 don't") == ["自动筛选", "a我", "don", "t"]
