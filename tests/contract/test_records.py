"""What is written is read back: ids, texts, payloads, vectors; and writing touches nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightmigrate.errors import CollectionNotFoundError
from lightmigrate.stores.base import Address, Metric, Page, Store
from tests.contract.makers import Maker
from tests.contract.material import (
    IDS,
    OLD,
    assert_same,
    assert_same_vectors,
    everything,
    filled,
    hostile,
    page,
    same_value,
    stored_by,
    takes,
    vectors,
)


def _by_id(records: Page) -> Page:
    return records.rows(sorted(range(len(records)), key=lambda row: records.ids[row]))


@pytest.mark.every_maker
def test_the_store_promises_what_is_expected_of_it(maker: Maker, store: Store) -> None:
    assert replace(store.capabilities, notice="") == maker.capabilities  # what a notice says: test_promises


@pytest.mark.every_maker
def test_hostile_ids_texts_and_payloads_come_back_as_they_were(maker: Maker, store: Store) -> None:
    address = maker.create("docs", OLD)
    written = hostile(maker)
    store.collection(address).add(written)
    reopened = maker.client().collection(address)
    assert_same(everything(reopened), _by_id(written), maker.tolerance("l2"))
    assert_same(reopened.records(IDS[::-1]), written.rows(range(len(IDS))[::-1]), maker.tolerance("l2"))


@pytest.mark.every_maker
@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_vectors_come_back_as_they_were(maker: Maker, store: Store, metric: Metric) -> None:
    if not takes(maker, metric):
        return
    address = maker.create("docs", OLD, metric)
    extreme = np.array([[3e37, 1e-30, -1e-38, 1, -1, 0.1, 1 / 3, 123456.79]], np.float32)
    written = page(maker, 30).with_vectors(np.concatenate([vectors(29), extreme if metric == "l2" else vectors(1)]))
    store.collection(address).add(written)
    stored = everything(maker.client().collection(address))
    assert_same(stored, stored_by(store, written, metric), maker.tolerance(metric))


@pytest.mark.every_maker
def test_what_a_record_has_not_got_stays_missing(maker: Maker, store: Store) -> None:
    collection = store.collection(maker.create("docs", OLD))
    collection.add(Page(["none", "empty"], vectors(2), [None, ""], [None, None]))
    records = collection.records(["none", "empty"])
    assert list(records.texts) == [None, ""]
    assert list(records.payloads) == [None, None]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_text_and_number_comes_back(maker: Maker, data: st.DataObject) -> None:
    address, store = Address("docs"), maker.client()
    try:
        collection = store.collection(address)
    except CollectionNotFoundError:
        maker.create("docs", OLD)
        store = maker.client()
        collection = store.collection(address)
    characters = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
    ids = data.draw(st.lists(st.text(characters, min_size=1, max_size=20), min_size=1, max_size=8, unique=True))
    texts = data.draw(st.lists(st.none() | st.text(characters), min_size=len(ids), max_size=len(ids)))
    numbers = data.draw(st.lists(st.integers(-(2**53), 2**53), min_size=len(ids), max_size=len(ids)))
    rows: Any = data.draw(
        st.lists(
            st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=OLD, max_size=OLD),
            min_size=len(ids),
            max_size=len(ids),
        )
    )
    written = Page(ids, np.array(rows, np.float32), texts, [maker.payload_of(number) for number in numbers])
    collection.put(written)
    assert_same(collection.records(ids), written, maker.tolerance("l2"))


def test_records_come_in_the_order_asked_for_and_unknown_ids_are_left_out(maker: Maker, store: Store) -> None:
    collection = store.collection(filled(maker, "docs"))
    asked = ["id-0007", "no such id", "id-0003", "", "id-0019"]
    assert list(collection.records(asked).ids) == ["id-0007", "id-0003", "id-0019"]
    assert_same(collection.records(asked), page(maker, 20).rows([7, 3, 19]), maker.tolerance("l2"))
    assert len(collection.records([])) == 0
    assert len(collection.records(["no such id"])) == 0


def test_count_ids_and_facts(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs", metric="cosine")
    store = maker.client()
    collection = store.collection(address)
    facts = collection.facts()
    assert (facts.address, facts.count, facts.dimension, facts.space) == (address, 20, OLD, "cosine")
    assert collection.count() == 20
    assert list(collection.ids()) == [record for records in collection.scan(6, vectors=False) for record in records.ids]
    assert [other.address for other in store.collections()] == [address]


def test_there_is_no_such_collection(maker: Maker, store: Store) -> None:
    filled(maker, "docs")
    with pytest.raises(CollectionNotFoundError, match="nothing_here"):
        maker.client().collection(Address("nothing_here"))


@pytest.mark.every_maker
def test_put_replaces_records_whole(maker: Maker, store: Store) -> None:
    collection = store.collection(filled(maker, "docs"))
    new = Page(["id-0003", "new"], vectors(2, seed=5), [None, "new text"], [None, maker.payload_of(99)])
    collection.put(new)
    assert collection.count() == 21
    assert_same(collection.records(["id-0003", "new"]), new, maker.tolerance("l2"))
    others = [number for number in range(20) if number != 3]
    old = page(maker, 20).rows(others)
    assert_same(collection.records(old.ids), old, maker.tolerance("l2"))


def test_replace_vectors_touches_nothing_else(maker: Maker, store: Store) -> None:
    address = maker.create("docs", OLD)
    collection = store.collection(address)
    collection.add(hostile(maker))
    before = everything(collection)
    chosen = [IDS[row] for row in (0, 5, 17)]
    collection.replace_vectors(chosen, vectors(3, seed=11))
    after = everything(maker.client().collection(address))
    assert_same(after, before, with_vectors=False)
    changed = [record in chosen for record in after.ids]
    assert_same_vectors(collection.records(chosen).vectors, vectors(3, seed=11), maker.tolerance("l2"))
    same = [row for row, replaced in enumerate(changed) if not replaced]
    assert_same_vectors(after.vectors[same], before.vectors[same])


def test_remove_deletes_these_and_no_others(maker: Maker, store: Store) -> None:
    collection = store.collection(filled(maker, "docs"))
    collection.remove(["id-0004", "no such id", "id-0011"])
    left = [number for number in range(20) if number not in (4, 11)]
    assert collection.count() == 18
    assert_same(everything(collection), page(maker, 20).rows(left), maker.tolerance("l2"))
    collection.remove([])
    assert collection.count() == 18


@pytest.mark.parametrize("dimension", [OLD - 1, OLD + 1])
@pytest.mark.parametrize("write", ["add", "put", "replace_vectors"])
def test_vectors_of_another_dimension_are_refused(maker: Maker, store: Store, write: str, dimension: int) -> None:
    collection = store.collection(filled(maker, "docs"))
    before = everything(collection)
    writes: dict[str, Callable[[], None]] = {
        "add": lambda: collection.add(page(maker, 1, start=50, dimension=dimension)),
        "put": lambda: collection.put(page(maker, 1, dimension=dimension)),
        "replace_vectors": lambda: collection.replace_vectors(["id-0001"], vectors(1, dimension)),
    }
    with pytest.raises(Exception, match=f"{dimension}"):
        writes[write]()
    if write != "put" or store.capabilities.atomic_exchange:
        assert_same(everything(collection), before)


def test_other_collections_are_not_touched(maker: Maker, store: Store) -> None:
    one, other = filled(maker, "docs"), filled(maker, "other")
    store = maker.client()
    before = everything(store.collection(other))
    collection = store.collection(one)
    collection.put(page(maker, 5, seed=3))
    collection.replace_vectors(["id-0009"], vectors(1, seed=4))
    collection.remove(["id-0010"])
    assert_same(everything(store.collection(other)), before)


def test_a_name_says_where_and_no_password(maker: Maker, store: Store) -> None:
    assert str(store)
    assert "secret" not in str(store) + repr(store)
    assert str(store) == str(maker.client())


def test_values_are_compared_by_type() -> None:
    assert same_value({"a": [1, 0.1]}, {"a": [1, 0.10000000000000002]})
    assert not same_value({"a": 1}, {"a": True})
    assert not same_value({"a": 1}, {"a": 1.0})
    assert not same_value({"a": None}, {})
    assert not same_value(0.1, 0.1000000001)
