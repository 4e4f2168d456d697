"""Folders of real applications: LanceDB itself, AnythingLLM, LlamaIndex, LangChain."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from llama_index.core.schema import BaseNode, TextNode
from llama_index.vector_stores.lancedb import LanceDBVectorStore

from lightmigrate import Migrator
from lightmigrate.errors import LightmigrateError, WrittenSinceError
from lightmigrate.stores.base import Address
from lightmigrate.stores.lance import is_folder
from lightmigrate.stores.lance.store import LanceStore
from lightmigrate.stores.open import open_database
from lightmigrate.texts.llamaindex import LlamaIndexForm
from tests.databases import NEW_DIM, OLD_DIM, make_projection, make_vectors
from tests.stores.lance.folders import opened, rows, stored, workspace


def test_there_and_back_to_the_bit(tmp_path: Path) -> None:
    table, migrator = workspace(tmp_path / "lancedb"), Migrator(tmp_path / "lancedb")
    before, others = stored(table), table.to_arrow().drop(["vector"])
    migrator.migrate_collection("docs", make_projection())
    table.checkout_latest()
    assert table.schema.field("vector").type.list_size == NEW_DIM
    assert table.to_arrow().drop(["vector"]).equals(others)
    np.testing.assert_allclose(
        np.stack(list(stored(table).values())), make_projection().apply(make_vectors(60)), atol=2e-5
    )
    assert all(check.unchanged for check in migrator.verify())
    migrator.rollback()
    after = stored(table)
    assert all((after[name] == vector).all() for name, vector in before.items())
    migrator.clean()
    assert migrator.backups() == []
    assert stored(table).keys() == before.keys()


def test_a_search_that_names_no_column_never_sees_two(tmp_path: Path) -> None:
    table = workspace(tmp_path)
    with LanceStore(tmp_path) as store:
        live = opened(store)
        version = store.create_version(live, "k1", OLD_DIM, None)
        for page in live.scan(20):
            version.add(page.with_vectors(-page.vectors))
        for sign in (1, -1):
            table.checkout_latest()
            found = table.search((sign * make_vectors(60)[7]).tolist()).limit(1).to_list()
            assert [row["id"] for row in found] == ["id-7"]
            if sign == 1:
                store.exchange(version, live, "20260101_120000")


def test_the_application_may_clean_up_and_the_backup_stays(tmp_path: Path) -> None:
    table, migrator = workspace(tmp_path), Migrator(tmp_path)
    before = stored(table)
    migrator.migrate_collection("docs", make_projection())
    table.checkout_latest()
    table.add([{**row, "vector": [0.5] * NEW_DIM} for row in rows(5, 100)])
    table.optimize(cleanup_older_than=datetime.timedelta(0), delete_unverified=True)
    with pytest.raises(WrittenSinceError) as refused:
        migrator.rollback()
    assert (refused.value.added, refused.value.changed, refused.value.deleted) == (5, 0, 0)
    migrator.rollback(written="discard")
    after = stored(table)
    assert after.keys() == before.keys()
    assert all((after[name] == vector).all() for name, vector in before.items())


def test_what_was_written_since_is_carried(tmp_path: Path) -> None:
    table, migrator = workspace(tmp_path, 200), Migrator(tmp_path)
    before = stored(table)
    migrator.migrate_collection("docs", make_projection())
    table.checkout_latest()
    table.add([{**row, "vector": stored(table)["id-3"].tolist()} for row in rows(1, 300)])
    table.update(where="id = 'id-9'", values={"title": "changed"})
    table.delete("id = 'id-5'")
    result = migrator.rollback(written="carry")
    assert result.carried
    after = stored(table)
    assert after.keys() == before.keys() - {"id-5"} | {"id-300"}
    assert all((after[name] == before[name]).all() for name in before.keys() - {"id-5", "id-9"})
    assert after["id-300"] @ before["id-3"] > 0.98 * np.linalg.norm(after["id-300"]) * np.linalg.norm(before["id-3"])
    assert table.to_arrow().filter(pa.compute.field("id") == "id-9")["title"].to_pylist() == ["changed"]


def test_a_writer_that_opened_the_table_before_is_refused(tmp_path: Path) -> None:
    workspace(tmp_path)
    old = lancedb.connect(tmp_path).open_table("docs")
    old.count_rows()
    Migrator(tmp_path).migrate_collection("docs", make_projection())
    with pytest.raises(RuntimeError, match="conflict"):
        old.add(rows(1, 100))


def test_llamaindex_s_texts_are_what_it_embedded(tmp_path: Path) -> None:
    vectors = make_vectors(40)
    nodes: list[BaseNode] = [
        TextNode(id_=f"n{row}", text=f"body {row}", metadata={"title": f"heading {row}"}, embedding=vector.tolist())
        for row, vector in enumerate(vectors)
    ]
    LanceDBVectorStore(uri=str(tmp_path), table_name="index").add(nodes)
    migrator = Migrator(tmp_path)
    (found,) = migrator.diagnose().texts.values()
    assert isinstance(found.form, LlamaIndexForm)
    migrator.migrate_collection("index", make_projection())
    reader = LanceDBVectorStore(uri=str(tmp_path), table_name="index")
    table: Any = reader.table
    assert table.schema.field("vector").type.list_size == NEW_DIM
    with LanceStore(tmp_path) as store:
        page = store.collection(Address("index")).records(["n7"])
    assert list(page.texts) == ["body 7"]


def test_langchain_s_table_works_as_before(tmp_path: Path) -> None:
    from langchain_community.vectorstores import LanceDB
    from langchain_core.embeddings import Embeddings

    class Model(Embeddings):
        """Numbers a text names; before the migration old vectors, then what the projection makes of them."""

        new = False

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            old = np.stack([make_vectors(60)[int(text.split()[-1])] for text in texts])
            answer: list[list[float]] = (make_projection().apply(old) if self.new else old).tolist()
            return answer

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

    model = Model()
    connection = lancedb.connect(tmp_path)
    LanceDB.from_texts([f"text {row}" for row in range(60)], model, connection=connection, table_name="docs")
    Migrator(tmp_path).migrate_collection("docs", make_projection())
    model.new = True
    store = LanceDB(lancedb.connect(tmp_path), model, table_name="docs", mode="append")
    assert [found.page_content for found in store.similarity_search("text 17", k=1)] == ["text 17"]
    store.add_texts(["text 18"])
    assert [found.page_content for found in store.similarity_search("text 18", k=2)] == ["text 18"] * 2


def test_a_folder_and_a_single_table_are_recognised(tmp_path: Path) -> None:
    table = workspace(tmp_path)
    single = Migrator(tmp_path / "docs.lance")
    assert isinstance(open_database(tmp_path), LanceStore)
    assert isinstance(open_database(str(tmp_path / "docs.lance")), LanceStore)
    assert not is_folder(tmp_path / "nothing_here")
    single.migrate_collection("docs", make_projection())
    table.checkout_latest()
    assert table.schema.field("vector").type.list_size == NEW_DIM
    single.rollback()
    assert stored(table)["id-3"].tobytes() == make_vectors(60)[3].tobytes()


def test_tables_whose_rows_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    workspace(tmp_path, name="twice").add(rows(2))
    with pytest.raises(LightmigrateError, match="of its 62 rows 2 have an id in column id that another row has"):
        Migrator(tmp_path).migrate_collection("twice", make_projection())
    plain = [{"vector": row["vector"], "text": row["text"]} for row in rows(5)]
    lancedb.connect(tmp_path / "plain").create_table("plain", plain)
    with pytest.raises(LightmigrateError, match="table plain has no column of ids"):
        Migrator(tmp_path / "plain").migrate_collection("plain", make_projection())
