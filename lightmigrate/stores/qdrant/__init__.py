"""Qdrant: a server, a folder of qdrant-client's local mode, or an open client; a version is a collection of its own."""

from __future__ import annotations

from pathlib import Path

from lightmigrate.errors import MissingExtraError
from lightmigrate.stores.base import Store
from lightmigrate.stores.kind import StoreKind, path_of

KIND = StoreKind(
    "qdrant",
    schemes=("qdrant", "qdrant+https"),
    open_url="lightmigrate.stores.qdrant:open_url",
    marks=("meta.json",),
    recognises="lightmigrate.stores.qdrant:is_folder",
    open_path="lightmigrate.stores.qdrant:open_folder",
    clients={"qdrant_client": "lightmigrate.stores.qdrant.store:QdrantStore"},
    framework_stores={
        "langchain_qdrant": "lightmigrate.stores.qdrant.frameworks:of_langchain",
        "langchain_community.vectorstores.qdrant": "lightmigrate.stores.qdrant.frameworks:of_langchain",
        "llama_index.vector_stores.qdrant": "lightmigrate.stores.qdrant.frameworks:of_llamaindex",
    },
)


def open_url(url: str) -> Store:
    """Open the server at `qdrant://host[:port]` or `qdrant+https://host[:port]`, or a folder at `qdrant:///PATH`.

    Only reads, but makes a folder that does not exist.

    Raises:
        MissingExtraError: qdrant-client is not installed.
        DatabaseError: no server answers. The message contains no key.
    """
    if url.startswith("qdrant:///"):
        return open_folder(path_of(url))
    _require_client()
    from lightmigrate.stores.qdrant.place import open_server
    from lightmigrate.stores.qdrant.store import QdrantStore

    return QdrantStore(open_server(url), owned=True)


def is_folder(folder: Path) -> bool:
    """Whether a folder is one of qdrant-client's local mode. Only reads, and needs no qdrant-client."""
    return (folder / "meta.json").is_file() and (folder / "collection").is_dir()


def open_folder(folder: Path) -> Store:
    """Open a folder of local mode, for this process alone, until the store is closed.

    qdrant-client itself unpickles the points in such a folder: open only folders that you trust.

    Raises:
        MissingExtraError: qdrant-client is not installed.
        DatabaseInUseError: another process has it open.
    """
    _require_client()
    from lightmigrate.stores.qdrant.place import open_local
    from lightmigrate.stores.qdrant.store import QdrantStore

    return QdrantStore(open_local(folder), owned=True, reopen=lambda: open_local(folder))


def _require_client() -> None:
    try:
        import qdrant_client  # noqa: F401
    except ImportError:
        raise MissingExtraError("qdrant-client", "qdrant") from None
