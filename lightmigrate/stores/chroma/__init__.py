"""Everything that knows Chroma: its files and tables, and its client."""

from __future__ import annotations

from lightmigrate.stores.kind import StoreKind

KIND = StoreKind(
    "chroma",
    marks=("chroma.sqlite3", "chroma-collections.parquet", "chroma-embeddings.parquet"),  # today's, and before 0.4
    open_path="lightmigrate.stores.chroma.files:ChromaFiles",
    clients={"chromadb": "lightmigrate.stores.chroma.live:LiveChromaStore"},
    framework_stores={
        "chromadb.api.models": "lightmigrate.stores.chroma.frameworks:of_collection",
        "langchain_chroma": "lightmigrate.stores.chroma.frameworks:of_langchain",
        "llama_index.vector_stores.chroma": "lightmigrate.stores.chroma.frameworks:of_llamaindex",
    },
    served="lightmigrate.stores.chroma.serving:served",
    client_packages=("chromadb",),
)
