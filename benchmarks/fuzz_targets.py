"""What `fuzz.py` fuzzes: for every kind of foreign bytes, files to begin with and the reader."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

# Longest input.
MOST_BYTES = 1 << 16

# Bytes at the head of an input for a folder of files say how long each file is.
_LENGTH_BYTES = 4


def load_projection(suffix: str) -> Callable[[bytes, Path], None]:
    """Reads a projection, as it is and with a right checksum, and applies it."""

    def read(content: bytes, place: Path) -> None:
        import numpy as np

        from lightmigrate import Projection

        for candidate in (content, resealed(content) if suffix == ".npz" else b""):
            if candidate:
                (place / f"it{suffix}").write_bytes(candidate)
                with contextlib.suppress(ours()):
                    projection = Projection.load(place / f"it{suffix}")
                    if projection.info.source.dimension <= 1000:
                        projection.apply(np.ones((2, projection.info.source.dimension), np.float32), ["a b", None])

    return read


def resealed(content: bytes) -> bytes:
    """The same archive with the checksum that it should have; nothing for one that is none."""
    import numpy as np

    from lightmigrate.projection.archive import HEADER, _checksum

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
                return b""
            loaded = {
                name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(archive.read(name)))
                for name in archive.namelist()
            }
        header = json.loads(loaded.pop(HEADER).tobytes())
        header["sha256"] = _checksum(header, loaded)
        out = io.BytesIO()
        encoded = np.frombuffer(json.dumps(header).encode(), np.uint8)
        np.savez(out, **{HEADER: encoded}, **loaded)  # type: ignore[arg-type]  # the stub reads ** as allow_pickle
    except Exception:  # noqa: BLE001  # then there is nothing to give it
        return b""
    return out.getvalue()


def sealed_json(content: bytes, checksum: Callable[[Mapping[str, Any]], str]) -> bytes:
    """The same JSON object with the checksum that it should have; nothing for bytes that are none."""
    try:
        fields = json.loads(content)
        fields["sha256"] = checksum({name: value for name, value in fields.items() if name not in ("sha256", "format")})
        return json.dumps(fields).encode()
    except Exception:  # noqa: BLE001
        return b""


def ours() -> type[Exception]:
    """The errors that a reader may raise."""
    from lightmigrate.errors import LightmigrateError

    return LightmigrateError


def read_manifest(content: bytes, place: Path) -> None:
    """The manifest of a registry."""
    from lightmigrate.registry.manifest import read_manifest as read

    (place / "registry.json").write_bytes(content)
    read(place / "registry.json")


def read_plan(content: bytes, place: Path) -> None:
    """A plan."""
    from lightmigrate.budget.plan import BudgetPlan

    (place / "plan.json").write_bytes(content)
    plan = BudgetPlan.load(place / "plan.json")
    str(plan.address), plan.to_json()


def read_journal(content: bytes, place: Path) -> None:
    """A journal, and what recovery asks about it."""
    from lightmigrate.migration.aside.cutover import recover
    from lightmigrate.migration.aside.workspace import Workspace, _checksum
    from lightmigrate.migration.request import read_requests
    from lightmigrate.stores.chroma.files import ChromaFiles

    for candidate in (content, sealed_json(content, _checksum)):
        if not candidate:
            continue
        database = place / "home" / "chroma_data"
        database.mkdir(parents=True)
        (database / "chroma.sqlite3").touch()
        workspace = Workspace(ChromaFiles(database))
        workspace.staging.mkdir(parents=True)
        (workspace.folder / "journal.json").write_bytes(candidate)
        with contextlib.suppress(ours()):
            intention = workspace.read_journal()
            if workspace.resumable and intention is not None and intention.description is not None:
                read_requests(workspace.request, intention.description)
        with contextlib.suppress(ours()):
            recover(workspace)
        if not (database / "chroma.sqlite3").exists():
            raise AssertionError("the database is gone")
        shutil.rmtree(place / "home")


def read_record(content: bytes, place: Path) -> None:
    """The record of a migrated database, the list of its backups, its history, and how distances moved."""
    from lightmigrate.migration.aside.backup import backups_of
    from lightmigrate.migration.aside.location import Location
    from lightmigrate.migration.aside.record import RECORD_FILE, Record
    from lightmigrate.migration.history import HISTORY_FILE, read_history
    from lightmigrate.scores.stored import SCORES_FILE, read_scores
    from lightmigrate.stores.chroma.files import ChromaFiles

    database = place / "chroma_data"
    database.mkdir()
    (database / RECORD_FILE).write_bytes(content)
    (database / SCORES_FILE).write_bytes(content)
    with contextlib.suppress(ours()):
        Record.read(database)
        backups_of(Location(ChromaFiles(database), inside=False))
    with contextlib.suppress(ours()):
        read_scores(database)
    (database / HISTORY_FILE).write_bytes(content)
    with contextlib.suppress(ours()):
        for entry in read_history(database) or ():
            _ = entry.models, entry.verdict, entry.expected, entry.expected_nothing, entry.tried


def read_provenance(content: bytes, place: Path) -> None:
    """The provenance of a database's vectors."""
    from lightmigrate.refinement.provenance import Provenance

    (place / Provenance.file_in(place).name).write_bytes(content)
    with Provenance.existing(place) as provenance:
        for address in provenance.addresses():
            provenance.counts(address)
            provenance.facts(address)
            provenance.projections(address)


