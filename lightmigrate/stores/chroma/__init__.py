"""Everything that knows Chroma: its files and tables, and its client."""

from __future__ import annotations

from lightmigrate.stores.kind import StoreKind

KIND = StoreKind(
    "chroma",
    marks=("chroma.sqlite3",),
    open_path="lightmigrate.stores.chroma.files:ChromaFiles",
    clients={"chromadb": "lightmigrate.stores.chroma.live:LiveChromaStore"},
    served="lightmigrate.stores.chroma.serving:served",
    client_packages=("chromadb",),
)
