"""LangChain's and LlamaIndex's vector stores in PostgreSQL. They connect with SQLAlchemy, lightmigrate on its own."""

from __future__ import annotations

from typing import Any

from lightmigrate.stores.kind import FrameworkStore

# The table of all collections of LangChain's `PGVector`.
_SHARED = "langchain_pg_embedding"


def of_langchain(store: Any) -> FrameworkStore:
    """A `PGVector`: its collection is a part of one table, or where that has a dimension, the whole table."""
    engine = store._engine if store._engine is not None else store._async_engine
    return FrameworkStore(_url(engine.url), [f"{_SHARED}[{store.collection_name}]", _SHARED], store.embeddings)


def of_langchain_table(store: Any) -> FrameworkStore:
    """A `PGVectorStore`, or the asynchronous one within it: a table of its own."""
    inner = getattr(store, "_PGVectorStore__vs", store)
    names = _names(inner.schema_name, inner.table_name)
    return FrameworkStore(_url(inner.engine.url), names, inner.embedding_service)


def of_llamaindex(store: Any) -> FrameworkStore:
    """A `PGVectorStore` of LlamaIndex; it does not know the index's embedding model."""
    from sqlalchemy import make_url

    url = make_url(store.connection_string) if store._engine is None else store._engine.url
    return FrameworkStore(_url(url), _names(store.schema_name, f"data_{store.table_name.lower()}"))


def _names(schema: str, table: str) -> list[str]:
    """A table with and without its schema, which is left out of an address where it is on the search path."""
    return [table, f"{schema}.{table}"]


def _url(url: Any) -> str:
    """SQLAlchemy's address of a database, as libpq takes it; holds the password."""
    plain: str = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return plain
