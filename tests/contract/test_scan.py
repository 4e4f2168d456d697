"""A scan gives every record once, whatever happens meanwhile; a sample is spread over the collection."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lightmigrate.stores.base import Page, Store
from tests.contract.makers import Maker
from tests.contract.material import OLD, assert_same, filled, page


@pytest.mark.parametrize("size", [1, 3, 19, 20, 21, 1000])
def test_a_scan_gives_every_record_once(maker: Maker, store: Store, size: int) -> None:
    collection = store.collection(filled(maker, "docs"))
    pages = list(collection.scan(size))
    assert all(0 < len(records) <= size for records in pages)
    ids = [record for records in pages for record in records.ids]
    assert sorted(ids) == list(page(maker, 20).ids)
    everything = Page.joined(pages)
    expected = page(maker, 20).rows([int(record[3:]) for record in ids])
    assert_same(everything, expected, maker.tolerance("l2"))


def test_an_empty_collection_has_no_pages(maker: Maker, store: Store) -> None:
    address = maker.create("docs", OLD)
    collection = maker.client().collection(address)
    assert list(collection.scan(5)) == []
    assert collection.count() == 0
    assert len(collection.sample(5)) == 0


def test_the_order_is_the_same_twice(maker: Maker, store: Store) -> None:
    collection = store.collection(filled(maker, "docs", 50))
    first, second = ([tuple(records.ids) for records in collection.scan(8)] for _ in range(2))
    assert first == second


def test_the_order_is_that_of_adding_where_it_is_promised(maker: Maker, store: Store) -> None:
    collection = store.collection(maker.create("docs", OLD))
    written = page(maker, 20).rows(np.random.default_rng(0).permutation(20).tolist())
    collection.add(written.part(0, 9))
    collection.add(written.part(9, 20))
    assert sorted(collection.ids()) == sorted(written.ids)
    assert (list(collection.ids()) == list(written.ids)) == store.capabilities.ordered


@pytest.mark.every_maker
def test_a_scan_goes_on_after_any_page(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs", 25)
    pages = list(store.collection(address).scan(4))
    ids = [list(records.ids) for records in pages]
    for number, records in enumerate(pages):
        assert records.cursor is not None
        cursor = json.loads(json.dumps(records.cursor))
        rest = [record for later in maker.client().collection(address).scan(6, cursor) for record in later.ids]
        assert rest == [record for later in ids[number + 1 :] for record in later]


def test_without_vectors_all_else_is_there(maker: Maker, store: Store) -> None:
    collection = store.collection(filled(maker, "docs"))
    full, bare = (Page.joined(list(collection.scan(6, vectors=wanted))) for wanted in (True, False))
    assert bare.vectors.shape == (20, 0)
    assert_same(bare, full, with_vectors=False)


def test_records_that_stay_come_once_while_others_are_added_and_deleted(maker: Maker, store: Store) -> None:
    address = filled(maker, "docs", 60)
    reader, writer = store.collection(address), maker.client().collection(address)
    seen: list[str] = []
    for number, records in enumerate(reader.scan(7)):
        seen += records.ids
        if number == 0:  # what was read already, what is still to come, and new ones everywhere
            writer.remove(["id-0001", "id-0040"])
            writer.add(_named(maker, "aaa", "id-0001b", "id-0030b", "zzz"))
        if number == 3:
            writer.remove(["id-0002", "id-0003", "id-0055", "aaa"])
            writer.add(_named(maker, "id-0000b"))
    gone = {"id-0001", "id-0040", "id-0002", "id-0003", "id-0055"}
    stayed = [record for record in page(maker, 60).ids if record not in gone]
    assert [seen.count(record) for record in stayed] == [1] * len(stayed)
    assert len(seen) == len(set(seen))


def _named(maker: Maker, *ids: str) -> Page:
    records = page(maker, len(ids), start=900)
    return Page(ids, records.vectors, records.texts, records.payloads)


@pytest.mark.parametrize("n", [1, 5, 30])
def test_a_sample_is_of_about_the_size_asked_for_and_the_same_twice(maker: Maker, store: Store, n: int) -> None:
    collection = store.collection(filled(maker, "docs", 200))
    sample = collection.sample(n, seed=3)
    assert 0.5 * n <= len(sample) <= 2 * n
    assert len(set(sample.ids)) == len(sample)
    assert_same(collection.sample(n, seed=3), sample)
    assert_same(sample, page(maker, 200).rows([int(record[3:]) for record in sample.ids]), maker.tolerance("l2"))


def test_a_sample_is_spread_and_holds_all_where_there_are_no_more(maker: Maker, store: Store) -> None:
    collection = store.collection(filled(maker, "docs", 200))
    numbers = [int(record[3:]) for record in collection.sample(40).ids]
    assert {number // 50 for number in numbers} == {0, 1, 2, 3}
    assert sorted(collection.sample(500).ids) == list(page(maker, 200).ids)
