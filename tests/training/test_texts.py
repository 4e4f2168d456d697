"""Texts from files, and the packaged corpus."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from lightmigrate.errors import LightmigrateError, NotEnoughTextsError
from lightmigrate.training.corpus import draw, packaged_corpus
from lightmigrate.training.texts import read_texts

TEXTS = ["one ü", "two", "  ", "one ü", "three"]
READ = ["one ü", "two", "three"]


def write(path: Path) -> Path:
    if path.suffix == ".txt":
        path.write_text("\n".join(TEXTS), encoding="utf-8")
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps({"text": text, "n": 1}) for text in TEXTS) + "\n\n", encoding="utf-8")
    else:
        parquet.write_table(pyarrow.table({"text": [*TEXTS, None], "n": range(6)}), path, row_group_size=2)
    return path


@pytest.mark.parametrize("name", ["t.txt", "t.jsonl", "t.parquet"])
def test_different_texts_in_the_order_of_the_file(name: str, tmp_path: Path) -> None:
    assert read_texts(write(tmp_path / name)) == READ


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"", "texts are read from .txt, .jsonl, .parquet, not from .csv"),
        ("missing.txt", None, "no file of texts at"),
        ("t.txt", b"fine\n\xff\xfe", "t.txt, line 2: not UTF-8"),
        ("utf16.txt", "fine\n".encode("utf-16"), "line 1: not UTF-8"),
        ("t.jsonl", b'{"text": "fine"}\n' * 9999 + b'{"text": "\xff"}', "line 10000: not UTF-8"),
        ("t.jsonl", b'{"text": ' + b"[" * 200_000, "line 1: no JSON object"),
        ("", None, "texts are read from"),
        ("t.txt", b" \n\n", "holds no text"),
        ("t.jsonl", b'{"text": "fine"}\n{"text": broken}', "line 2: no JSON object with a field 'text'"),
        ("t.jsonl", b'{"body": "secret"}', "line 1: no JSON object with a field 'text'"),
        ("t.jsonl", b'["secret"]', "line 1: no JSON object"),
        ("t.jsonl", b'{"text": 7}', "line 1: 'text' is not a text"),
        ("t.parquet", b"PAR1 rubbish PAR1", "not a Parquet file, or is damaged"),
    ],
)
def test_files_that_cannot_be_read_are_named(name: str, content: bytes | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LightmigrateError, match=said.replace(".", r"\.")) as caught:
        read_texts(tmp_path / name)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_and_a_file_that_may_not_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(LightmigrateError, match="no file of texts at"):
        read_texts(tmp_path / "folder.txt")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")  # modes do not stop root, who may run these tests

    path = write(tmp_path / "t.txt")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(LightmigrateError, match=r"cannot read .*t\.txt: Permission denied"):
        read_texts(path)


@pytest.mark.parametrize("name", ["T.TXT", "t.JsonL"])
def test_a_byte_order_mark_windows_line_ends_and_capital_suffixes_do_not_matter(name: str, tmp_path: Path) -> None:
    lines = ["naïve", "two"] if name == "T.TXT" else ['{"text": "naïve"}', '{"text": "two"}']
    (tmp_path / name).write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    assert read_texts(tmp_path / name) == ["naïve", "two"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\ufeff")), min_size=1))
@settings(max_examples=50, deadline=None)
def test_only_a_line_end_ends_a_text(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "t.txt").write_bytes("\n".join(["first", *texts]).encode())
    (folder / "t.jsonl").write_bytes("\n".join(json.dumps({"text": text}) for text in ["first", *texts]).encode())
    expected = list(dict.fromkeys(text for text in ["first", *texts] if text.strip()))
    assert read_texts(folder / "t.txt") == read_texts(folder / "t.jsonl") == expected


def test_a_parquet_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    wrong = pyarrow.array([b"secret \xff"], pyarrow.binary()).cast(pyarrow.string(), safe=False)
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"text": wrong}), path)
    with pytest.raises(LightmigrateError, match="or is damaged") as caught:
        read_texts(path)
    assert "secret" not in str(caught.value)


def test_a_missing_or_wrong_column_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet")
    with pytest.raises(LightmigrateError, match="no column 'body'; it has text, n"):
        read_texts(path, "body")
    with pytest.raises(LightmigrateError, match="the column 'n' holds no texts"):
        read_texts(path, "n")


def test_the_packaged_corpus_is_as_large_as_promised() -> None:
    texts = packaged_corpus()
    assert len(texts) == len(set(texts)) == 16_000
    sentences = [text for text in texts if ": " not in text]
    assert len(sentences) >= 5_000
    assert min(len(text.split()) for text in sentences) >= 5
    assert len(set(draw(texts, 5_000))) == 5_000


def test_texts_are_drawn_by_a_seed_and_never_made_up() -> None:
    texts = packaged_corpus()
    assert draw(texts, 50, seed=1) == draw(texts, 50, seed=1) != draw(texts, 50, seed=2)
    with pytest.raises(
        NotEnoughTextsError, match="there are 16000 different ones; ask for at most that: --samples 16000"
    ):
        draw(texts, 16_001)
