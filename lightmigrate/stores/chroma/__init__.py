"""Everything that knows Chroma: its files and tables, and its client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightmigrate.stores.kind import StoreKind, path_of

if TYPE_CHECKING:
    from lightmigrate.stores.chroma.files import ChromaFiles

KIND = StoreKind(
    "chroma",
    marks=("chroma.sqlite3", "chroma-collections.parquet", "chroma-embeddings.parquet"),  # today's, and before 0.4
    open_path="lightmigrate.stores.chroma.files:ChromaFiles",
    schemes=("chroma",),
    open_url="lightmigrate.stores.chroma:open_url",
    clients={"chromadb": "lightmigrate.stores.chroma.live:LiveChromaStore"},
    framework_stores={
        "chromadb.api.models": "lightmigrate.stores.chroma.frameworks:of_collection",
        "langchain_chroma": "lightmigrate.stores.chroma.frameworks:of_langchain",
        "llama_index.vector_stores.chroma": "lightmigrate.stores.chroma.frameworks:of_llamaindex",
    },
    served="lightmigrate.stores.chroma.serving:served",
    client_packages=("chromadb",),
)


def open_url(url: str) -> ChromaFiles:
    """The folder at `chroma:///PATH`, which need not exist yet. Only reads.

    Raises:
        DatabaseError: the address has another form.
    """
    from lightmigrate.stores.chroma.files import ChromaFiles

    return ChromaFiles(path_of(url))
