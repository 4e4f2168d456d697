"""Tables as they may be: keys of numbers, rows without vectors, several vectors, indexes, writers, compaction."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from lancedb.index import HnswSq, IvfFlat, IvfPq

from lightmigrate import Migrator
from lightmigrate.errors import LightmigrateError
from lightmigrate.migration.collection_job import CollectionJob
from lightmigrate.stores.base import Address, Role
from lightmigrate.stores.distance import measured_space
from lightmigrate.stores.lance.exchange import build_indexes
from lightmigrate.stores.lance.store import LanceStore
from lightmigrate.stores.lance.table import Table
from lightmigrate.stores.lance.values import as_vectors_column
from tests.contract.material import assert_same, everything
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors
from tests.stores.lance.folders import opened, rows, stored, workspace

KEY = "20260101_120000"


def test_ids_may_be_numbers(tmp_path: Path) -> None:
    numbered = [{**row, "id": number} for number, row in enumerate(rows(30))]
    table = lancedb.connect(tmp_path).create_table("docs", numbered)
    Migrator(tmp_path).migrate_collection("docs", make_projection())
    table.checkout_latest()
    with LanceStore(tmp_path) as store:
        live = opened(store)
        assert list(live.records(["7", "07", "x", "3"]).ids) == ["7", "3"]
        live.remove(["7", "x"])
        assert live.count() == 29


def test_rows_without_a_vector_stay_without_one(tmp_path: Path) -> None:
    table = workspace(tmp_path, 20)
    table.add(pa.table({"id": ["none-1", "none-2"], "text": ["a", "b"], "title": ["c", "d"]}))
    migrator = Migrator(tmp_path)
    assert [facts.count for facts in migrator.collections()] == [20]
    assert migrator.migrate_collection("docs", make_projection()).n_migrated == 20
    vectors = stored(table)
    assert (len(vectors["none-1"]), len(vectors["none-2"]), len(vectors)) == (0, 0, 22)
    with LanceStore(tmp_path) as store:
        live = opened(store)
        pages = list(live.scan(8))
        rest = [record for page in live.scan(5, pages[0].cursor, vectors=False) for record in page.ids]
        assert [record for page in pages[1:] for record in page.ids] == rest
        assert len(live.sample(22)) == 20


def test_of_several_vectors_each_is_a_collection(tmp_path: Path) -> None:
    second = make_vectors(40, 8, seed=5)
    both = workspace(tmp_path, 40, "first").to_arrow().append_column("image", as_vectors_column(second))
    table = lancedb.connect(tmp_path / "both").create_table("docs", both)
    tmp_path /= "both"
    text, image = Address("docs", vector="vector"), Address("docs", vector="image")
    migrator = Migrator(tmp_path)
    assert [facts.address for facts in migrator.collections()] == [text, image]
    migrator.migrate([CollectionJob(text, make_projection())])
    assert stored(table)["id-3"].shape == (NEW_DIM,)
    assert stored(table, "image")["id-3"].tobytes() == second[3].tobytes()
    with LanceStore(tmp_path) as store:
        old = store.versions()[0]
        live = store.collection(image)
        version = store.create_version(live, "k1", 4, None)
        for page in live.scan(100):
            version.add(page.with_vectors(page.vectors[:, :4].copy()))
        store.exchange(version, live, "20270101_120000")
        with pytest.raises(LightmigrateError, match="column image of table docs was exchanged later"):
            store.restore(old, "20270101_120001")
        store.restore(store.versions()[-1], "20270101_120001")
        store.restore(old, "20270101_120002")
    assert stored(table)["id-3"].tobytes() == make_vectors(40)[3].tobytes()


@pytest.mark.parametrize(
    "config",
    [
        IvfFlat(distance_type="dot", num_partitions=3),
        IvfPq(distance_type="cosine", num_partitions=2, num_sub_vectors=4),
        HnswSq(distance_type="l2", num_partitions=1, m=14, ef_construction=99),
    ],
)
def test_an_index_is_built_anew_as_it_was(tmp_path: Path, config: Any) -> None:
    table = workspace(tmp_path, 300)
    table.create_index("vector", config=config)
    table.create_scalar_index("title")
    with LanceStore(tmp_path) as store:
        live = opened(store)
        (before,), settings, space = live.indexes(), live.settings(), measured_space(live)
        Migrator(store).migrate_collection("docs", make_projection())
        live = opened(store)
        (after,) = live.indexes()
        assert (after, live.settings(), measured_space(live)) == (before, settings, space)
    table.checkout_latest()
    assert {index.name for index in table.list_indices()} == {"vector_idx", "title_idx"}
    Migrator(tmp_path).rollback()
    with LanceStore(tmp_path) as store:
        assert opened(store).indexes() == [before]


def test_an_index_that_a_crash_prevented_is_built_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace(tmp_path, 40).create_index("vector", config=IvfFlat(distance_type="cosine", num_partitions=1))

    class Killed(BaseException):
        """Stands for the end of the process."""

    def killed(*arguments: object) -> None:
        raise Killed

    with LanceStore(tmp_path) as store:
        live = opened(store)
        version = store.create_version(live, "k1", OLD_DIM, None)
        version.add(everything(live))
        with monkeypatch.context() as context:
            context.setattr(Table, "index", killed)
            with pytest.raises(Killed):
                store.exchange(version, live, KEY)
    with LanceStore(tmp_path) as store:
        assert [version.role for version in store.versions()] == [Role.BACKUP]
        assert "1 indexes" in str(store.recover())
        assert [spec.metric for spec in opened(store).indexes()] == ["cosine"]
        assert store.recover() is None


def test_an_index_that_cannot_be_built_does_not_undo_the_exchange(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    workspace(tmp_path, 40).create_index("vector", config=IvfFlat(distance_type="cosine", num_partitions=1))
    with LanceStore(tmp_path) as store:
        live = opened(store)
        (spec,) = live.indexes()
        table = live.table
        table.latest().drop_index(spec.name)
        build_indexes(table, "vector", [replace(spec, kind="IVF_OF_A_LATER_VERSION")])
        assert "could not be built" in caplog.text
        assert len(live.nearest(make_vectors(1), 3)[0][0]) == 3


def test_copying_rows_to_other_files_is_no_change(tmp_path: Path) -> None:
    table = workspace(tmp_path, 20)
    for start in range(20, 60, 10):
        table.add(rows(10, start))
    with LanceStore(tmp_path) as store:
        live = opened(store)
        mark = live.changes()
        assert mark is not None
        before = everything(live)
        table.delete("id = 'id-3'")
        table.optimize()
        table.update(where="id = 'id-4'", values={"title": "changed"})
        changes = live.changes(mark.mark)
        assert changes is not None
        assert (list(changes.written), list(changes.deleted)) == (["id-4"], ["id-3"])
        old = before.rows([row for row, record in enumerate(before.ids) if record not in ("id-3", "id-4")])
        assert_same(live.records(old.ids), old)


class Writer(threading.Thread):
    """Adds, changes and deletes rows until the table has another dimension."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.begun, self.done = threading.Event(), threading.Event()
        self.added: list[str] = []
        self.changed: list[str] = []
        self.deleted: list[str] = []

    def run(self) -> None:
        table = lancedb.connect(self._folder).open_table("docs")
        for turn in range(20):
            if self.done.wait(0.05):
                return
            table.checkout_latest()
            if table.schema.field("vector").type.list_size != OLD_DIM:
                return
            try:
                self._write(table, turn)
            except RuntimeError:  # refused, because the table was exchanged meanwhile
                return
            self.begun.set()

    def _write(self, table: Any, turn: int) -> None:
        added, changed, deleted = f"id-{1000 + turn}", f"id-{turn}", f"id-{399 - turn}"
        table.add([{**row, "title": "added"} for row in rows(1, 1000 + turn)])
        self.added.append(added)
        table.update(where=f"id = '{changed}'", values={"title": "new"})
        self.changed.append(changed)
        table.delete(f"id = '{deleted}'")
        self.deleted.append(deleted)


