"""`auto_migrate` on databases that LlamaIndex, LangChain and mem0 wrote, with the packages themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_chroma import Chroma
from langchain_core.documents import Document as LangChainDocument
from langchain_core.embeddings import Embeddings
from llama_index.core import Document, StorageContext, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import MetadataMode
from llama_index.core.vector_stores.utils import metadata_dict_to_node
from llama_index.vector_stores.chroma import ChromaVectorStore

from lightmigrate import auto_migrate
from lightmigrate.startup.report import StartReport
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.vectors import Vectors
from tests.encoders import shared_wordllama
from tests.startup.starts import CORPUS

ROWS = 160
TEXTS = [text[:300] for text in CORPUS.documents[:ROWS]]
AUTHORS = ["A. Meyer of Basel", "B. Ito of Osaka", "C. Diallo of Dakar"]

# Judged by few documents; what is migrated is asked here, not how well.
LENIENT: dict[str, Any] = {"calibrate": 100, "min_quality": 0.1}


class LlamaIndexModel(BaseEmbedding):
    """wordllama as LlamaIndex calls it."""

    dimension: int

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return [[float(number) for number in row] for row in shared_wordllama(self.dimension).embed(texts)]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


class LangChainModel(Embeddings):
    """The same as LangChain calls it."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(number) for number in row] for row in shared_wordllama(self.dimension).embed(texts)]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def encode(dimension: int, texts: Sequence[str]) -> Vectors:
    return shared_wordllama(dimension).embed(texts)


def rows_of(folder: Path, name: str) -> Any:
    with open_client(folder) as client:
        return client.get_collection(name, embedding_function=None).get(
            include=["documents", "embeddings", "metadatas"]
        )


def cosine(vectors: Any, others: Vectors) -> float:
    return float(np.mean(np.sum(np.asarray(vectors, np.float32) * others, axis=1)))


@pytest.fixture
def llamaindex(tmp_path: Path) -> Path:
    documents = [
        Document(text=text, metadata={"path": f"/papers/{row % 7}.pdf", "author": AUTHORS[row % 3]})
        for row, text in enumerate(TEXTS)
    ]
    with open_client(tmp_path / "db") as client:
        store = ChromaVectorStore(chroma_collection=client.get_or_create_collection("quickstart"))
        VectorStoreIndex.from_documents(
            documents,
            storage_context=StorageContext.from_defaults(vector_store=store),
            embed_model=LlamaIndexModel(dimension=128),
            transformations=[SentenceSplitter(chunk_size=1024)],
        )
    return tmp_path / "db"


def test_the_model_of_a_llamaindex_collection_is_recognised_to_the_last_digits(llamaindex: Path) -> None:
    report = auto_migrate(llamaindex, LlamaIndexModel(dimension=128))
    (one,) = report.collections
    assert (report.action, one.finding.verdict) == ("nothing", "same")
    assert "to the last digits" in one.finding.evidence
    assert "LlamaIndex's metadata and text of a node" in one.texts


def test_migrated_rows_stand_for_what_llamaindex_will_embed(llamaindex: Path) -> None:
    before = rows_of(llamaindex, "quickstart")
    report = auto_migrate(
        llamaindex, LlamaIndexModel(dimension=256), previous_function=LlamaIndexModel(dimension=128), **LENIENT
    )
    assert report.action == "migrated", report
    assert "metadata" in report.collections[0].texts
    rows = rows_of(llamaindex, "quickstart")
    assert (rows["documents"], rows["metadatas"]) == (before["documents"], before["metadatas"])
    nodes = [
        metadata_dict_to_node(metadata, text=document)
        for metadata, document in zip(rows["metadatas"], rows["documents"], strict=True)
    ]
    embedded = encode(256, [node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes])
    assert cosine(rows["embeddings"], embedded) > cosine(rows["embeddings"], encode(256, rows["documents"])) + 0.02


def test_langchain_works_on_with_its_own_object(tmp_path: Path) -> None:
    folder = tmp_path / "db"
    with open_client(folder) as client:
        old = Chroma(client=client, embedding_function=LangChainModel(128))
        old.add_documents(
            [LangChainDocument(page_content=text, metadata={"page": row}) for row, text in enumerate(TEXTS)],
            ids=[str(row) for row in range(ROWS)],
        )
    assert auto_migrate(folder, LangChainModel(128)).action == "nothing"
    report = auto_migrate(folder, LangChainModel(256), previous_function=LangChainModel(128), **LENIENT)
    assert report.action == "migrated", report
    with open_client(folder) as client:
        store = Chroma(client=client, embedding_function=LangChainModel(256))
        ((found, score),) = store.similarity_search_with_relevance_scores(TEXTS[7], k=1)
        assert found.metadata == {"page": 7}
        assert score > 0
        store.add_documents([LangChainDocument(page_content="a new note")], ids=["new"])
        assert store.similarity_search("a new note", k=1)[0].page_content == "a new note"


