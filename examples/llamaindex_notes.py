"""A LlamaIndex application that goes on after a change of its embedding model: one line where it opens its store.

pip install 'lightmigrate[chroma]' llama-index-vector-stores-chroma
"""

from __future__ import annotations

import chromadb
from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.vector_stores.chroma import ChromaVectorStore

from lightmigrate.integrations.llamaindex import auto_migrate


def open_notes(folder: str, embed_model: BaseEmbedding) -> VectorStoreIndex:
    """The notes of a folder, searched with `embed_model`, whatever model they were stored with."""
    store = ChromaVectorStore(chromadb.PersistentClient(folder).get_or_create_collection("notes"))
    auto_migrate(store, embed_model)
    return VectorStoreIndex.from_vector_store(store, embed_model)


def answer(notes: VectorStoreIndex, question: str) -> list[str]:
    """The notes that are nearest to a question."""
    return [found.get_content() for found in notes.as_retriever(similarity_top_k=3).retrieve(question)]
