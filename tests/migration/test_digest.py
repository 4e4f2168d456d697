"""Digests of collections: what they are sums of."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate.migration.digest import Digest
from lightmigrate.stores.base import Page

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(min_size=1), st.none() | st.text(), st.none() | st.dictionaries(st.text(), VALUES, max_size=4))
def test_a_record_counts_as_its_json_with_sorted_keys(record: str, text: str | None, payload: Any) -> None:
    digest = Digest()
    digest.add_contents(Page([record], np.zeros((1, 0), np.float32), [text], [payload]))
    expected = json.dumps([record, text, payload], sort_keys=True).encode()
    assert digest.content == hashlib.sha256(expected).hexdigest()
