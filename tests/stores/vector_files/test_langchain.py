"""LangChain's FAISS folder: its real package goes on with it; a pickle that names anything else is refused unread."""

from __future__ import annotations

import datetime
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from lightmigrate import Migrator
from lightmigrate.errors import DamagedCollectionError, WrittenSinceError
from lightmigrate.stores.base import Address
from lightmigrate.stores.vector_files.langchain import read_docstore
from lightmigrate.stores.vector_files.pickle_reader import Instance, loads
from lightmigrate.stores.vector_files.pickle_writer import dumps
from tests.databases import NEW_DIM, OLD_DIM, make_projection
from tests.stores.vector_files.moving import LATER, moved, opened, some, turned

ROWS = 60


class Model(Embeddings):
    """Vectors that depend on the text alone."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors = [some(1, OLD_DIM, int(text.rpartition(" ")[2]))[0] for text in texts]
        if self._dimension != OLD_DIM:
            vectors = [make_projection().apply(vector[None])[0] for vector in vectors]
        return [vector.tolist() for vector in vectors]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that LangChain saved."""
    when = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    documents = [
        Document(
            page_content=f"text {row}",
            metadata={"page": row, "at": when, "tags": ["a", ("b", 1.5)], "none": float("nan")},
        )
        for row in range(ROWS)
    ]
    ids = [f"id{row}" for row in range(ROWS)]
    FAISS.from_documents(documents, Model(OLD_DIM), ids=ids).save_local(str(tmp_path / "lc"))
    return tmp_path / "lc"


def application(folder: Path, dimension: int) -> FAISS:
    return FAISS.load_local(str(folder), Model(dimension), allow_dangerous_deserialization=True)


def test_an_application_goes_on_with_the_new_model_and_back(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    migrator = Migrator(folder)
    migrator.migrate_collection("index", make_projection())
    assert (folder / "index.pkl").read_bytes() == before["index.pkl"]
    found = application(folder, NEW_DIM).similarity_search("text 7", 1)
    assert [document.page_content for document in found] == ["text 7"]
    assert all(check.contents_equal and check.vectors_equal for check in migrator.verify())
    migrator.rollback()
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert [document.id for document in application(folder, OLD_DIM).similarity_search("text 9", 1)] == ["id9"]


def test_what_the_application_adds_after_a_migration_is_refused_or_carried_back(folder: Path) -> None:
    migrator = Migrator(folder)
    migrator.migrate_collection("index", make_projection())
    serving = application(folder, NEW_DIM)
    serving.add_documents([Document(page_content="text 900", metadata={"new": True})], ids=["added"])
    serving.delete(["id3"])
    serving.save_local(str(folder))
    with pytest.raises(WrittenSinceError):
        migrator.rollback()
    assert application(folder, NEW_DIM).index.ntotal == ROWS
    migrator.rollback(written="carry")
    back = application(folder, OLD_DIM)
    assert (back.index.ntotal, back.index.d) == (ROWS, OLD_DIM)
    assert [document.id for document in back.similarity_search("text 8", 1)] == ["id8"]
    assert back.docstore.search("added").page_content == "text 900"
    assert back.docstore.search("added").metadata == {"new": True}
    assert isinstance(back.docstore.search("id3"), str)  # LangChain's way to say that there is none
    assert back.docstore.search("id5").metadata["at"].year == 2026


def test_what_is_carried_back_is_what_the_application_wrote_with_its_types_and_ids(folder: Path) -> None:
    Migrator(folder).migrate_collection("index", make_projection())
    metadata = {
        "at": datetime.datetime(2026, 2, 3, 4, 5, tzinfo=datetime.timezone.utc), "pair": ("a", 1), "set": {3, 1},
        7: "whole key", "infinite": float("inf"), "none": float("nan"),
    }  # fmt: skip
    serving = application(folder, NEW_DIM)
    serving.add_documents([Document(id="own", page_content="text 900", metadata=metadata)], ids=["added"])
    serving.docstore.search("id5").metadata.update(metadata)
    serving.delete(["id3"])  # written anew, it is the last: the order of the rows is another one from then on
    serving.add_documents([Document(page_content="text 3", metadata=metadata)], ids=["id3"])
    own = serving.docstore.search("added").id
    serving.save_local(str(folder))
    Migrator(folder).rollback(written="carry")
    back = application(folder, OLD_DIM)
    assert back.index.d == OLD_DIM
    assert back.docstore.search("added").id == own
    for record in ("added", "id3", "id5"):
        found = {key: back.docstore.search(record).metadata[key] for key in metadata}
        assert str(found) == str(metadata)  # in which a NaN equals another
        assert {key: type(value) for key, value in found.items()} == {
            key: type(value) for key, value in metadata.items()
        }


def test_a_folder_written_anew_is_one_that_langchain_reads(folder: Path) -> None:
    collection = opened(folder).collection(Address("index"))
    page = collection.records(["id5", "id6"])
    assert page.payloads[0] == {
        "metadata": {"page": 5, "at": "2026-01-01 00:00:00+00:00", "tags": ["a", ["b", 1.5]], "none": "NaN"}
    }
    collection.remove(["id5"])
    collection.add(page.part(0, 1))
    again = application(folder, OLD_DIM)
    assert again.similarity_search("text 5", 1)[0].id == "id5"
    assert again.similarity_search("text 6", 1)[0].metadata["at"].year == 2026


class Runs:
    """Runs a command when it is unpickled."""

    def __init__(self, command: Callable[..., Any], *arguments: Any) -> None:
        self._call = (command, arguments)

    def __reduce__(self) -> Any:
        return self._call


def documents(**values: Any) -> bytes:
    """The file of one document with these metadata, as LangChain would write it."""
    state = {"__dict__": {"id": "a", "metadata": values, "page_content": "a text", "type": "Document"}}
    document = Instance(("langchain_core.documents.base", "Document"), state)
    docstore = Instance(("langchain_community.docstore.in_memory", "InMemoryDocstore"), {"_dict": {"a": document}})
    return dumps((docstore, {0: "a"}))


def shared(levels: int) -> bytes:
    """A file whose metadata refer to one list again and again: a few bytes that stand for 2^levels values."""
    marked = documents(value="HERE")
    text = b"\x8d" + (4).to_bytes(8, "little") + b"HERE"
    assert text in marked
    nested = b"]\x94"
    for level in range(levels):
        nested = b"](" + nested + b"h" + bytes([level]) + b"e\x94"
    return marked.replace(text, nested)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps(Runs(os.system, "touch HACKED")), "it names 'posix.system'"),
        (pickle.dumps((Runs(eval, "1"), {})), "it names 'builtins.eval'"),
        (pickle.dumps(Runs(open, "HACKED", "w"), 2), r"it names '(_io|io)\.open'"),
        (b"cos\nsystem\n(S'touch HACKED'\ntR.", "it names 'os.system'"),
        (b"(S'touch HACKED'\nios\nsystem\n.", "instruction 0x53 at byte 1"),
        (b"\x80\x04\x8c\x0alangchain.x\x8c\x06system\x93.", "instruction 0x78"),
        (b"clangchain_core.documents.base\nDocument.__init__\n.", "it names"),
        (b"clangchain_core.documents.base\nDocument\n(K\x01tR.", "it calls something"),
        (b"clangchain_core.documents.base\nDocument\n(K\x01t\x81.", "something else than a class alone"),
        (b"clangchain_core.documents.base\nDocument\n}b.", "a value of another type"),
        (b"cdatetime\ndate\n(]tR.", "a date of something else"),
        (b"cdatetime\ndate\n)R.", "TypeError"),
        (b"P1\n.", "instruction 0x50"),
        (b"\x80\x05\x82\x01.", "instruction 0x82"),
        (b"\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "it ends too early"),
        (b"N(.", "more than one thing"),
        (b"N.N", "more than one thing"),
        (b"h\x05.", "KeyError"),
        (b"u.", "IndexError"),
        (b"}]Ns.", "TypeError"),
        (pickle.dumps(({}, {})), "AttributeError"),
        (pickle.dumps(([1], {0: "a"})), "AttributeError"),
        (pickle.dumps(5), "TypeError"),
        (documents(value=Instance(("langchain_core.documents.base", "Document"), {})), "hold a Instance"),
        (documents(value=b"bytes"), "hold a bytes"),
        (documents(value=1 << 100_000), "too large a number"),
        (shared(40), "too large"),
        (shared(200), "too large"),
        (documents(value=1)[:-5], "it ends too early"),
        (b"", "it ends too early"),
        (b"(" * 5000 + b"t" * 4000, "it ends too early"),
    ],
)
def test_a_pickle_that_langchain_did_not_write_is_refused_and_runs_nothing(
    folder: Path, content: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "index.pkl").write_bytes(content)
    with pytest.raises(DamagedCollectionError, match=reason):
        read_docstore(folder / "index.pkl")
    assert not (folder / "HACKED").exists()
    assert list(opened(folder).damaged([Address("index")])) == [Address("index")]


