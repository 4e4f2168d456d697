"""Files that somebody made to do harm: refused, soon, and in little memory. What `benchmarks/fuzz.py` found is here."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import Projection
from lightmigrate.errors import DatabaseError, LightmigrateError, ProjectionFileError
from lightmigrate.migration.aside.cutover import recover
from lightmigrate.migration.aside.exchange import MARKER
from lightmigrate.migration.aside.record import RECORD_FILE, Record
from lightmigrate.migration.aside.workspace import Intention, Workspace
from lightmigrate.migration.request import read_requests
from lightmigrate.projection.archive import HEADER, _checksum
from lightmigrate.refinement.provenance import Provenance
from lightmigrate.stores.chroma.files import ChromaFiles
from lightmigrate.stores.chroma.hnsw import HnswFiles
from lightmigrate.stores.chroma.labels import read_labels
from lightmigrate.stores.vector_files.langchain import read_docstore
from tests.databases import make_projection

MIB = 1 << 20


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """The block takes no more than so many bytes of memory at once."""
    tracemalloc.start(1)
    try:
        yield
        _, most = tracemalloc.get_traced_memory()
        assert most <= size
    finally:
        tracemalloc.stop()


def saved(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Path:
    """A projection whose header and arrays were changed, with the checksum that they should have."""
    make_projection().save(path)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    header = json.loads(arrays.pop(HEADER).tobytes())
    change(header, arrays)
    header["sha256"] = ""
    with suppress(ValueError):  # there is none for such arrays
        header["sha256"] = _checksum({name: each for name, each in header.items() if name != "sha256"}, arrays)
    encoded = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, **{HEADER: encoded}, **arrays)  # type: ignore[arg-type]  # the stub reads ** as allow_pickle
    return path


def test_a_projection_that_unpacks_to_a_hundred_times_its_size(tmp_path: Path) -> None:
    path = tmp_path / "it.npz"
    np.savez_compressed(path, header=np.zeros(64 * MIB, np.uint8))
    assert path.stat().st_size < MIB
    with at_most(4 * MIB), pytest.raises(ProjectionFileError, match="damaged"):
        Projection.load(path)


def test_a_projection_whose_entries_lie_one_over_another(tmp_path: Path) -> None:
    """Each entry of the directory leads to the same bytes."""
    path, content = tmp_path / "it.npz", io.BytesIO()
    np.save(content, np.zeros(MIB, np.uint8))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.npy", content.getvalue())
        archive.filelist *= 50
    with at_most(4 * MIB), pytest.raises(ProjectionFileError, match="damaged"):
        Projection.load(path)


def test_a_projection_whose_array_states_another_size(tmp_path: Path) -> None:
    path, content = tmp_path / "it.npz", io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "|u1", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.npy", content.getvalue())
    with at_most(4 * MIB), pytest.raises(ProjectionFileError, match="damaged"):
        Projection.load(path)


def test_a_projection_of_dates(tmp_path: Path) -> None:
    path = saved(tmp_path / "it.npz", lambda header, arrays: arrays.update(when=np.zeros(3, "datetime64[s]")))
    with pytest.raises(ProjectionFileError, match="damaged"):
        Projection.load(path)


@pytest.mark.parametrize("change", [
    lambda header, arrays: header.pop("info"),
    lambda header, arrays: header.update(steps=[[]]),
    lambda header, arrays: header.update(spaces={"source": {}}),
    lambda header, arrays: arrays.pop("0.bias"),
])  # fmt: skip
def test_a_projection_that_lacks_something(change: Callable[[Any, Any], None], tmp_path: Path) -> None:
    with pytest.raises(ProjectionFileError):
        Projection.load(saved(tmp_path / "it.npz", change))


def test_a_graph_that_was_altered_does_not_reach_the_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    path = make_projection().export_onnx(tmp_path / "it.onnx")
    path.write_bytes(path.read_bytes().replace(b"Identity", b"Iterator"))
    monkeypatch.delattr(onnxruntime, "InferenceSession")
    with pytest.raises(ProjectionFileError, match="altered"):
        Projection.load(path)


def test_labels_that_are_a_hundred_times_as_large_in_memory() -> None:
    content = b"\x80\x03" + b"}" * MIB
    with at_most(MIB), pytest.raises(ValueError, match="instruction 0x7d"):
        read_labels(content)


def test_an_index_of_very_many_levels(tmp_path: Path) -> None:
    """Of which there would be a table for each."""
    header = struct.pack("<i6Q", 1, 0, 0, 0, 108, 100, 68)
    (tmp_path / "header.bin").write_bytes(header + struct.pack("<iI3QdQ", 2**31 - 1, 0, 8, 16, 8, 0.4, 100))
    for name in ("data_level0.bin", "length.bin", "link_lists.bin"):
        (tmp_path / name).touch()
    with at_most(MIB), pytest.raises(ValueError, match="does not describe"):
        HnswFiles.open(tmp_path).higher_levels()


def test_links_that_are_cut_short(tmp_path: Path) -> None:
    header = struct.pack("<i6Q", 1, 0, 1, 1, 108, 100, 68)
    (tmp_path / "header.bin").write_bytes(header + struct.pack("<iI3QdQ", 1, 0, 8, 16, 8, 0.4, 100))
    for name, size in (("data_level0.bin", 108), ("length.bin", 4), ("link_lists.bin", 2)):
        (tmp_path / name).write_bytes(bytes(size))
    with pytest.raises(ValueError, match="cut short"):
        HnswFiles.open(tmp_path).higher_levels()


COLLIDING = [(number * 2**61 - number) for number in range(2000)]


@pytest.mark.parametrize("content", [
    b"\x80\x04" + b"\x8f" * MIB,  # empty sets
    b"\x80\x04N" + b"\x94" * MIB,  # the same value, remembered a million times
    b"\x80\x04" + b"}" * MIB,
    pickle.dumps(dict.fromkeys(COLLIDING), 4),  # keys that are all of one hash
    pickle.dumps(set(COLLIDING), 4),
])  # fmt: skip
def test_a_docstore_that_is_much_more_than_it_holds(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "it.pkl").write_bytes(content)
    with (
        at_most(40 * len(content) + 4 * MIB),
        pytest.raises(LightmigrateError, match=r"much more|too many of its keys"),
    ):
        read_docstore(tmp_path / "it.pkl")


@pytest.mark.parametrize("fields", [
    {"incoming": ""},
    {"incoming": "chroma_data"},
    {"outgoing": "../elsewhere"},
    {"incoming": "a" * 5000},
    {"incoming": 7},
    {"outgoing": None},
    {"copied": {"a": 7}, "exchanging": False},
    {"description": {"collections": [7]}, "exchanging": False, "copied": {}},
    {"description": {"collections": [{"address": {}}]}, "exchanging": False, "copied": {}},
])  # fmt: skip
def test_a_journal_of_something_else(fields: dict[str, Any], tmp_path: Path) -> None:
    """With the checksum that it should have: the database stays where it is."""
    (tmp_path / "chroma_data").mkdir()
    (tmp_path / "chroma_data" / "chroma.sqlite3").touch()
    (tmp_path / "chroma_data" / MARKER).touch()  # as if an exchange had been interrupted
    workspace = Workspace(ChromaFiles(tmp_path / "chroma_data"))
    workspace.staging.mkdir(parents=True)
    intention = Intention("run", True, workspace.relative(workspace.staging), "chroma_backup_20260101_120000")
    workspace.write_journal(replace(intention, **fields))
    with suppress(DatabaseError):
        found = workspace.read_journal()
        if found is not None and found.description is not None:
            read_requests(workspace.request, found.description)
        recover(workspace)
    assert (tmp_path / "chroma_data" / "chroma.sqlite3").exists()
    assert (tmp_path / "chroma_data").parent.exists()


@pytest.mark.parametrize("fields", [
    {"backups": ["../elsewhere"]}, {"backups": [7]}, {"database_name": 7}, {"last_writes": [["a", "b", "c", 1e999]]},
    {"collections": [{"name": 7}]},
])  # fmt: skip
def test_a_record_of_something_else(fields: dict[str, Any], tmp_path: Path) -> None:
    Record("db", "2026-01-01", (), (), (), ()).write(tmp_path)
    content = json.loads((tmp_path / RECORD_FILE).read_text())
    (tmp_path / RECORD_FILE).write_text(json.dumps({**content, **fields}))
    with pytest.raises(DatabaseError, match="damaged"):
        Record.read(tmp_path)


def test_a_provenance_file_whose_damage_is_no_text(tmp_path: Path) -> None:
    """Found by the fuzzer: SQLite quotes the bytes in its error, and Python cannot make a text of them."""
    with Provenance.of(tmp_path):
        pass
    file = Provenance.file_in(tmp_path)
    file.write_bytes(file.read_bytes().replace(b"CREATE TABLE", b"CREATE \xb7ABLE"))
    with pytest.raises(LightmigrateError, match="is damaged"):
        Provenance.existing(tmp_path).addresses()
