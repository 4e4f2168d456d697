"""Ids and rows in a few bytes say what a list and a dictionary say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate.stores.vector_files import row_ids
from lightmigrate.stores.vector_files.row_ids import GrowingRowOf, RowNumbers, RowOf

IDS = st.lists(st.text(max_size=2), max_size=20, unique=True)


@given(held=IDS, asked=st.lists(st.text(max_size=2), max_size=9), later=IDS)
def test_rows_are_those_of_a_dictionary(held: list[str], asked: list[str], later: list[str]) -> None:
    known = {record: row for row, record in enumerate(held)}
    growing = GrowingRowOf(held)
    for rows in (RowOf(held), growing):
        assert dict(rows) == known
        assert rows.among(asked) == {record: known[record] for record in asked if record in known}
        assert [rows.get(record) for record in asked] == [known.get(record) for record in asked]
    new = [record for record in later if record not in known]
    growing.add(new)
    assert growing.among(new) == {record: row for row, record in enumerate(new, start=len(held))}
    assert len(growing) == len(held) + len(new)


@given(count=st.integers(0, 30), start=st.integers(-40, 40), end=st.integers(-40, 40))
def test_row_numbers_are_a_list_of_texts(count: int, start: int, end: int) -> None:
    numbers, expected = RowNumbers(count), list(map(str, range(count)))
    assert list(numbers) == expected
    assert list(numbers[start:end]) == expected[start:end]
    assert [numbers[row] for row in range(-count, count)] == [expected[row] for row in range(-count, count)]


def test_ids_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_ids, "hashed", lambda ids: np.zeros(len(list(ids)), np.int64))
    rows = RowOf(["a", "b"])
    assert dict(rows) == {"a": 0, "b": 1}
    assert rows.among(["b", "c"]) == {"b": 1}