def test_what_is_written_is_what_python_reads() -> None:
    values = {
        "text": "é \U0001f642", "bytes": b"\x00", "numbers": [0, -1, 255, 256, -(2**70), 2**31, 0.1, float("inf")],
        "flags": (True, False, None, ()), "sets": [{1}, frozenset({"a"})], "empty": [{}, [], {0}],
        "dates": [datetime.date(2026, 1, 1), datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
                  datetime.time(1, 2), datetime.timedelta(-1, 5)],
    }  # fmt: skip
    assert pickle.loads(dumps(values)) == values
    for protocol in (4, 5):
        assert loads(pickle.dumps(values, protocol), lambda module, name: False) == values


def test_rows_whose_ids_are_missing_are_known_by_their_number(tmp_path: Path) -> None:
    index = faiss.IndexFlatL2(OLD_DIM)
    index.add(some(2, OLD_DIM))
    faiss.write_index(index, str(tmp_path / "index.faiss"))
    documents_ = {
        key: Instance(("langchain_core.documents.base", "Document"), {"__dict__": {"page_content": str(key)}})
        for key in (None, "a")
    }
    docstore = Instance(("langchain_community.docstore.in_memory", "InMemoryDocstore"), {"_dict": documents_})
    (tmp_path / "index.pkl").write_bytes(dumps((docstore, {0: None, 1: "a"})))
    store = opened(tmp_path)
    assert list(store.collection(Address("index")).ids()) == ["0", "1"]
    assert list(store.collection(Address("index")).records(["0", "1"]).texts) == ["None", "a"]
    backup = moved(store, "index", NEW_DIM)
    wanted = turned(some(2, OLD_DIM), NEW_DIM)
    assert np.array_equal(store.collection(Address("index")).records(["0", "1"]).vectors, wanted)
    store.restore(backup, LATER)
    assert store.collection(Address("index")).facts().dimension == OLD_DIM
