"""Which words the new model is asked for."""

from __future__ import annotations

from lightmigrate.training.frequent_words import FrequentWords, WordCounter


def frequent(*texts: str) -> FrequentWords:
    counter = WordCounter()
    for text in texts:
        counter.add(text)
    return counter.frequent()


def test_one_word_for_each_stem_without_the_rarest_and_the_most_frequent() -> None:
    found = frequent("the filters", "the filters hide", "the filtered rows", "the rows hide", "the sheet", "sheet")
    assert dict(zip(found.words, found.counts, strict=True)) == {"filters": 3, "hide": 2, "rows": 2, "sheet": 2}


def test_neighbours_that_are_no_word_are_left_out() -> None:
    # 工作 and 作表 are parts of a word, 表中 is what a particle after it makes.
    found = frequent(
        "工作表中的列",
        "工作表中的行",
        *(f"工作表{word}" for word in "上下左右前后新旧大小"),
        *(f"中{word}" for word in "文国心间东年午学古期秋"),
        *["无"] * 20,
    )
    assert {"工作", "作表"} <= set(found.words)
    assert "表中" not in found.words
