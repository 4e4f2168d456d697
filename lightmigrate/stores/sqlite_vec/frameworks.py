"""LangChain's vector store in an SQLite file: its connection says which file, and reads the table anew every time."""

from __future__ import annotations

from typing import Any

from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.kind import FrameworkStore


def of_langchain(store: Any) -> FrameworkStore:
    """A `SQLiteVec` of LangChain: its vec0 table.

    Raises:
        LightmigrateError: its database is in memory, where nobody else can open it.
    """
    databases = store._connection.execute("PRAGMA database_list").fetchall()
    file = next((each["file"] for each in databases if each["name"] == "main"), "")
    if not file:
        raise LightmigrateError(
            f"{type(store).__name__} keeps its table in memory, and lightmigrate opens files: give it one"
        )
    return FrameworkStore(file, [f"{store._table}_vec"], store._embedding)
