"""LlamaIndex's own store: `NAME__vector_store.json`, and the nodes with their texts in `docstore.json`.

A folder may hold the vectors of several stores, and all of them share the file of nodes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.errors import DamagedCollectionError, LightmigrateError
from lightmigrate.files import replacing
from lightmigrate.stores.base import Metric, Page, Payload
from lightmigrate.stores.vector_files.search import exact_nearest
from lightmigrate.stores.vector_files.suffix import SuffixFormat
from lightmigrate.stores.vector_files.table import Nearest, Options, Rows, Table, finite, pages_of
from lightmigrate.vectors import Vectors

SUFFIX, DOCSTORE = "__vector_store.json", "docstore.json"
_VECTORS, _DOCUMENTS, _METADATA = "embedding_dict", "text_id_to_ref_doc_id", "metadata_dict"
NODES = "docstore/data"

# What every file of FAISS begins with.
_FAISS = b"I"

# What LlamaIndex calls a node of text.
_TYPE = {"__type__": "1"}

# Under this name `texts` finds what LlamaIndex embeds of a node.
_NODE = "_node_content"


def persisted(folder: Path, *, faiss: bool) -> list[str]:
    """Names of the stores that LlamaIndex persisted in a folder: as JSON, or under the same file name as FAISS does."""

    def of_faiss(path: Path) -> bool:
        with path.open("rb") as file:
            return file.read(1) == _FAISS

    paths = (path for path in folder.glob(f"*{SUFFIX}") if path.is_file())
    return sorted(path.name.removesuffix(SUFFIX) for path in paths if of_faiss(path) == faiss)


class LlamaIndexTable:
    """See `table.Table`.

    Attributes:
        name: of the collection.
        folder: of the files.
        content: the file, without its vectors.
        nodes: the nodes of all stores of the folder, by id; `None` where there is no file of nodes.
    """

    metric: Metric | None = None
    lossy = ""

    def __init__(self, folder: Path, name: str) -> None:
        path = folder / f"{name}{SUFFIX}"
        self.name, self.folder, self.content = name, folder, read_json(path)
        stored = self.content.pop(_VECTORS, None)
        if not isinstance(stored, dict):
            raise DamagedCollectionError(f"{path} has no {_VECTORS}: it is no file of LlamaIndex's own vector store")
        lengths = {len(vector) for vector in stored.values()}
        if len(lengths) > 1:
            raise DamagedCollectionError(f"{path} has vectors of {len(lengths)} lengths: {sorted(lengths)[:5]}")
        self.ids: Sequence[str] = list(stored)
        self.dimension: int | None = lengths.pop() if lengths else None
        self._vectors = np.zeros((len(stored), self.dimension or 0), np.float32)
        for row, vector in enumerate(stored.values()):
            self._vectors[row] = vector
        docstore = folder / DOCSTORE
        self.docstore = read_json(docstore) if docstore.is_file() else None
        nodes = None if self.docstore is None else self.docstore.get(NODES, {})
        self.nodes: dict[str, Any] | None = nodes

    @property
    def settings(self) -> Mapping[str, Any]:
        """None: its client always searches by the cosine."""
        return {"format": "llamaindex", "nodes": self.nodes is not None}

    def page(self, rows: Sequence[int], *, vectors: bool = True) -> Page:
        """Some rows, in the order given; only reads."""
        ids = [self.ids[row] for row in rows]
        records = [self.record(record) for record in ids]
        numbers = self._vectors[list(rows)] if vectors else np.zeros((len(ids), 0), np.float32)
        return Page(ids, numbers, [text for text, _ in records], [payload for _, payload in records])

    def vectors_of(self, rows: Sequence[int]) -> Vectors:
        """The vectors of some rows, in the order given."""
        return self._vectors[list(rows)]

    def record(self, record: str) -> tuple[str | None, Payload | None]:
        """The text and the payload of a record."""
        payload: dict[str, Any] = {}
        for field in (_DOCUMENTS, _METADATA):
            if record in self.content.get(field, {}):
                payload[field] = finite(self.content[field][record])
        text, content = from_node((self.nodes or {}).get(record), record)
        return text, {**payload, **content} or None

    def nearest(self, queries: Vectors, k: int, metric: Metric) -> Nearest:
        """The nearest rows, by comparing with all, as LlamaIndex does."""
        return exact_nearest(self, queries, k, metric)


class LlamaIndexFormat(SuffixFormat):
    """See `table.Format`."""

    kind, suffix = "llamaindex", SUFFIX

    def names(self, folder: Path) -> list[str]:
        """The stores of a folder that LlamaIndex persisted as JSON."""
        return persisted(folder, faiss=False)

    def beside(self, folder: Path, name: str) -> list[str]:
        """The file of the nodes."""
        return [DOCSTORE] if (folder / DOCSTORE).is_file() else []

    def read(self, folder: Path, name: str, options: Options) -> Table:
        """Read both files into memory, as LlamaIndex does."""
        return LlamaIndexTable(folder, name)

    def write(
        self,
        folder: Path,
        name: str,
        rows: Rows,
        like: Table,
        metric: Metric | None,
        *,
        same: bool,
        originals: Table | None = None,
    ) -> None:
        """Write the file of vectors, and that of the nodes where a node differs."""
        assert isinstance(like, LlamaIndexTable)  # noqa: S101  # its own format only
        content = dict(like.content)
        if not same:
            content |= self._write_nodes(folder, name, rows, like)
        with (folder / self.main(name)).open("w", encoding="ascii") as file:
            file.write(f'{{"{_VECTORS}": {{')
            between = ""
            for page in pages_of(rows):
                for record, vector in zip(page.ids, page.vectors.tolist(), strict=True):
                    file.write(f"{between}{json.dumps(record)}: {json.dumps(vector)}")
                    between = ", "
            file.write("}")
            for field, value in content.items():
                file.write(f", {json.dumps(field)}: {json.dumps(value)}")
            file.write("}")

    def _write_nodes(self, folder: Path, name: str, rows: Rows, like: LlamaIndexTable) -> dict[str, Any]:
        """Write the nodes of other records; returns what the file of vectors holds of them. Writes."""
        fields: dict[str, dict[str, Any]] = {_DOCUMENTS: {}, _METADATA: {}}
        nodes: dict[str, Any] = dict(like.nodes or {})
        for record in set(like.ids) - _used_elsewhere(like.folder, name) if name == like.name else ():
            nodes.pop(record, None)
        known = set(like.ids)
        for page in pages_of(rows, vectors=False):
            for record, text, payload in zip(page.ids, page.texts, page.payloads, strict=True):
                if (payload or {}).keys() - {*fields, _NODE, "node"}:
                    raise LightmigrateError(
                        f"a record has fields that {name}{SUFFIX} has no place for: use {_METADATA}"
                    )
                for field, values in fields.items():
                    if field in (payload or {}):
                        values[record] = (payload or {})[field]
                if record in known and like.record(record) == (text, payload):
                    if record in (like.nodes or {}):
                        nodes[record] = (like.nodes or {})[record]
                elif text is not None or _NODE in (payload or {}):
                    nodes[record] = to_node(record, text, payload or {})
        if nodes != (like.nodes or {}):
            if like.docstore is None:
                raise LightmigrateError(f"{name}{SUFFIX} has no {DOCSTORE} beside it, which would hold the texts")
            (folder / DOCSTORE).write_text(json.dumps({**like.docstore, NODES: nodes}), encoding="ascii")
        return fields

    def merge(self, version: Path, live: Path, name: str) -> None:
        """Keep what the other stores of the folder have in the file of nodes by now. Writes to the version."""
        if not ((version / DOCSTORE).is_file() and (live / DOCSTORE).is_file()):
            return
        ours, theirs = LlamaIndexTable(version, name), LlamaIndexTable(live, name)
        own = {record: node for record, node in (ours.nodes or {}).items() if record in set(ours.ids)}
        gone = set(theirs.ids) - own.keys() - _used_elsewhere(live, name)
        others = {record: node for record, node in (theirs.nodes or {}).items() if record not in gone}
        with replacing(version / DOCSTORE) as file:
            file.write(json.dumps({**(theirs.docstore or {}), NODES: {**others, **own}}).encode())


def _used_elsewhere(folder: Path, name: str) -> set[str]:
    """The nodes that other stores of a folder have vectors of; only reads."""
    others = (folder / f"{other}{SUFFIX}" for other in persisted(folder, faiss=False) if other != name)
    return {record for path in others for record in read_json(path).get(_VECTORS, ())}


def from_node(node: object, record: str) -> tuple[str | None, dict[str, Any]]:
    """The text of a node as LlamaIndex stores it, and what a payload holds of it; nothing of what is no node.

    Args:
        node: the node.
        record: the id that goes without saying.
    """
    if not (isinstance(node, dict) and isinstance(node.get("__data__"), dict)):
        return None, {}
    data = dict(node["__data__"])
    text = data.pop("text") if isinstance(data.get("text"), str) else None
    rest = {key: each for key, each in node.items() if key != "__data__"}
    plain = data == _plain(record) and rest == _TYPE
    return text, {} if plain else {_NODE: json.dumps(data), "node": rest}


def to_node(record: str, text: str | None, payload: Mapping[str, Any]) -> dict[str, Any]:
    """A node as LlamaIndex stores it, from what `from_node` returns."""
    data = json.loads(payload[_NODE]) if _NODE in payload else _plain(record)
    if text is not None:
        data["text"] = text
    return {"__data__": data, **payload.get("node", _TYPE)}


def _plain(record: str) -> dict[str, Any]:
    """What a node holds that has nothing but a text."""
    return {"id_": record, "class_name": "TextNode"}


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        DamagedCollectionError: there is none.
    """
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise DamagedCollectionError(f"{path} is no JSON object that can be read: copy it again")
    return content
