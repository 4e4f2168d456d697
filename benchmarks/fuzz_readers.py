"""The readers of foreign bytes that `fuzz.py` fuzzes: each takes an input as real code finds it in a file."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# Longest input.
MOST_BYTES = 1 << 16

# Bytes at the head of an input for a folder of files say how long each file is.
LENGTH_BYTES = 4

INDEX_FILES = ("header.bin", "data_level0.bin", "length.bin", "link_lists.bin", "index_metadata.pickle")
DIMENSION = 8

NOTE_FILES = ("note.json", "records.sqlite3")


def parts(content: bytes) -> Iterator[bytes]:
    """The files of a folder, each with its length before it."""
    while len(content) > LENGTH_BYTES:
        length = int.from_bytes(content[:LENGTH_BYTES], "little")
        yield content[LENGTH_BYTES : LENGTH_BYTES + length]
        content = content[LENGTH_BYTES + length :]


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

    for name, part in zip(INDEX_FILES, parts(content), strict=False):
        (place / name).write_bytes(part)
    for name in INDEX_FILES:
        (place / name).touch()
    with contextlib.suppress(ValueError, OSError):
        if _fault_of_files(place, DIMENSION) is None:
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


def read_late(content: bytes, place: Path) -> None:
    """The note of an exchange whose last writes are not carried over yet, and the digests beside it."""
    from lightmigrate.migration.shadow.late_note import HOME, notes_in
    from lightmigrate.stores.record_tables import RecordTables

    note = place / HOME / "some-key"
    note.mkdir(parents=True)
    for name, part in zip(NOTE_FILES, parts(content), strict=False):
        (note / name).write_bytes(part)
    for found in notes_in(place):
        with contextlib.suppress(ours()):
            found.read_request()
        with contextlib.suppress(ours()):
            found.seen(RecordTables(), 100)
