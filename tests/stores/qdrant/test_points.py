"""Ids, texts and vectors of points, in both directions."""

from __future__ import annotations

import json
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.qdrant.ids import decode, encode, following, require
from lightmigrate.stores.qdrant.points import OTHERS, PointFormat, bytes_of, unit_rows
from lightmigrate.stores.qdrant.store import QdrantStore
from lightmigrate.stores.text_field import text_field
from tests.databases import make_vectors

NO_IDS = ["", "01", "-1", "1.0", str(2**64), "²", "a", " 1", "0" * 32, "A" + str(uuid.UUID(int=1))[1:]]
IDS = st.one_of(st.integers(0, 2**64 - 1), st.uuids().map(str))


@given(IDS)
def test_an_id_comes_back_with_its_type(point: int | str) -> None:
    assert decode(encode(point)) == point
    assert type(decode(encode(point))) is type(point)


def test_ids_in_uuid_objects_are_text() -> None:
    number = uuid.uuid4()
    assert decode(encode(number)) == str(number)


@pytest.mark.parametrize(
    "text", ["", "01", "-1", "1.0", str(2**64), "²", "a", " 1", "0" * 32, "67D3EAC3-B41F-4A71-9FF7-C67EDD6F910C"]
)
def test_what_no_point_can_have_is_not_found_and_not_written(text: str) -> None:
    assert decode(text) is None
    with pytest.raises(LightmigrateError, match="neither an integer"):
        require(text)


def test_the_order_of_a_scan_is_integers_then_uuids() -> None:
    first = str(uuid.UUID(int=0))
    assert following("0") == 1
    assert following(str(2**64 - 1)) == first
    assert following(first) == str(uuid.UUID(int=1))
    assert following(str(uuid.UUID(int=2**128 - 1))) is None


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"page_content": "a", "metadata": {"text": "b"}}, "page_content"),
        ({"document": "a", "source": "b"}, "document"),
        ({"text": "a", "tenant_id": "b"}, "text"),
        ({"content": "a", "metadata": {}}, "content"),
        ({"data": "a", "hash": "b"}, "page_content"),
        ({"text": 3, "content": "a"}, "content"),
        ({"_node_content": json.dumps({"text": "a", "metadata": {}}), "text": "a title"}, "page_content"),
        ({"_node_content": json.dumps({"text": "", "metadata": {}}), "text": "a"}, "text"),
        ({"_node_content": "no JSON"}, "page_content"),
        ({}, "page_content"),
    ],
)
def test_the_field_of_the_text_is_found_where_applications_put_it(payload: dict[str, object], field: str) -> None:
    assert text_field([payload] * 3) == field


def test_a_field_of_half_the_points_is_not_the_text() -> None:
    assert text_field([{"document": "a"}, {"content": "b"}, {"content": "c"}]) == "content"


def test_a_payload_that_has_the_field_of_the_text_is_not_overwritten() -> None:
    points = PointFormat("", "text", frozenset())
    with pytest.raises(LightmigrateError, match="'text'"):
        points.points(Page(["1"], make_vectors(1), ["a text"], [{"text": 3}]))
    with pytest.raises(LightmigrateError, match="not the application's"):
        points.page([models.Record(id=1, vector=[1.0], payload={OTHERS: []})])


def test_what_a_point_takes_in_a_request_is_not_underrated() -> None:
    rows = (make_vectors(4, 300) * np.float32(1e-5)).tolist()
    words = models.SparseVector(indices=list(range(2**32 - 300, 2**32)), values=rows[0])
    payload = {"text": "é" * 1000, "number": 1.5}
    every_vector: list[models.VectorStruct] = [rows[0], rows, {"text": rows[0], "tokens": rows, "words": words}]
    for vector in every_vector:
        sent = models.PointStruct(id=1, vector=vector, payload=payload).model_dump_json()
        assert len(sent.encode()) <= bytes_of(vector, payload) * 1.25
    assert bytes_of(None) < 10


def test_unit_vectors_stay_to_the_bit_and_others_get_length_one() -> None:
    rows = unit_rows(np.array([[3, 4], [0, 0], [1e-30, 0], [3e37, 3e37]], np.float32))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 0, 1, 1], rtol=1e-6)
    assert unit_rows(rows).tobytes() == rows.tobytes()


def test_local_mode_gives_the_same_before_and_after_it_is_opened_again() -> None:
    client = QdrantClient(":memory:")
    client.create_collection("docs", vectors_config=models.VectorParams(size=16, distance=models.Distance.COSINE))
    long = (make_vectors(5) * 7).tolist()
    client.upsert("docs", [models.PointStruct(id=row, vector=vector) for row, vector in enumerate(long)])
    collection = QdrantStore(client).collection(Address("docs"))
    read = collection.records(["0", "1", "2", "3", "4"]).vectors
    raw = [models.Record(id=row, vector=vector, payload={}) for row, vector in enumerate(long)]
    np.testing.assert_allclose(collection.format.page(raw).vectors, read, rtol=1e-6)
