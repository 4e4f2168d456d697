"""Numbers by id, without the ids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate.stores.ids import IdTable, hashed


@given(st.lists(st.text(max_size=3), unique=True), st.lists(st.text(max_size=3)))
def test_it_says_what_a_dictionary_says(held: list[str], asked: list[str]) -> None:
    known = {record: 7 * row for row, record in enumerate(held)}
    table = IdTable(hashed(held), 7 * np.arange(len(held)))
    assert len(table) == len(known)
    assert table.of([*held, *asked]).tolist() == [known.get(record, -1) for record in [*held, *asked]]
    assert IdTable(hashed(held)).of(held).tolist() == list(range(len(held)))


def test_ids_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        IdTable(np.array([3, 1, 3]))
