"""Files of vectors for the contract suite, made as an application makes them."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from langchain_community.docstore.in_memory import InMemoryDocstore
from langchain_community.vectorstores import FAISS
from langchain_core.embeddings import FakeEmbeddings

from lightmigrate.stores.base import Address, Capabilities, Metric, Payload, Store
from lightmigrate.stores.open import open_database
from lightmigrate.stores.vector_files.arrow_values import to_json
from tests.contract.content import JSON_PAYLOADS, content_of


class FilesMaker:
    """A folder of files. What differs is how an application makes an empty one."""

    capabilities = Capabilities(
        atomic_exchange=False, holds_writers=False, sees_changes=False, ordered=True, stale_handles=True,
        shared_records=False,
    )  # fmt: skip
    payloads: Sequence[Payload | None] = JSON_PAYLOADS
    model: Mapping[str, Any] = {"name": "default", "config": {}}
    records_model = False
    failpoints: Sequence[tuple[str, str, str]] = tuple(
        ("lightmigrate.stores.vector_files.exchange", "Steps", step) for step in ("link", "rename", "swap", "remove")
    )

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "vectors"
        self.folder.mkdir()

    def make(self, name: str, dimension: int, metric: Metric) -> None:
        """Write an empty collection."""
        raise NotImplementedError

    def client(self) -> Store:
        store = open_database(self.folder)
        if not isinstance(store, Store):  # an empty folder holds no files yet
            self.make("lightmigrate_empty", 2, "l2")
            store = open_database(self.folder)
            for path in self.folder.iterdir():
                path.unlink()
        assert isinstance(store, Store)
        return store

    def create(self, name: str, dimension: int, metric: Metric = "l2", *, model: bool = False) -> Address:
        self.make(name, dimension, metric)
        return Address(name)

    def state(self, name: str, metric: Metric) -> None:
        """State the distance in a file beside."""
        (self.folder / f"{name}.lightmigrate.json").write_text(json.dumps({"distance": metric}))

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
        """Nothing is open."""

    def release(self) -> None:
        """Nothing is open."""


class NpyMaker(FilesMaker):
    """`NAME.npy` and `NAME.jsonl`."""

    def make(self, name: str, dimension: int, metric: Metric) -> None:
        np.save(self.folder / f"{name}.npy", np.zeros((0, dimension), np.float32))
        (self.folder / f"{name}.jsonl").write_text("")
        self.state(name, metric)


def _cell(value: Any, kind: Any) -> Any:
    return to_json(pa.array([value], kind))[0]


class ParquetMaker(FilesMaker):
    """One file with columns of many types."""

    payloads: Sequence[Payload | None] = (
        None,
        {"nested": {"list": [1.5, None], "deep": {"text": "é"}}, "number": 2**63 - 1},
        {"flag": False, "exact": _cell(decimal.Decimal("12345678901234567890.0123456789"), pa.decimal128(38, 10))},
        {"flag": True, "real": 0.1, "raw": _cell(b"\0\xff", pa.binary())},
        {"at": _cell(datetime.datetime(2026, 1, 1, 12, 0, 0, 123456), pa.timestamp("us")), "number": -1},
        {"tags": ["a", "é\"'\\,{}", "NULL", None], "real": 5e-324, "kind": "'; DROP TABLE docs; -- %s"},
        {"tags": [], "real": "Infinity"},
    )

    def make(self, name: str, dimension: int, metric: Metric) -> None:
        nested = pa.struct([("list", pa.list_(pa.float64())), ("deep", pa.struct([("text", pa.string())]))])
        schema = pa.schema(
            [
                ("id", pa.string()),
                ("text", pa.string()),
                pa.field("embedding", pa.list_(pa.float32(), dimension), metadata={"of": "a model"}),
                ("number", pa.int64()),
                ("flag", pa.bool_()),
                ("real", pa.float64()),
                ("exact", pa.decimal128(38, 10)),
                ("at", pa.timestamp("us")),
                ("raw", pa.binary()),
                ("kind", pa.dictionary(pa.int32(), pa.string())),
                ("tags", pa.list_(pa.string())),
                ("nested", nested),
            ],
            metadata={"made by": "an application"},
        )
        pq.write_table(schema.empty_table(), self.folder / f"{name}.parquet", compression="zstd")
        self.state(name, metric)


class FaissMaker(FilesMaker):
    """An index with labels of its own, and `NAME.jsonl` beside it."""

    def make(self, name: str, dimension: int, metric: Metric) -> None:
        flat = faiss.IndexFlatL2(dimension) if metric == "l2" else faiss.IndexFlatIP(dimension)
        faiss.write_index(faiss.IndexIDMap2(flat), str(self.folder / f"{name}.faiss"))
        (self.folder / f"{name}.jsonl").write_text("")
        if metric == "cosine":
            self.state(name, metric)


class LangChainMaker(FilesMaker):
    """A folder as `FAISS.save_local` of LangChain leaves it."""

    payloads: Sequence[Payload | None] = (
        None,
        *({"metadata": payload} for payload in FilesMaker.payloads if payload is not None),
    )

    def make(self, name: str, dimension: int, metric: Metric) -> None:
        flat = faiss.IndexFlatL2(dimension) if metric == "l2" else faiss.IndexFlatIP(dimension)
        FAISS(FakeEmbeddings(size=dimension), flat, InMemoryDocstore(), {}).save_local(str(self.folder), name)
        if metric == "cosine":
            self.state(name, metric)

    def payload_of(self, number: int) -> Payload:
        return {"metadata": {"number": number}}


class LlamaIndexMaker(FilesMaker):
    """A folder as `StorageContext.persist` of LlamaIndex leaves it; all collections share its nodes."""

    payloads: Sequence[Payload | None] = (
        None,
        *({"metadata_dict": payload} for payload in FilesMaker.payloads if payload is not None),
    )

    def payload_of(self, number: int) -> Payload:
        return {"metadata_dict": {"number": number}}

    def make(self, name: str, dimension: int, metric: Metric) -> None:
        empty: dict[str, Any] = {"embedding_dict": {}, "text_id_to_ref_doc_id": {}, "metadata_dict": {}}
        (self.folder / f"{name}__vector_store.json").write_text(json.dumps(empty))
        if not (self.folder / "docstore.json").exists():
            (self.folder / "docstore.json").write_text(json.dumps({"docstore/data": {}}))
        self.state(name, metric)
