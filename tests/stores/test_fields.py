"""What is taken for the application's fields of a record that goes to another store, and what stays as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lightmigrate.stores.receive import as_text, from_text
from lightmigrate.stores.vector_files.node_fields import node_fields

NODE = {"id_": "n1", "class_name": "TextNode", "embedding": [1.0], "metadata": {"page": 3}}


def test_fields_that_are_kept_as_text_come_back() -> None:
    fields = {"row": 1, "share": 0.1, "deep": {"é": [None, True]}, "big": 2**70}
    assert from_text(as_text(fields) or {}) == {"metadata": fields}


TEXTS = ("", "a note", "[1]", '{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 1}}', '{"a": NaN}', '{"a": ', '{"a":' * 100_000)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_of_which_something_would_be_lost_stays_a_text(text: str) -> None:
    assert from_text({"metadata": text, "row": 1}) == {"metadata": text, "row": 1}


def test_a_node_is_held_as_other_stores_hold_it() -> None:
    """The metadata by themselves, the node as JSON without a vector, which would stay that of the old model."""
    kept = {**NODE, "embedding": None}
    metadata = {"page": 3, "ref_doc_id": "paper"}
    files = {"_node_content": json.dumps(NODE), "node": {"__type__": "1"}}
    fields = node_fields({"metadata_dict": metadata, "text_id_to_ref_doc_id": "paper", **files})
    assert {**fields, "_node_content": json.loads(fields["_node_content"])} == {**metadata, "_node_content": kept}
    alone = node_fields(files)
    assert (alone["page"], alone["_node_type"], alone["ref_doc_id"]) == (3, "TextNode", "None")
    other = node_fields({"metadata_dict": metadata, "text_id_to_ref_doc_id": "another", "node": {"note": 1}})
    assert other == {**metadata, "text_id_to_ref_doc_id": "another", "node": {"note": 1}}


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"metadata_dict": "a text"},
        {"metadata_dict": {}, "row": 1},
        {"_node_content": "no JSON"},
        {"_node_content": "[" * 100_000},
        {"_node_content": "[]"},
        {"_node_content": "{}", "node": "a text"},
    ],
)
def test_what_is_no_node_stays_as_it_is(payload: dict[str, Any]) -> None:
    assert node_fields(payload) == payload


def test_a_node_with_parts_of_other_types_is_read() -> None:
    node = json.dumps({"metadata": [], "relationships": {"1": []}})
    assert node_fields({"_node_content": node})["doc_id"] == "None"
