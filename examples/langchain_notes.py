"""A LangChain application that goes on after a change of its embedding model: one line where it opens its store.

pip install 'lightmigrate[chroma]' langchain-chroma
"""

from __future__ import annotations

from langchain_chroma import Chroma
from langchain_core.embeddings import Embeddings

from lightmigrate.integrations.langchain import auto_migrate


def open_notes(folder: str, embeddings: Embeddings) -> Chroma:
    """The notes of a folder, searched with `embeddings`, whatever model they were stored with."""
    store = Chroma("notes", embeddings, persist_directory=folder)
    auto_migrate(store)
    return store


def answer(notes: Chroma, question: str) -> list[str]:
    """The notes that are nearest to a question."""
    return [document.page_content for document in notes.similarity_search(question, k=3)]