def memories(folder: Path, name: str, fields: Sequence[str]) -> Path:
    """As mem0 writes: no documents, the text in a field of the metadata."""
    with open_client(folder) as client:
        client.create_collection(name, embedding_function=None).add(
            ids=[str(row) for row in range(ROWS)],
            embeddings=encode(128, TEXTS),
            metadatas=[
                {**{field: f"{text} {field}" for field in fields}, "user_id": f"user-{row % 9}", "hash": f"{row:032x}"}
                for row, text in enumerate(TEXTS)
            ],
        )
    return folder


def test_the_text_in_a_field_of_the_metadata_is_found_and_named(tmp_path: Path) -> None:
    folder = memories(tmp_path / "db", "mem0", ["data"])
    report = auto_migrate(folder, LangChainModel(256), **LENIENT)
    assert report.action == "migrated", report
    assert report.collections[0].texts.startswith("the metadata field 'data', which explains")
    rows = rows_of(folder, "mem0")
    assert rows["documents"] == [None] * ROWS
    assert cosine(rows["embeddings"], encode(256, [f"{text} data" for text in TEXTS])) > 0.8


def test_a_title_that_was_embedded_before_the_document_is_recognised_by_the_model(tmp_path: Path) -> None:
    titles, bodies = [text[:40] for text in TEXTS], [text[40:] for text in TEXTS]
    with open_client(tmp_path / "db") as client:
        client.create_collection("haystack", embedding_function=None).add(
            ids=[f"{row:064x}" for row in range(ROWS)],
            embeddings=encode(256, [f"{title}\n{body}" for title, body in zip(titles, bodies, strict=True)]),
            documents=bodies,
            metadatas=[{"title": title, "split_id": row} for row, title in enumerate(titles)],
        )
    report = auto_migrate(tmp_path / "db", LangChainModel(256))
    (one,) = report.collections
    assert (one.finding.verdict, report.action) == ("same", "nothing"), report
    assert one.texts.startswith("a template of the metadata and the document (title, document): the model's vectors")


def with_images(folder: Path, images: int) -> Path:
    """Texts, and images by their uri, whose vectors another part of the model made."""
    vectors = np.concatenate([encode(128, TEXTS), np.roll(encode(128, TEXTS[:images]), 9, axis=1)])
    with open_client(folder) as client:
        client.create_collection("shop", embedding_function=None).add(
            ids=[str(row) for row in range(ROWS + images)],
            embeddings=vectors,
            documents=[*TEXTS, *[None] * images],
            uris=[*[None] * ROWS, *[f"/images/{row}.png" for row in range(images)]],
        )
    return folder


def test_images_are_not_given_vectors_that_nobody_measured(tmp_path: Path) -> None:
    folder = with_images(tmp_path / "db", 20)
    before = rows_of(folder, "shop")
    report = auto_migrate(folder, LangChainModel(256), **LENIENT)
    assert report.action == "refused"
    reason = report.collections[0].reason
    assert "20 of 180 sampled records have a uri and no text" in reason
    assert f"lightmigrate migrate {folder} --collection" in reason
    assert np.array_equal(rows_of(folder, "shop")["embeddings"], before["embeddings"])


def test_a_few_records_without_a_text_are_counted_and_named(tmp_path: Path) -> None:
    report = auto_migrate(with_images(tmp_path / "db", 3), LangChainModel(256), **LENIENT)
    assert report.action == "migrated", report
    assert "3 of 163 sampled records have no text and are projected from their vectors" in report.collections[0].texts


@pytest.mark.parametrize("by", ["option", "environment"])
def test_of_two_fields_that_cannot_be_told_apart_the_operator_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    folder = memories(tmp_path / "db", "notes", ["body", "summary"])
    refused: StartReport = auto_migrate(folder, LangChainModel(256), **LENIENT)
    assert refused.action == "refused"
    assert "--text-field body or --text-field summary" in refused.collections[0].reason
    options: dict[str, Any] = {"text_field": "body"} if by == "option" else {}
    if by == "environment":
        monkeypatch.setenv("LIGHTMIGRATE_TEXT_FIELD", "body")
    report = auto_migrate(folder, LangChainModel(256), **LENIENT, **options)
    assert report.action == "migrated", report
    assert report.collections[0].texts == "the metadata field 'body', as the policy says"
