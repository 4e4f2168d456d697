"""LangChain's file beside a FAISS index, `NAME.pkl`: a docstore of documents by id, and the id of every row.

The file is a pickle, and is read as data (see `pickle_reader`): objects of the two classes that LangChain writes become
names and attributes. A file that names anything else is refused, and nothing of it is imported or called.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightmigrate.errors import DamagedCollectionError, LightmigrateError
from lightmigrate.stores.base import Page, Payload
from lightmigrate.stores.vector_files.pickle_reader import ContentError, Instance, loads
from lightmigrate.stores.vector_files.pickle_writer import dumps
from lightmigrate.stores.vector_files.table import Rows, finite, pages_of
from lightmigrate.vectors import Vectors

# The modules that have had these classes.
_MODULES: Mapping[str, frozenset[str]] = {
    "InMemoryDocstore": frozenset(
        f"{package}.docstore.in_memory" for package in ("langchain_community", "langchain", "langchain_classic")
    ),
    "Document": frozenset(
        {
            "langchain_core.documents.base",
            "langchain_core.documents",
            "langchain.schema.document",
            "langchain.schema",
            "langchain.docstore.document",
        }
    ),
}
_DATES = (datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone)

_DOCUMENT, _DOCSTORE = ("langchain_core.documents.base", "Document"), "_dict"

# The largest numbers in the metadata of a document, far below those that Python does not write as text.
_MOST_BITS = 1024

# Most values in the metadata of a document. A small file can refer to one value exponentially often.
_MOST_VALUES = 100_000


@dataclass(frozen=True)
class LangChainRecords:
    """The documents of a docstore, in the order of the index.

    Attributes:
        ids: the id of every row.
        keys: the key of the document of every row; the ids, unless a key is missing or occurs twice.
        docstore: the docstore, with all its documents.
        kind: what lies beside the index.
    """

    ids: Sequence[str]
    keys: Sequence[Any]
    docstore: Instance
    kind: str = "langchain"

    @property
    def documents(self) -> Mapping[Any, Instance]:
        """The documents by key."""
        documents: Mapping[Any, Instance] = self.docstore.state[_DOCSTORE]
        return documents

    @property
    def by_id(self) -> Mapping[str, Instance]:
        """The documents by the id of their row."""
        pairs = zip(self.ids, self.keys, strict=True)
        return {record: self.documents[key] for record, key in pairs if key in self.documents}

    def require_rows(self, count: int, path: Path) -> None:
        """Raise `DamagedCollectionError` when the docstore has another number of rows than the index."""
        if len(self.ids) != count:
            raise DamagedCollectionError(
                f"{path} has {count} vectors, and the .pkl file beside it has {len(self.ids)} rows: they are not of "
                "the same state"
            )

    def page(self, rows: Sequence[int], vectors: Vectors) -> Page:
        """Some rows, in the order given, with their vectors."""
        records = [_record(self.documents.get(self.keys[row])) for row in rows]
        ids = [self.ids[row] for row in rows]
        return Page(ids, vectors, [text for text, _ in records], [payload for _, payload in records])


def read_docstore(path: Path) -> LangChainRecords:
    """Read LangChain's file; only reads.

    Raises:
        DamagedCollectionError: it names something else, or is not what LangChain writes.
    """
    try:
        docstore, rows = loads(path.read_bytes(), _is_known)
        documents = docstore.state[_DOCSTORE]
        if docstore.origin[1] != "InMemoryDocstore" or type(documents) is not dict or type(rows) is not dict:
            raise ContentError("it holds other things")
        if not all(isinstance(each, Instance) and each.origin[1] == "Document" for each in documents.values()):
            raise ContentError("its docstore holds other things than documents")
        for document in documents.values():
            _record(document)
        keys = [rows[number] for number in range(len(rows))]
        if not all(key is None or type(key) is str for key in keys):
            raise ContentError("its ids are no texts")
    except ContentError as error:
        raise _refused(path, str(error)) from None
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise _refused(path, type(error).__name__) from None
    usable = None not in keys and len(set(keys)) == len(keys)
    return LangChainRecords(keys if usable else [str(row) for row in range(len(keys))], keys, docstore)


def _is_known(module: str, name: str) -> bool:
    return module in _MODULES.get(name, ())


def _refused(path: Path, reason: str) -> DamagedCollectionError:
    return DamagedCollectionError(
        f"{path} is not read, because it is no file that LangChain's FAISS store writes ({reason}): make it anew with "
        "save_local, or if its metadata hold other objects than texts and numbers, turn these into texts first"
    )


def write_docstore(path: Path, rows: Rows, like: LangChainRecords, originals: LangChainRecords | None = None) -> None:
    """Write LangChain's file for other records; documents of records that are the same are kept as they are. Writes.

    Args:
        path: of the new file.
        rows: its records.
        like: the docstore that is followed.
        originals: another that may have their documents.

    Raises:
        LightmigrateError: a record holds what LangChain's documents do not.
    """
    known = dict(zip(like.ids, like.keys, strict=True))
    sources = [each.by_id for each in (like, originals) if each is not None]
    documents: dict[Any, Instance] = {}
    keys: list[Any] = []
    for page in pages_of(rows, vectors=False):
        for record, text, payload in zip(page.ids, page.texts, page.payloads, strict=True):
            key = known.get(record, record)
            keys.append(key)
            stored = (source[record] for source in sources if record in source)
            same = next((each for each in stored if _record(each) == (text, payload)), None)
            if same is not None:
                documents[key] = same
            elif (text, payload) != (None, None):
                documents[key] = _document(key, text, payload)
    others = {key: each for key, each in like.documents.items() if key not in set(like.keys) and key not in documents}
    state = {**like.docstore.state, _DOCSTORE: {**documents, **others}}
    plain = Instance(like.docstore.origin, state)
    path.write_bytes(dumps((plain, dict(enumerate(keys)))))


def _document(key: Any, text: str | None, payload: Payload | None) -> Instance:
    """A document as LangChain builds one, with pydantic's attributes."""
    payload = payload or {}
    if payload.keys() - {"metadata"} or not isinstance(payload.get("metadata", {}), dict):
        raise LightmigrateError("a document of LangChain holds a text and metadata, and a record has other fields")
    fields = {"id": key, "metadata": payload.get("metadata", {}), "page_content": text, "type": "Document"}
    state = {
        "__dict__": fields,
        "__pydantic_extra__": None,
        "__pydantic_fields_set__": {"id", "metadata", "page_content"},
        "__pydantic_private__": None,
    }
    return Instance(_DOCUMENT, state)


