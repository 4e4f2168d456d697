"""Milvus: a server, a `.db` of Milvus Lite, or an open client; a version is a collection of its own."""

from __future__ import annotations

from pathlib import Path

from lightmigrate.errors import DatabaseError, MissingExtraError
from lightmigrate.stores.base import Store
from lightmigrate.stores.kind import StoreKind, path_of

_SUFFIX = ".db"

KIND = StoreKind(
    "milvus",
    schemes=("milvus", "milvus+https"),
    open_url="lightmigrate.stores.milvus:open_url",
    marks=("LOCK",),
    recognises="lightmigrate.stores.milvus:is_lite",
    open_path="lightmigrate.stores.milvus:open_lite_path",
    clients={"pymilvus": "lightmigrate.stores.milvus.store:MilvusStore"},
    framework_stores={
        "langchain_milvus": "lightmigrate.stores.milvus.frameworks:of_langchain",
        "llama_index.vector_stores.milvus": "lightmigrate.stores.milvus.frameworks:of_llamaindex",
    },
)


def open_url(url: str) -> Store:
    """Open the server at `milvus://HOST[:PORT][/DATABASE]` or `milvus+https://…`, or Milvus Lite at `milvus:///PATH.db`.

    Only reads, but makes a database of Milvus Lite that does not exist.

    Raises:
        MissingExtraError: pymilvus is not installed.
        DatabaseError: no server answers. The message contains no token.
    """
    if url.startswith("milvus:///"):
        path = path_of(url)
        if path.suffix != _SUFFIX:
            raise DatabaseError(f"a database of Milvus Lite has a name that ends in {_SUFFIX}, and {path} does not")
        return open_lite_path(path)
    _require("pymilvus")
    from lightmigrate.stores.milvus.place import open_server
    from lightmigrate.stores.milvus.store import MilvusStore

    return MilvusStore(open_server(url), owned=True)


def is_lite(path: Path) -> bool:
    """Whether a folder `NAME.db` is a database of Milvus Lite 3. Only reads, and needs no pymilvus."""
    return path.suffix == _SUFFIX and (path / "LOCK").is_file() and (path / "collections").is_dir()


def open_lite_path(path: Path) -> Store:
    """Open a database of Milvus Lite, for this process alone, until the store is closed.

    Raises:
        MissingExtraError: pymilvus or milvus-lite is not installed.
        DatabaseInUseError: another process has it open.
    """
    _require("pymilvus")
    _require("milvus_lite")
    from lightmigrate.stores.milvus.place import open_lite
    from lightmigrate.stores.milvus.store import MilvusStore

    return MilvusStore(open_lite(path), owned=True)


def _require(module: str) -> None:
    try:
        __import__(module)
    except ImportError:
        raise MissingExtraError(module.replace("_", "-"), "milvus") from None
