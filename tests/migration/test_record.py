"""The record of a migrated database names each collection wholly: the vector and the part, too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lightmigrate.migration.aside.record import RECORD_FILE, CollectionRecord, Record, check_collection
from lightmigrate.migration.digest import Digest, settings_sha256
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.memory import MemoryDatabase, MemoryStore

PARTS = tuple(Address("docs", vector="body", part=part) for part in ("ours", "theirs"))


def store() -> MemoryStore:
    """Two parts of one table, with different vectors."""
    database = MemoryDatabase()
    for number, address in enumerate(PARTS):
        database.create_collection(address, 4)
        vectors = np.full((3, 4), number + 1, np.float32)
        MemoryStore(database).collection(address).add(Page(["a", "b", "c"], vectors, [None] * 3, [None] * 3))
    return MemoryStore(database)


def record_of(database: MemoryStore, address: Address) -> CollectionRecord:
    collection, digest = database.collection(address), Digest()
    for page in collection.scan(2):
        digest.add(page)
    return CollectionRecord(
        name=address.name, tenant=address.tenant, database=address.database, source={}, target={}, records=3,
        content_sha256=digest.content, vectors_sha256=digest.vectors, settings_sha256=settings_sha256(collection),
        vector=address.vector, part=address.part,
    )  # fmt: skip


def test_each_part_is_compared_with_its_own_record(tmp_path: Path) -> None:
    database = store()
    Record("db", "2026-01-01", tuple(record_of(database, address) for address in PARTS), (), (), ()).write(tmp_path)
    read = Record.read(tmp_path)
    assert read is not None
    assert [entry.address for entry in read.collections] == list(PARTS)
    for entry in read.collections:
        check = check_collection(database, entry, 2)
        assert (check.collection_name, check.unchanged) == (str(entry.address), True)


def test_a_record_of_an_earlier_version_names_the_whole_collection(tmp_path: Path) -> None:
    Record("db", "2026-01-01", (record_of(store(), PARTS[0]),), (), (), ()).write(tmp_path)
    fields = json.loads((tmp_path / RECORD_FILE).read_text())
    for entry in fields["collections"]:
        del entry["vector"], entry["part"]
    (tmp_path / RECORD_FILE).write_text(json.dumps(fields))
    read = Record.read(tmp_path)
    assert read is not None
    assert [entry.address for entry in read.collections] == [Address("docs")]