def read_index(content: bytes, place: Path) -> None:
    """The four files of an index, their graph and their vectors, as far as they are to be trusted."""
    from lightmigrate.stores.chroma.graph import Graph
    from lightmigrate.stores.chroma.health import _fault_of_files, _require_links
    from lightmigrate.stores.chroma.hnsw import HnswFiles

    for name, part in zip(_INDEX_FILES, parts(content), strict=False):
        (place / name).write_bytes(part)
    for name in _INDEX_FILES:
        (place / name).touch()
    with contextlib.suppress(ValueError, OSError):
        if _fault_of_files(place, _DIMENSION) is None:
            _require_links(place)
    with contextlib.suppress(ValueError, OSError):
        index = HnswFiles.open(place)
        index.labels()
        index.labels_of_elements()
        graph = Graph.open(index)
        if index.elements:
            import numpy as np

            graph.search(2, lambda queries, found: np.zeros(len(found), np.float32), 10)


def read_labels(content: bytes, place: Path) -> None:
    """The pickled labels of an index."""
    from lightmigrate.stores.chroma.labels import read_labels as read

    with contextlib.suppress(ValueError):
        read(content)


def read_docstore(content: bytes, place: Path) -> None:
    """The pickle beside LangChain's FAISS index."""
    from lightmigrate.stores.vector_files.langchain import read_docstore as read

    (place / "it.pkl").write_bytes(content)
    read(place / "it.pkl")


def read_footer(content: bytes, place: Path) -> None:
    """The footer of a Parquet file, which is changed and written again: what it says must come back."""
    from lightmigrate.stores.vector_files.parquet_footer import Footer, chunks_of, place_of, rows_of

    def told(file: Path) -> tuple[bytes, list[object]]:
        with file.open("rb") as opened:
            footer = Footer.read(opened.fileno(), file.stat().st_size)
        facts: list[object] = []
        with contextlib.suppress(ValueError):
            facts.append(footer.leaf("vector"))
        for group in footer.groups():
            facts += [rows_of(group), *map(place_of, chunks_of(group))]
        return footer.to_bytes(), facts

    (place / "it.parquet").write_bytes(content)
    with contextlib.suppress(ValueError):
        end, facts = told(place / "it.parquet")
        (place / "again.parquet").write_bytes(b"PAR1" + end)
        assert told(place / "again.parquet") == (end, facts), "another footer comes back"


_INDEX_FILES = ("header.bin", "data_level0.bin", "length.bin", "link_lists.bin", "index_metadata.pickle")
_DIMENSION = 8


def parts(content: bytes) -> Iterator[bytes]:
    """The files of a folder, each with its length before it."""
    while len(content) > _LENGTH_BYTES:
        length = int.from_bytes(content[:_LENGTH_BYTES], "little")
        yield content[_LENGTH_BYTES : _LENGTH_BYTES + length]
        content = content[_LENGTH_BYTES + length :]


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
    yield b"".join(len(part).to_bytes(_LENGTH_BYTES, "little") + part for part in files)


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
        collection.add(ids=ids, embeddings=np.random.default_rng(0).normal(size=(60, _DIMENSION)).astype(np.float32))
    (header,) = (folder / "indexed").rglob("header.bin")
    return [(header.parent / name).read_bytes() for name in _INDEX_FILES]


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


Seeds = Callable[[Path], Iterator[bytes]]
Reader = Callable[[bytes, Path], None]

# For each: the files to begin with, the reader, and the modules whose branches lead.
TARGETS: Mapping[str, tuple[Seeds, Reader, Sequence[str]]] = {
    "npz": (projections(".npz"), load_projection(".npz"), ("projection.projection",)),
    "onnx": (projections(".onnx"), load_projection(".onnx"), ("projection.projection",)),
    "manifest": (manifest_seeds, read_manifest, ("registry.manifest",)),
    "plan": (plan_seeds, read_plan, ("budget.plan",)),
    "journal": (of_tests("journal.json"), read_journal, ("migration.aside.workspace", "migration.request")),
    "record": (
        of_tests("lightmigrate.json", "lightmigrate-scores.json"), read_record,
        ("migration.aside.record", "scores.stored"),
    ),
    "provenance": (provenance_seeds, read_provenance, ("refinement.provenance",)),
    "index": (index_seeds, read_index, ("stores.chroma.graph", "stores.chroma.hnsw", "stores.chroma.health")),
    "labels": (label_seeds, read_labels, ("stores.chroma.labels",)),
    "parquet": (
        footer_seeds, read_footer, ("stores.vector_files.parquet_footer", "stores.vector_files.thrift"),
    ),
    "docstore": (docstore_seeds, read_docstore, ("stores.vector_files.langchain",)),
}  # fmt: skip
