"""A process is killed before any statement of an exchange: the file holds the old table or the new one, whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lightmigrate.stores.base import Address, Page, Role, Store
from tests.contract.crashing import crash
from tests.contract.sqlite_vec import application, opened
from tests.databases import NEW_DIM, OLD_DIM, make_projection
from tests.faults import EVERY_OPERATION
from tests.processes import start, was_killed
from tests.stores.sqlite_vec.application import everything_else, make_application

NOTES = Address("notes_vec")
FAILPOINT = "lightmigrate.stores.sqlite_vec.session:Session:execute"

# `make crash` kills before every statement; the normal run before some of them.
STEPS = range(200) if EVERY_OPERATION else (0, 7, 31)


def content(store: Store, address: Address = NOTES) -> Page:
    return Page.joined(list(store.collection(address).scan(1000)))


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_killed_before_any_statement(tmp_path: Path, journal: str) -> None:
    whole = tmp_path / "whole.db"
    old = make_application(whole, 20, journal)
    projection, rest = make_projection(), everything_else(whole)
    with opened(whole) as store:
        live = store.collection(NOTES)
        version = store.create_version(live, "k1", projection.info.target.dimension, None)
        for page in live.scan(7):
            version.add(page.with_vectors(projection.apply(page.vectors)))
        new = content(store, version.address).vectors
    connection = application(whole)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    killed = 0
    for step in STEPS:
        path = tmp_path / f"{step}.db"
        shutil.copy(whole, path)
        if not was_killed(start(crash, str(path), "notes_vec", "exchange", step, [FAILPOINT])):
            break
        killed += 1
        with opened(path) as store:
            now = content(store)
            (kept,) = store.versions()
            exchanged = now.vectors.shape[1] == NEW_DIM
            assert kept.role is (Role.BACKUP if exchanged else Role.BUILDING)
            assert now.vectors.tobytes() == (new if exchanged else old).tobytes()
            assert content(store, kept.address).vectors.tobytes() == (old if exchanged else new).tobytes()
            assert now.vectors.shape[1] in (OLD_DIM, NEW_DIM)
            assert not store.interrupted_exchange()
        assert everything_else(path) == rest
        path.unlink()
    assert killed >= 3
