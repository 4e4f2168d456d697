"""Vector stores that LangChain and LlamaIndex read from files into memory: their own code goes on with new vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from llama_index.core import StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.vector_stores.faiss import FaissMapVectorStore, FaissVectorStore

from lightmigrate import Migrator
from lightmigrate.errors import LightmigrateError, WrittenSinceError
from lightmigrate.integrations import langchain, llamaindex
from lightmigrate.stores.open import framework_store, open_database
from lightmigrate.stores.vector_files.store import FileStore
from tests.integrations.models import LangChainModel, LlamaIndexModel, nearest, notes

QUESTION = "an instrument that measures"
OLD, NEW = LlamaIndexModel(64), LlamaIndexModel(256)

# How an application makes a LlamaIndex store, and reads it again; `None` for the default one.
Opener = Callable[[str], Any]
STORES: dict[str, tuple[Callable[[], Any], Opener | None]] = {
    "simple": (SimpleVectorStore, None),
    "faiss": (lambda: FaissVectorStore(faiss.IndexFlatL2(64)), FaissVectorStore.from_persist_dir),
    "faiss-map": (
        lambda: FaissMapVectorStore(faiss.IndexIDMap2(faiss.IndexFlatL2(64))), FaissMapVectorStore.from_persist_dir,
    ),
}  # fmt: skip


def answer(index: Any, question: str) -> list[str]:
    return [node.get_content() for node in index.as_retriever(similarity_top_k=3).retrieve(question)]


def persisted(folder: Path, kind: str) -> str:
    """The application before its model changes."""
    nodes = [TextNode(id_=f"n{row}", text=text) for row, text in enumerate(notes())]
    context = StorageContext.from_defaults(vector_store=STORES[kind][0]())
    index = VectorStoreIndex(nodes, embed_model=OLD, storage_context=context)
    assert answer(index, QUESTION) == nearest(64, QUESTION)
    index.storage_context.persist(folder)
    return str(folder)


def opened(folder: str, kind: str) -> StorageContext:
    opener = STORES[kind][1]
    return StorageContext.from_defaults(persist_dir=folder, vector_store=None if opener is None else opener(folder))


def faiss_folder(folder: Path) -> str:
    store = FAISS.from_texts(list(notes()), LangChainModel(64), [{"row": row} for row in range(len(notes()))])
    store.save_local(str(folder))
    return str(folder)


def loaded(folder: str, dimension: int) -> FAISS:
    return FAISS.load_local(folder, LangChainModel(dimension), allow_dangerous_deserialization=True)


def test_langchain_s_faiss(tmp_path: Path) -> None:
    folder = faiss_folder(tmp_path / "notes")
    store = loaded(folder, 256)
    report = langchain.auto_migrate(store, folder=folder)
    assert report.action == "migrated", report.error
    for each in (store, loaded(folder, 256)):
        assert [found.page_content for found in each.similarity_search(QUESTION, k=3)] == nearest(256, QUESTION)
    store.add_documents([Document("a note that came later")])
    store.save_local(folder)
    again = loaded(folder, 256)
    assert again.similarity_search("a note that came later", k=1)[0].page_content == "a note that came later"
    assert langchain.auto_migrate(again, folder=folder).action == "nothing"


@pytest.mark.parametrize("kind", STORES)
def test_llamaindex(tmp_path: Path, kind: str) -> None:
    folder = persisted(tmp_path / "storage", kind)
    context = opened(folder, kind)
    report = llamaindex.auto_migrate(context, NEW, folder=folder)
    assert report.action == "migrated", report.error
    assert [found.finding.address.name for found in report.collections] == ["default"]
    for each in (context, opened(folder, kind)):
        assert answer(load_index_from_storage(each, embed_model=NEW), QUESTION) == nearest(256, QUESTION)
    index = load_index_from_storage(context, embed_model=NEW)
    index.insert_nodes([TextNode(id_="late", text="a note that came later")])
    index.storage_context.persist(folder)
    again = load_index_from_storage(opened(folder, kind), embed_model=NEW)
    assert answer(again, "a note that came later")[0] == "a note that came later"
    assert llamaindex.auto_migrate(again, NEW, folder=folder).action == "nothing"


@pytest.mark.parametrize("kind", STORES)
def test_the_way_back_to_the_byte_and_with_what_was_added(tmp_path: Path, kind: str) -> None:
    folder = persisted(tmp_path / "storage", kind)
    before = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    llamaindex.auto_migrate(opened(folder, kind), NEW, folder=folder)
    migrator = Migrator(folder)
    assert all(check.unchanged for check in migrator.verify())
    migrator.rollback()
    assert {name: (Path(folder) / name).read_bytes() for name in before} == before
    llamaindex.auto_migrate(opened(folder, kind), NEW, folder=folder)
    index = load_index_from_storage(opened(folder, kind), embed_model=NEW)
    index.insert_nodes([TextNode(id_="late", text="a note that came later")])
    index.storage_context.persist(folder)
    with pytest.raises(WrittenSinceError):
        Migrator(folder).rollback()
    Migrator(folder).rollback(written="carry")
    back = load_index_from_storage(opened(folder, kind), embed_model=OLD)
    assert answer(back, QUESTION) == nearest(64, QUESTION)
    assert "a note that came later" in answer(back, "a note that came later")


def test_what_a_store_holds_that_was_not_saved_is_not_lost(tmp_path: Path) -> None:
    folder = faiss_folder(tmp_path / "notes")
    store = loaded(folder, 64)
    store.add_texts(["a note that was not saved"])
    before = {path: path.read_bytes() for path in (tmp_path / "notes").iterdir()}
    with pytest.raises(LightmigrateError, match="save it there first"):
        langchain.auto_migrate(store, LangChainModel(256), folder=folder)
    assert {path: path.read_bytes() for path in (tmp_path / "notes").iterdir()} == before
    assert store.similarity_search("a note that was not saved", k=1)[0].page_content == "a note that was not saved"


@pytest.mark.parametrize("kind", STORES)
def test_what_was_written_during_a_migration_is_not_replaced(tmp_path: Path, kind: str) -> None:
    folder = persisted(tmp_path / "storage", kind)
    store = opened(folder, kind).vector_store
    held = framework_store(store)
    assert held is not None
    assert held.reload is not None
    with FileStore(Path(folder)) as files:
        collection = files.collection(next(f.address for f in files.collections() if f.name == "default"))
        store.add([TextNode(id_="late", text="late", embedding=np.ones(64).tolist())])
        with pytest.raises(LightmigrateError, match="was written to while"):
            held.reload(collection)
        assert not held.holds(collection)


def test_a_folder_is_asked_for_where_it_is_needed(tmp_path: Path, database: Path) -> None:
    folder = faiss_folder(tmp_path / "notes")
    store = loaded(folder, 256)
    with pytest.raises(LightmigrateError, match="FAISS does not know the folder that it was read from: give folder="):
        langchain.auto_migrate(store)
    with pytest.raises(LightmigrateError, match="it does not hold what any of them holds"):
        langchain.auto_migrate(store, folder=database)
    for name in ("index.faiss", "index.pkl"):
        (tmp_path / "notes" / name.replace("index", "copy")).write_bytes((tmp_path / "notes" / name).read_bytes())
    with pytest.raises(LightmigrateError, match="2 of them hold the same"):
        langchain.auto_migrate(store, folder=folder)
    assert langchain.auto_migrate(store, folder=tmp_path / "not saved yet").action == "nothing"
    assert isinstance(open_database(folder), FileStore)
