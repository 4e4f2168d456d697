"""LangChain's SQLiteVec on a migrated database: its own code answers with the new model, unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from langchain_community.vectorstores import SQLiteVec
from langchain_core.embeddings import Embeddings

import lightmigrate
from lightmigrate import Migrator
from lightmigrate.stores.sqlite_vec.driver import apsw, load_sqlite_vec
from tests.contract.sqlite_vec import application
from tests.encoders import WordLlama

WORDS = ("river", "stone", "sky", "cloud", "bird", "tree", "leaf", "water", "fire", "earth", "road", "house", "window")


class Model(Embeddings):
    """A real static encoder as LangChain knows models."""

    def __init__(self, dimension: int) -> None:
        self.encoder = WordLlama(dimension)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [list(map(float, vector)) for vector in self.encoder.embed(texts)]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def connection(path: Path) -> Any:
    """What `SQLiteVec.create_connection` makes; where Python's own SQLite loads no extensions, of apsw."""
    package = apsw()
    if package is None:
        return SQLiteVec.create_connection(str(path))

    class Connection(package.Connection):  # type: ignore[misc, name-defined]
        def commit(self) -> None:
            """Every statement is committed."""

    made = Connection(str(path))
    made.row_trace = lambda cursor, row: dict(zip((column[0] for column in cursor.get_description()), row, strict=True))
    load_sqlite_vec_by_name(made)
    return made


def load_sqlite_vec_by_name(made: Any) -> None:
    """Load the extension where rows are dictionaries."""
    trace, made.row_trace = made.row_trace, None
    load_sqlite_vec(made)
    made.row_trace = trace


def copies(path: Path) -> list[bytes]:
    """The second copy of the vectors, in LangChain's own table."""
    opened = application(path)
    rows = opened.execute("SELECT text_embedding FROM langchain ORDER BY rowid").fetchall()
    opened.close()
    return [blob for (blob,) in rows]


def test_langchain_searches_with_the_new_model(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "vec.db"
    texts = [" ".join(rng.choice(WORDS, 6)) for _ in range(300)]
    old, new = Model(64), Model(256)
    SQLiteVec("langchain", connection(path), old).add_texts(texts, [{"number": row} for row in range(300)])
    held = copies(path)
    projection = lightmigrate.fit(old.encoder.embed(texts[:200]), new.encoder.embed(texts[:200]))
    migrator = Migrator(path)
    assert [facts.name for facts in migrator.collections()] == ["langchain_vec"]
    migrator.migrate_collection("langchain_vec", projection)
    store = SQLiteVec("langchain", connection(path), new)
    found = [store.similarity_search(text, k=5) for text in texts[200:]]
    contents = [[document.page_content for document in documents] for documents in found]
    assert sum(text in each for text, each in zip(texts[200:], contents, strict=True)) >= 90
    assert found[0][0].metadata["number"] in range(300)
    assert all(len(blob) == 4 * 256 for blob in copies(path))  # no old vector can come back from there
    assert list(map(int, store.add_texts(["a new text"]))) == [301]
    migrator.rollback(written="carry")
    assert copies(path)[:300] == held
    assert SQLiteVec("langchain", connection(path), old).similarity_search(texts[7], k=1)[0].page_content == texts[7]
