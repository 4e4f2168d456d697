"""LlamaIndex's store for FAISS: an index under the name `NAME__vector_store.json`, whose rows are nodes of the folder.

Which node a row is stands in `index_store.json`, or for `FaissMapVectorStore` in `id_map.json`; its text is in
`docstore.json`. All stores of a folder share these files, so they stay as they are; rows can only be added.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightmigrate.errors import LightmigrateError, MissingExtraError
from lightmigrate.stores.base import Metric, Page
from lightmigrate.stores.vector_files.faiss_format import FaissFormat
from lightmigrate.stores.vector_files.llamaindex import (
    DOCSTORE,
    NODES,
    SUFFIX,
    from_node,
    persisted,
    read_json,
    to_node,
)
from lightmigrate.stores.vector_files.table import Options, Rows, Table, pages_of
from lightmigrate.vectors import Vectors

_INDEXES, _LABELS = "index_store.json", "id_map.json"
_STORED, _NODE_OF_ROW, _NODE_OF_LABEL = "index_store/data", "nodes_dict", "faiss_id_to_node_id_map"


class Nodes:
    """See `faiss_table.Records`.

    Attributes:
        folder: of the files.
        ids: the id of every row: its number, or its label.
        node_ids: the id of its node, by id; of those that have one.
    """

    kind = "llamaindex"

    def __init__(self, folder: Path, ids: Sequence[str]) -> None:
        self.folder, self.ids = folder, ids
        self.node_ids: dict[str, str] = {}
        for struct in _structs(folder):
            self.node_ids.update(struct.get(_NODE_OF_ROW, {}))
        if (folder / _LABELS).is_file():
            self.node_ids = dict(read_json(folder / _LABELS).get(_NODE_OF_LABEL, {}))
        docstore = folder / DOCSTORE
        self._nodes: Mapping[str, Any] = read_json(docstore).get(NODES, {}) if docstore.is_file() else {}

    def require_rows(self, count: int, path: Path) -> None:
        """Nothing: a row without a node has no text."""

    def page(self, rows: Sequence[int], vectors: Vectors) -> Page:
        """Some rows with their vectors."""
        ids = [self.ids[row] for row in rows]
        records = [from_node(self._nodes.get(self.node_ids.get(record, "")), record) for record in ids]
        return Page(ids, vectors, [text for text, _ in records], [payload or None for _, payload in records])


class LlamaIndexFaissFormat(FaissFormat):
    """See `table.Format`."""

    kind, suffix = "llamaindex-faiss", SUFFIX

    def names(self, folder: Path) -> list[str]:
        """The stores of a folder that FAISS wrote for LlamaIndex."""
        return persisted(folder, faiss=True)

    def beside(self, folder: Path, name: str) -> list[str]:
        """The files that say which nodes the rows are."""
        return [each for each in (DOCSTORE, _INDEXES, _LABELS) if (folder / each).is_file()]

    def read(self, folder: Path, name: str, options: Options) -> Table:
        """Read the index into memory, and the nodes."""
        try:
            from lightmigrate.stores.vector_files.faiss_table import FaissIndex, FaissTable
        except ImportError:
            raise MissingExtraError("faiss", "faiss") from None
        path = folder / self.main(name)
        source = FaissIndex(path)
        labels = range(source.count) if source.keys is None else source.keys.tolist()
        return FaissTable(source, Nodes(folder, list(map(str, labels))), path)

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
        """Write the index, and for added rows the files that say which nodes they are.

        Raises:
            LightmigrateError: the records are not the rows that LlamaIndex would have.
        """
        from lightmigrate.stores.vector_files.faiss_table import FaissTable, write_index

        assert isinstance(like, FaissTable)  # noqa: S101  # its own format only
        assert isinstance(like.beside, Nodes)  # noqa: S101
        numbered = like.source.keys is None
        if not all(each.isdecimal() for each in rows.ids) or (numbered and list(rows.ids) != _numbers(rows)):
            raise LightmigrateError(
                f"the rows of {name}{SUFFIX} are known by their number, so they can only be added at its end"
            )
        keys = None if numbered else [int(record) for record in rows.ids]
        write_index(folder / self.main(name), rows, like.source, metric or like.source.metric, keys)
        if not same:
            _write_nodes(folder, rows, like.beside)

    def merge(self, version: Path, live: Path, name: str) -> None:
        """Keep the live files of nodes, which all stores of the folder share. Writes to the version."""
        for file in self.beside(live, name):
            shutil.copy2(live / file, version / file)


def _numbers(rows: Rows) -> list[str]:
    return list(map(str, range(len(rows.ids))))


def _write_nodes(folder: Path, rows: Rows, like: Nodes) -> None:
    """Write the files of nodes as they are, with the nodes of added rows. Writes."""
    files = {name: read_json(like.folder / name) for name in (DOCSTORE, _INDEXES, _LABELS) if _has(like.folder, name)}
    if DOCSTORE not in files or len(files) < 2:
        raise LightmigrateError(f"{like.folder} has no {DOCSTORE} with {_INDEXES}, which would hold the added nodes")
    known, added = set(like.ids), dict[str, str]()
    for page in pages_of(rows, vectors=False):
        for record, text, payload in zip(page.ids, page.texts, page.payloads, strict=True):
            node = to_node(record, text, payload or {})
            if record not in known:
                added[record] = str(node["__data__"]["id_"])
                files[DOCSTORE].setdefault(NODES, {})[added[record]] = node
    if _LABELS in files:
        files[_LABELS][_NODE_OF_LABEL] |= added
        files[_LABELS]["node_id_to_faiss_id_map"] |= {node: int(label) for label, node in added.items()}
    for stored in files.get(_INDEXES, {}).get(_STORED, {}).values():
        struct = json.loads(stored["__data__"])
        if _NODE_OF_ROW in struct:
            struct[_NODE_OF_ROW] |= added if _LABELS not in files else {node: node for node in added.values()}
            stored["__data__"] = json.dumps(struct)
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="ascii")


def _has(folder: Path, name: str) -> bool:
    return (folder / name).is_file()


def _structs(folder: Path) -> list[dict[str, Any]]:
    """What the indexes of a folder hold; only reads."""
    if not _has(folder, _INDEXES):
        return []
    stored = read_json(folder / _INDEXES).get(_STORED, {}).values()
    found = [json.loads(each["__data__"]) for each in stored if isinstance(each, dict) and "__data__" in each]
    return [each for each in found if isinstance(each, dict)]
