"""A LanceDB folder, as applications have it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa

from lightmigrate.stores.base import Address, Capabilities, Metric, Payload, Store
from lightmigrate.stores.lance.store import LanceStore
from tests.contract.content import content_of

_DISTANCES: Mapping[Metric, str] = {"l2": "l2", "cosine": "cosine", "ip": "dot"}


class LanceMaker:
    """A folder of tables, each with an index on its vectors."""

    capabilities = Capabilities(
        atomic_exchange=True, holds_writers=False, sees_changes=True, ordered=True, stale_handles=False,
        shared_records=True, settles_again=True, whole_backups=True,
    )  # fmt: skip
    payloads: Sequence[Payload | None] = (
        None,
        {"meta": {"title": "a", "pages": [1, 2], "more": {"deep": "é"}}, "number": 2**63 - 1},
        {
            "meta": {"title": None, "pages": None, "more": None},
            "flag": False,
            "exact": "123456789012345678.0000000010",
        },
        {"flag": True, "real": 0.1, "at": "2026-01-01 12:00:00.123456Z", "raw": "AAH/"},
        {"meta": {"title": "", "pages": [], "more": {"deep": None}}, "number": -1, "tags": ["a", "é\"'\\,{}", "NULL"]},
        {"real": "Infinity", "tags": [], "number": 0},
    )
    model: Mapping[str, Any] = {"name": "default", "config": {}}
    records_model = True
    failpoints: Sequence[tuple[str, str, str]] = (
        ("lightmigrate.stores.lance.table", "Table", "keep"),
        ("lightmigrate.stores.lance.table", "Table", "release"),
        ("lightmigrate.stores.lance.table", "Table", "commit"),
        ("lightmigrate.stores.lance.table", "Table", "index"),
        ("lightmigrate.stores.lance.staged", "Staged", "discard"),
    )

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "lancedb"
        self.folder.mkdir()
        self._open: list[LanceStore] = []

    def client(self) -> Store:
        self._open.append(LanceStore(self.folder))
        return self._open[-1]

    def create(self, name: str, dimension: int, metric: Metric = "l2", *, model: bool = False) -> Address:
        more = pa.struct([("deep", pa.string())])
        schema = pa.schema(
            [
                pa.field("id", pa.string()),
                pa.field("vector", pa.list_(pa.float32(), dimension)),
                pa.field("text", pa.string()),
                pa.field("meta", pa.struct([("title", pa.string()), ("pages", pa.list_(pa.int64())), ("more", more)])),
                pa.field("number", pa.int64()),
                pa.field("flag", pa.bool_()),
                pa.field("exact", pa.decimal128(38, 10)),
                pa.field("real", pa.float64()),
                pa.field("at", pa.timestamp("us", "UTC")),
                pa.field("raw", pa.binary()),
                pa.field("tags", pa.list_(pa.string())),
            ]
        )
        if model:
            recorded = {"name": "default", "model": {}, "source_column": "text", "vector_column": "vector"}
            schema = schema.with_metadata({"embedding_functions": json.dumps([recorded])})
        table = lancedb.connect(self.folder).create_table(name, schema=schema)
        config = lancedb.index.IvfFlat(distance_type=_DISTANCES[metric], num_partitions=1)
        table.create_index("vector", config=config)
        return Address(name)

    def tolerance(self, metric: Metric) -> float:
        return 0.0

    @contextlib.contextmanager
    def read_only(self) -> Iterator[Store]:
        before = content_of(self.folder)
        yield self.client()
        assert content_of(self.folder) == before

    def payload_of(self, number: int) -> Payload:
        return {"number": number}

    @property
    def locator(self) -> str:
        return str(self.folder)

    def let_go(self) -> None:
        """Others work beside it."""

    def release(self) -> None:
        for store in self._open:
            store.close()
