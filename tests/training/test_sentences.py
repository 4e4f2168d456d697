"""Pseudo-queries come from the documents they are said to come from, and are not the documents themselves."""

from __future__ import annotations

from collections import Counter

import pytest

from lightmigrate.demo.data import load_corpus
from lightmigrate.training.sentences import MOST_WORDS, pseudo_queries

TEXTS = list(load_corpus().documents[:100])


@pytest.mark.parametrize(("most", "each"), [(40, 1), (100, 1), (300, 3)])
def test_as_many_of_each_document_as_there_is_room_for(most: int, each: int) -> None:
    sentences, rows = pseudo_queries(TEXTS, most)
    assert len(sentences) == len(rows) <= most
    assert len(set(rows)) == min(most, 100)
    assert max(Counter(rows).values()) == each
    for sentence, row in zip(sentences, rows, strict=True):
        document = " ".join(TEXTS[row].split())
        assert sentence in document
        assert len(sentence) < len(document)
        assert 5 <= len(sentence.split()) <= MOST_WORDS


def test_a_single_sentence_gives_a_part_of_itself() -> None:
    (part,), rows = pseudo_queries(["one two three four five six seven eight"])
    assert rows == [0]
    assert len(part.split()) == 4
    assert pseudo_queries(["two words", "word"], seed=1)[0] != []


def test_the_same_seed_gives_the_same_queries() -> None:
    assert pseudo_queries(TEXTS, 50, seed=3) == pseudo_queries(TEXTS, 50, seed=3) != pseudo_queries(TEXTS, 50, seed=4)


CHINESE = "选择要使用自动筛选的列。选择“数据 - 自动筛选”！组合框箭头显示在所选范围的第一行中？请单击下拉箭头。"
JAPANESE = "オートフィルタを使用する列を選択します。「最初の行に矢印が表示されます。」要素を一つ選択してください。"
THAI = "เลือกคอลัมน์ที่คุณต้องการใช้ตัวกรองอัตโนมัติและลูกศรจะปรากฏในแถวแรกของช่วงที่เลือก"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CHINESE, {"选择要使用自动筛选的列。", "选择“数据 - 自动筛选”！", "组合框箭头显示在所选范围的第一行中？"}),
        (JAPANESE, {"オートフィルタを使用する列を選択します。", "「最初の行に矢印が表示されます。」"}),
        ("पहली पंक्ति में तीर दिखाई देते हैं। सूची से एक आइटम चुनें और आगे बढ़ें।", {"पहली पंक्ति में तीर दिखाई देते हैं।"}),
    ],
    ids=["Chinese", "Japanese", "Hindi"],
)
def test_sentences_end_as_they_do_in_their_language(text: str, expected: set[str]) -> None:
    sentences, _ = pseudo_queries([text], 20)
    assert expected <= set(sentences)
    assert all(sentence in text for sentence in sentences)


@pytest.mark.parametrize("text", [CHINESE.replace("。", "").replace("！", "").replace("？", ""), THAI])
def test_a_text_without_spaces_gives_a_part_of_itself(text: str) -> None:
    (part,), _ = pseudo_queries([text])
    assert part in text
    assert len(text) / 4 < len(part) < len(text) * 3 / 4
