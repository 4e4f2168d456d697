"""LlamaIndex's own store: its real package goes on with the files, and its texts are found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Document, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.node_parser import SentenceSplitter

from lightmigrate.stores.base import Address, Page
from lightmigrate.texts.fields import fields_of
from lightmigrate.texts.llamaindex import LlamaIndexForm
from tests.stores.vector_files.moving import LATER, moved, opened, some

OLD, NEW = 8, 12


class Model(MockEmbedding):
    """Vectors that depend on the text alone; keeps what it embedded."""

    seen: list[str] = []  # noqa: RUF012  # a field of pydantic's

    def _get_text_embedding(self, text: str) -> list[float]:
        self.seen.append(text)
        vector: list[float] = some(1, self.embed_dim, len(text)).reshape(-1).tolist()
        return vector

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [self._get_text_embedding(text) for text in texts]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Model]:
    """A folder that LlamaIndex persisted, and the model that embedded."""
    model = Model(embed_dim=OLD)
    documents = [
        Document(text=f"Text number {row}. " * (row + 1), metadata={"source": f"{row}.md"}, doc_id=f"doc{row}")
        for row in range(12)
    ]
    splitter = SentenceSplitter(chunk_size=60, chunk_overlap=5)
    index = VectorStoreIndex.from_documents(documents, embed_model=model, transformations=[splitter])
    index.storage_context.persist(str(tmp_path / "storage"))
    return tmp_path / "storage", model


def found_by(folder: Path, dimension: int, query: str) -> Any:
    context = StorageContext.from_defaults(persist_dir=str(folder))
    index = load_index_from_storage(context, embed_model=Model(embed_dim=dimension))
    return index.as_retriever(similarity_top_k=1).retrieve(query)[0]


def test_what_llamaindex_embedded_is_found(saved: tuple[Path, Model]) -> None:
    folder, model = saved
    collection = opened(folder).collection(Address("default"))
    page = collection.records(list(collection.ids()))
    texts = [
        LlamaIndexForm().text(text, fields_of(payload)) for text, payload in zip(page.texts, page.payloads, strict=True)
    ]
    assert sorted(map(str, texts)) == sorted(model.seen)


def test_an_application_goes_on_with_the_new_vectors_and_back(saved: tuple[Path, Model]) -> None:
    folder, _ = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    store = opened(folder)
    count = store.collection(Address("default")).count()
    backup = moved(store, "default", NEW)
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert {name for name in before if before[name] != after[name]} == {"default__vector_store.json"}
    old, new = (json.loads(each["default__vector_store.json"]) for each in (before, after))
    assert {key: value for key, value in new.items() if key != "embedding_dict"} == {
        key: value for key, value in old.items() if key != "embedding_dict"
    }
    assert list(new["embedding_dict"]) == list(old["embedding_dict"])
    assert len(new["embedding_dict"]) == count
    assert found_by(folder, NEW, "a question").node.text.startswith("Text number")
    store.restore(backup, LATER)
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_nodes_of_other_stores_of_the_folder_stay(saved: tuple[Path, Model]) -> None:
    folder, _ = saved
    store = opened(folder)
    backup = moved(store, "default", NEW)
    live = store.collection(Address("default"))
    gone = next(live.ids())
    live.remove([gone])
    empty = {"embedding_dict": {"x": [1.0, 0.0]}, "text_id_to_ref_doc_id": {}, "metadata_dict": {}}
    (folder / "image__vector_store.json").write_text(json.dumps(empty))
    other = store.collection(Address("image"))
    other.add(Page(["pictured"], some(1, 2), ["a picture"], [None]))
    store.restore(backup, LATER)
    assert store.collection(Address("default")).records([gone]).texts != [None]
    assert store.collection(Address("image")).records(["pictured"]).texts == ["a picture"]
    assert found_by(folder, OLD, "a question").node.text.startswith("Text number")
