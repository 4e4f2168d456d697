"""Real files of every kind that `fuzz.py` begins with."""

from __future__ import annotations

import datetime
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fuzz_readers import DIMENSION, INDEX_FILES, LENGTH_BYTES, NOTE_FILES, ours

ROOT = Path(__file__).parents[1]


def projections(suffix: str) -> Callable[[Path], Iterator[bytes]]:
    """Small projections of every kind of term."""

    def seeds(folder: Path) -> Iterator[bytes]:
        import numpy as np

        import lightmigrate

        rng = np.random.default_rng(0)
        old = rng.normal(size=(60, 6)).astype(np.float32)
        new = (old @ rng.normal(size=(6, 5)) + 0.1).astype(np.float32)
        texts = [f"{'abc'[row % 3] * 4} {'xyz'[row % 2] * 5}" for row in range(60)]
        for method in ("ridge", "kernel", "lexical"):
            try:
                fitted = lightmigrate.fit(old, new, texts, method=method)
                path = folder / f"{method}{suffix}"
                (fitted.save if suffix == ".npz" else fitted.export_onnx)(path)
            except ours() as error:
                print(f"no seed of {method}: {error}", flush=True)
                continue
            yield path.read_bytes()

    return seeds


def of_tests(*names: str) -> Callable[[Path], Iterator[bytes]]:
    """Files that a real migration leaves, by name; made with the tests' databases."""

    def seeds(folder: Path) -> Iterator[bytes]:
        sys.path.insert(0, str(ROOT))
        from lightmigrate import ChromaMigrator, CollectionJob
        from tests.databases import make_database, make_projection

        database = make_database(folder / "home" / "chroma_data", 12)

        def keep(progress: Any) -> None:
            for path in (folder / "home").rglob("journal.json"):
                shutil.copy(path, folder / "journal.json")

        ChromaMigrator(database, on_progress=keep).migrate([CollectionJob("notes", make_projection())])
        for name in names:
            yield from (path.read_bytes() for path in folder.rglob(name))

    return seeds


def index_seeds(folder: Path) -> Iterator[bytes]:
    """The files of a small index."""
    files = index_files(folder)
    yield b"".join(len(part).to_bytes(LENGTH_BYTES, "little") + part for part in files)


def label_seeds(folder: Path) -> Iterator[bytes]:
    """The labels of a small index."""
    yield index_files(folder)[-1]


def index_files(folder: Path) -> list[bytes]:
    """The contents of the files of an index that Chroma writes."""
    import numpy as np

    from lightmigrate.stores.chroma.client import open_client

    with open_client(folder / "indexed") as client:
        collection = client.create_collection(
            "notes", embedding_function=None, configuration={"hnsw": {"sync_threshold": 30, "batch_size": 10}}
        )
        ids = [f"record {number}" for number in range(60)]
        collection.add(ids=ids, embeddings=np.random.default_rng(0).normal(size=(60, DIMENSION)).astype(np.float32))
    (header,) = (folder / "indexed").rglob("header.bin")
    return [(header.parent / name).read_bytes() for name in INDEX_FILES]


def plan_seeds(folder: Path) -> Iterator[bytes]:
    """A plan."""
    size = {
        "records": 90, "texts": 90, "tokens": 900, "dimension": 8, "content_sha256": "0" * 64,
        "extract_tokens": {"first": {"12": 90}}, "short_texts": {"12": 3},
    }  # fmt: skip
    content = {
        "collection_name": "notes", "tenant": "default_tenant", "database": "default_database", "size": size,
        "provider": {"provider": "openai", "model": "small"}, "model": "small",
        "setting": {"reads_texts": True, "extract_words": 12, "documents": 30}, "sampled": 60, "words": 100, "seed": 0,
        "tokens": 900, "dollars": 0.5, "expected": {"value": 0.9, "low": 0.8, "high": 0.95},
    }  # fmt: skip
    yield json.dumps({"format": 3, **content}).encode()


def manifest_seeds(folder: Path) -> Iterator[bytes]:
    """The packaged manifest."""
    content = json.loads((ROOT / "lightmigrate" / "registry" / "packaged" / "registry.json").read_text())
    yield json.dumps({**content, "projections": content["projections"][:2]}).encode()


def docstore_seeds(folder: Path) -> Iterator[bytes]:
    """A docstore as LangChain writes it."""
    from lightmigrate.stores.vector_files.langchain import _document
    from lightmigrate.stores.vector_files.pickle_reader import Instance
    from lightmigrate.stores.vector_files.pickle_writer import dumps

    documents = {
        f"id{row}": _document(f"id{row}", f"text {row}", {"metadata": {"page": row, "of": [1, 2.5, None, True]}})
        for row in range(3)
    }
    documents["id0"].state["__dict__"]["metadata"]["when"] = datetime.datetime(2026, 1, 1)
    store = Instance(("langchain_community.docstore.in_memory", "InMemoryDocstore"), {"_dict": documents})
    yield dumps((store, {row: f"id{row}" for row in range(3)}))


def footer_seeds(folder: Path) -> Iterator[bytes]:
    """Files of vectors, of all versions and with everything that a footer may hold."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    vectors = pa.array([[0.5] * 4, [1.5] * 4, None], pa.list_(pa.float32(), 4))
    table = pa.table({"id": ["a", "b", "c"], "vector": vectors, "more": [{"k": [1]}, None, {"k": []}]})
    for version in ("1.0", "2.4", "2.6"):
        pq.write_table(
            table, folder / "it.parquet", version=version, write_page_index=version != "1.0", row_group_size=2
        )
        yield (folder / "it.parquet").read_bytes()


def provenance_seeds(folder: Path) -> Iterator[bytes]:
    """An empty provenance file."""
    from lightmigrate.refinement.provenance import Provenance

    with Provenance.of(folder / "provenance"):
        pass
    yield Provenance.file_in(folder / "provenance").read_bytes()


def late_seeds(folder: Path) -> Iterator[bytes]:
    """The note of an exchange."""
    sys.path.insert(0, str(ROOT))
    from lightmigrate.migration.request import Request
    from lightmigrate.migration.shadow.late_note import write_note
    from lightmigrate.migration.shadow.synchronise import Snapshot
    from lightmigrate.stores.base import Address
    from lightmigrate.stores.record_tables import RecordTables
    from tests.databases import make_projection

    table = RecordTables().table()
    table.put({f"record {number}": bytes([number]) * 16 for number in range(30)})
    address = Address("notes")
    for request in (Request(address, make_projection(), None), None):
        note = write_note(folder, address, "0123abcd", Snapshot(table, None), request, 100)
        files = [(note.folder / name).read_bytes() for name in NOTE_FILES]
        yield b"".join(len(part).to_bytes(LENGTH_BYTES, "little") + part for part in files)
