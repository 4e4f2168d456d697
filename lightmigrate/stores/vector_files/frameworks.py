"""Vector stores of LangChain and LlamaIndex that an application reads from files into memory, and writes back itself.

Such an object does not know its files. Only its vectors are read anew after a migration, in the order in which they
are: its texts and ids stay as the application has them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Collection
from lightmigrate.stores.kind import FrameworkStore
from lightmigrate.stores.vector_files.collection import FileCollection


def of_langchain_faiss(store: Any) -> FrameworkStore:
    """A `FAISS` of LangChain, as `load_local` reads it."""
    return _faiss(store, "index", store.embedding_function)


def of_llamaindex_faiss(store: Any) -> FrameworkStore:
    """A `FaissVectorStore` of LlamaIndex; it does not know the index's embedding model."""
    return _faiss(store, "_faiss_index", None)


def of_llamaindex_simple(store: Any) -> FrameworkStore:
    """A `SimpleVectorStore`, LlamaIndex's default; it does not know the index's embedding model."""

    def holds(path: Path) -> bool:
        return bool(_vectors(path) == store.data.embedding_dict)

    def reload(path: Path) -> None:
        vectors = _vectors(path)
        _require_unwritten(store, path, list(vectors) == list(store.data.embedding_dict))
        store.data.embedding_dict = vectors

    return _in_memory(holds, reload, None)


def _faiss(store: Any, attribute: str, embedding: object) -> FrameworkStore:
    """An object that holds a FAISS index in an attribute."""

    def holds(path: Path) -> bool:
        return _same_index(getattr(store, attribute), path)

    def reload(path: Path) -> None:
        import faiss

        index = faiss.read_index(str(path))
        _require_unwritten(store, path, index.ntotal == getattr(store, attribute).ntotal)
        setattr(store, attribute, index)

    return _in_memory(holds, reload, embedding)


def _in_memory(holds: Callable[[Path], bool], reload: Callable[[Path], None], embedding: object) -> FrameworkStore:
    def main_of(collection: Collection) -> Path:
        assert isinstance(collection, FileCollection)  # noqa: S101  # a collection of this store
        return collection.place.main

    return FrameworkStore(
        None, [], embedding,
        holds=lambda collection: isinstance(collection, FileCollection) and holds(collection.place.main),
        reload=lambda collection: reload(main_of(collection)),
    )  # fmt: skip


def _same_index(index: Any, path: Path) -> bool:
    """Whether a FAISS index would be written as the file is, byte for byte; needs no second copy in memory."""
    import faiss

    same = True
    with path.open("rb") as file:

        def compare(block: bytes) -> None:
            nonlocal same
            same = same and file.read(len(block)) == block

        faiss.write_index(index, faiss.PyCallbackIOWriter(compare))
        return same and not file.read(1)


def _vectors(path: Path) -> dict[str, list[float]]:
    """The vectors by id in LlamaIndex's own file; none where the file is of another kind."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return {}
    vectors: dict[str, list[float]] = content.get("embedding_dict", {}) if isinstance(content, dict) else {}
    return vectors


def _require_unwritten(store: object, path: Path, same: bool) -> None:
    if not same:
        raise LightmigrateError(
            f"{type(store).__name__} was written to while {path} was migrated, and holds the vectors from before: load "
            "the folder again, and add there what was written"
        )
