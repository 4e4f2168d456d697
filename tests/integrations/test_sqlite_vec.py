"""An application of LangChain in an SQLite file whose model changes: its own code, before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_community.vectorstores import SQLiteVec

from lightmigrate import Migrator
from lightmigrate.errors import LightmigrateError
from lightmigrate.integrations import langchain
from tests.integrations.models import LangChainModel, nearest, notes
from tests.stores.sqlite_vec.test_langchain import connection

QUESTION = "an instrument that measures"


def answer(store: SQLiteVec, question: str, k: int = 3) -> list[str]:
    return [found.page_content for found in store.similarity_search(question, k=k)]


def test_langchain(tmp_path: Path) -> None:
    def opened(dimension: int, table: str = "notes") -> SQLiteVec:
        return SQLiteVec(table, connection(tmp_path / "vec.db"), LangChainModel(dimension))

    opened(128, "others").add_texts(["of others"])
    opened(64).add_texts(list(notes()), [{"row": row} for row in range(len(notes()))])
    assert answer(opened(64), QUESTION) == nearest(64, QUESTION)
    store = opened(256)
    report = langchain.auto_migrate(store)
    assert report.action == "migrated", report.error
    assert [each.finding.address.name for each in report.collections] == ["notes_vec"]
    assert answer(store, QUESTION) == nearest(256, QUESTION)
    store.add_texts(["a note that came later"], [{"row": -1}])
    assert answer(store, "a note that came later", 1) == ["a note that came later"]
    assert langchain.auto_migrate(opened(256)).action == "nothing"
    assert answer(opened(128, "others"), "of others", 1) == ["of others"]
    Migrator(store).rollback(written="carry")
    assert answer(opened(64), QUESTION) == nearest(64, QUESTION)
    assert "a note that came later" in answer(opened(64), "a note that came later", 1)


def test_a_table_in_memory_is_refused() -> None:
    place: Any = ":memory:"
    with pytest.raises(LightmigrateError, match="SQLiteVec keeps its table in memory"):
        langchain.auto_migrate(SQLiteVec("notes", connection(place), LangChainModel(64)))
