"""PostgreSQL with pgvector: a collection is a table, a vector column and perhaps the value of a filter column."""

from __future__ import annotations

from lightmigrate.errors import MissingExtraError
from lightmigrate.stores.base import Store
from lightmigrate.stores.kind import StoreKind

KIND = StoreKind(
    "pgvector",
    schemes=("postgresql", "postgres"),
    open_url="lightmigrate.stores.pgvector:open_url",
)


def open_url(url: str) -> Store:
    """Open the database at `postgresql://user@host/name`. Only reads.

    Raises:
        MissingExtraError: psycopg is not installed.
        DatabaseError: no server answers, or the database has no pgvector. The message contains no password.
    """
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise MissingExtraError("psycopg", "pgvector") from None
    from lightmigrate.stores.pgvector.store import PgStore

    return PgStore(url)
