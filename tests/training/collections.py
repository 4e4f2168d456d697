"""Collections of real abstracts with the vectors of potion-base-8M, for the tests of this folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from lightmigrate.demo.data import load_corpus
from lightmigrate.stores.base import Address, Collection
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore

CORPUS = load_corpus()
NOTES = Address("notes")


@contextlib.contextmanager
def open_notes(folder: Path, texts: Sequence[str | None]) -> Iterator[Collection]:
    """A new collection, open; the row of its text in the corpus is the row of its vector."""
    with open_client(folder) as client:
        client.create_collection("notes", embedding_function=None).add(
            ids=[f"n{row}" for row in range(len(texts))],
            documents=list(texts) if any(texts) else None,
            embeddings=CORPUS.old_documents[: len(texts)],
        )
    with ChromaFolderStore(folder) as store:
        yield store.collection(NOTES)