def _record(document: Instance | None) -> tuple[str | None, Payload | None]:
    """The text and the payload of a document; of pydantic's two versions, and of classes before it."""
    if document is None:
        return None, None
    state = document.state
    fields = state.get("__dict__", state)
    text, metadata = fields["page_content"], fields.get("metadata") or {}
    if text is not None and type(text) is not str:
        raise ContentError("the text of a document is no text")
    if type(metadata) is not dict:
        raise ContentError("the metadata of a document are no dictionary")
    values = _json(metadata, iter(range(_MOST_VALUES)), 100)
    return text, ({"metadata": values} if metadata else None)


def _json(value: Any, budget: Iterator[int], depth: int) -> Any:
    """A value of the metadata as JSON: dates become texts.

    Raises:
        ContentError: there are too many values, they are nested too deeply, or of another type.
    """
    if next(budget, None) is None or not depth:
        raise ContentError("the metadata of a document are too large")
    if type(value) is int and value.bit_length() > _MOST_BITS:
        raise ContentError("the metadata of a document hold too large a number")
    if value is None or type(value) in (str, int, float, bool):
        return finite(value)
    if type(value) is dict:
        return {_key(key): _json(each, budget, depth - 1) for key, each in value.items()}
    if type(value) in (list, tuple):
        return [_json(each, budget, depth - 1) for each in value]
    if type(value) in (set, frozenset):
        return sorted((_json(each, budget, depth - 1) for each in value), key=json.dumps)
    if type(value) in _DATES:
        return str(value)
    raise ContentError(f"the metadata of a document hold a {type(value).__name__}")


def _key(key: Any) -> str:
    if type(key) not in (str, int, float, bool, type(None)):
        raise ContentError("a key in the metadata of a document is no text")
    return str(key)