def test_nothing_that_is_written_meanwhile_is_lost(tmp_path: Path) -> None:
    table = workspace(tmp_path, 400)
    projection, writer = make_projection(), Writer(tmp_path)
    writer.start()
    assert writer.begun.wait(60)
    try:
        Migrator(tmp_path, page_size=100).migrate_collection("docs", projection)
    finally:
        writer.done.set()
        writer.join()
    vectors = stored(table)
    assert vectors.keys() == {f"id-{row}" for row in range(400)} - set(writer.deleted) | set(writer.added)
    every = projection.apply(make_vectors(1100))
    for name, vector in vectors.items():
        np.testing.assert_allclose(vector, every[int(name[3:])], atol=2e-5)
    titles = dict(zip(table.to_arrow()["id"].to_pylist(), table.to_arrow()["title"].to_pylist(), strict=True))
    assert {name for name, title in titles.items() if title == "new"} == set(writer.changed)


def test_a_table_that_is_written_to_without_a_pause_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = workspace(tmp_path, 30)
    monkeypatch.setattr("lightmigrate.stores.lance.exchange._TRIES", 3)
    with LanceStore(tmp_path) as store:
        live = opened(store)
        version = store.create_version(live, "k1", OLD_DIM, None)
        version.add(everything(live))
        with pytest.raises(LightmigrateError, match="in every one of 3 tries"):
            store.exchange(version, live, KEY, settle=lambda: table.delete(f"id = 'id-{live.count()}'"))
        assert [kept.role for kept in store.versions()] == [Role.BUILDING]
        assert live.table.branches() == {}
