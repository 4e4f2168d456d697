"""The files of Chroma's index: read without running anything, and told from what only looks like them."""

from __future__ import annotations

import os
import pickle
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.hnsw import HnswFiles, higher_links
from lightmigrate.stores.chroma.labelled import LabelledVectors
from lightmigrate.stores.chroma.labels import ALL, read_labels
from lightmigrate.stores.chroma.layout import Layout
from lightmigrate.stores.ids import hashed
from lightmigrate.vectors import Vectors
from tests.indexed import INDEXED, make_indexed

FILES = ("header.bin", "data_level0.bin", "length.bin", "link_lists.bin", "index_metadata.pickle")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_indexed(tmp_path_factory.mktemp("files") / "chroma_data")


def index_of(folder: Path, which: int) -> Path:
    tenant, database, name = INDEXED[which]
    layout = Layout.of(folder, Address(name, tenant, database))
    assert layout is not None
    return layout.index


@pytest.fixture(scope="module")
def labels(folder: Path) -> bytes:
    return (index_of(folder, 0) / "index_metadata.pickle").read_bytes()


def test_every_element_is_a_record_of_the_collection(folder: Path, labels: bytes) -> None:
    with open_client(folder) as client:
        held = set(client.get_collection("thought_nodes", embedding_function=None).get(include=[])["ids"])
    found = read_labels(labels, ALL)
    assert len(found) == HnswFiles.open(index_of(folder, 0)).elements
    layout = Layout.of(folder, Address("thought_nodes"))
    assert layout is not None
    assert set(found.ids.values()) - held == layout.deleted()
    assert np.array_equal(found.by_id().of(list(found.ids.values())), np.array(list(found.ids)))
    hashes, named = found.hashes_of(np.array([*found.ids, max(found.ids) + 1]))
    assert np.array_equal(hashes[:-1], hashed(found.ids.values()))
    assert named[:-1].all()
    assert not named[-1]
    assert len(layout.deleted()) == 15


def test_a_pickle_that_would_run_something_is_not_read(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "run"),)

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(ValueError, match=r"version|instruction"):
            read_labels(pickle.dumps({"label_to_id": Evil()}, protocol))
    assert not (tmp_path / "run").exists()


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_labels_are_said_to_be(data: st.DataObject, labels: bytes) -> None:
    kind = data.draw(st.sampled_from(["cut", "changed", "added"]))
    at = data.draw(st.integers(0, len(labels) - 1))
    if kind == "cut":
        damaged = labels[:at]
    elif kind == "added":
        damaged = labels + data.draw(st.binary(min_size=1, max_size=8))
    else:
        damaged = labels[:at] + bytes([data.draw(st.integers(0, 255))]) + labels[at + 1 :]
    try:
        found = read_labels(damaged, ALL)
    except ValueError:
        return
    # a changed letter of a key that stands in both tables cannot be: each id is written once, and referred to
    assert kind == "changed"
    assert all(type(label) is int and type(one) is str for label, one in found.ids.items())
    assert len(found.ids) == len(found)


@given(st.binary(max_size=200))
def test_rubbish_is_no_table_of_labels(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_labels(content)
    with pytest.raises(ValueError, match=r".+"):
        read_labels(b"\x80\x03" + content)


@pytest.mark.parametrize("which", range(len(INDEXED)))
def test_the_same_vectors_give_the_same_files(which: int, folder: Path, tmp_path: Path) -> None:
    files = HnswFiles.open(index_of(folder, which))
    seen = 0

    def unchanged(of: np.ndarray[tuple[int], np.dtype[np.uint64]], old: Vectors) -> Vectors:
        nonlocal seen
        seen += len(of)
        return old

    normalised = INDEXED[which][2] == "thought_nodes" and which == 0
    files.with_vectors(tmp_path / "new", files.dimension, unchanged, normalised=normalised, at_once=17)
    assert seen == files.elements
    again = HnswFiles.open(tmp_path / "new")
    assert (again.dimension, again.elements, again.size, again.room) == (
        files.dimension,
        files.elements,
        files.size,
        files.room,
    )
    assert again.labels(ALL).ids == files.labels(ALL).ids
    for name in FILES:
        one, other = ((place / name).read_bytes() for place in (files.folder, tmp_path / "new"))
        if not normalised or name not in ("data_level0.bin", "length.bin"):  # those are rounded once more
            assert one == other


def test_longer_vectors_make_longer_elements_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    files = HnswFiles.open(index_of(folder, 2))
    files.with_vectors(
        tmp_path / "new", 24, lambda of, old: np.pad(old, ((0, 0), (0, 8))), normalised=False, at_once=1000
    )
    again = HnswFiles.open(tmp_path / "new")
    assert (again.dimension, again.size - files.size) == (24, 8 * 4)
    assert (tmp_path / "new" / "link_lists.bin").read_bytes() == (files.folder / "link_lists.bin").read_bytes()


def test_files_with_room_for_more_elements(tmp_path: Path) -> None:
    """Chroma leaves them so when it enlarges an index and writes it again."""
    vectors = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    with open_client(tmp_path / "db") as client:
        settings = {"space": "l2", "sync_threshold": 20, "batch_size": 20}
        collection = client.create_collection("notes", embedding_function=None, configuration={"hnsw": settings})
        for start in range(0, 60, 20):
            ids = [str(row) for row in range(start, start + 20)]
            collection.add(ids=ids, embeddings=vectors[start : start + 20])
    layout = Layout.of(tmp_path / "db", Address("notes"))
    assert layout is not None
    index = HnswFiles.open(layout.index)
    assert (index.folder / "data_level0.bin").stat().st_size == index.room * index.size > index.elements * index.size
    names = index.labels(ALL).ids
    labels = index.labels_of_elements().astype(np.int64)
    rows = [int(names[label]) for label in labels.tolist()]
    read = index.vectors_of(np.arange(60), normalised=False)
    assert np.array_equal(read, vectors[rows])
    assert np.array_equal(LabelledVectors(index, normalised=False).of(labels[::-1]), read[::-1])


@pytest.mark.parametrize("name", ["header.bin", "data_level0.bin", "length.bin"])
@pytest.mark.parametrize("change", [-1, 1, None])
def test_files_that_do_not_fit_each_other_are_not_opened(
    name: str, change: int | None, folder: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(index_of(folder, 2), tmp_path / "index"))
    content = (copy / name).read_bytes()
    if change is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(content[:-1] if change < 0 else content + b"\0")
    with pytest.raises((ValueError, FileNotFoundError)):
        HnswFiles.open(copy)


@given(place=st.integers(0, 6), value=st.integers(0, 2**31 - 1))
@settings(max_examples=150, deadline=None)
def test_a_header_that_says_something_else_is_not_believed(
    place: int, value: int, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = Path(shutil.copytree(index_of(folder, 2), tmp_path_factory.mktemp("header") / "index"))
    header = bytearray((copy / "header.bin").read_bytes())
    known = struct.unpack_from("<i6Q", header)
    said = list(known)
    said[place] = value
    struct.pack_into("<i6Q", header, 0, *said)
    (copy / "header.bin").write_bytes(header)
    try:
        files = HnswFiles.open(copy)
    except ValueError:
        return
    # what cannot be told from the truth: how much room was made, if it is enough
    assert tuple(said) == known or (place == 2 and value >= files.elements)


@pytest.mark.parametrize("elements", [[], [0], [5, 6, 7], [7, 6, 5], [3, 5, 40, 4], [9, 9, 10]])
def test_elements_are_read_in_the_order_in_which_they_are_asked_for(elements: list[int], folder: Path) -> None:
    index = HnswFiles.open(index_of(folder, 0))
    content = np.fromfile(index.folder / "data_level0.bin", np.uint8).reshape(-1, index.size)
    assert np.array_equal(index.read(np.array(elements, np.intp)), content[elements])


@given(st.lists(st.sampled_from([0, 0, 0, 4, 12, 68])), st.binary(max_size=3), st.integers(0, 80))
def test_links_of_the_higher_levels_are_where_walking_from_one_to_the_next_finds_them(
    lengths: list[int], more: bytes, lacking: int
) -> None:
    content = b"".join(struct.pack("<I", length) + b"\1" * length for length in lengths)
    starts = np.cumsum([0, *(length + 4 for length in lengths)])
    expected = [(number, int(starts[number]) + 4, length) for number, length in enumerate(lengths) if length]
    assert list(higher_links(content + more, len(lengths))) == expected
    if 0 < lacking <= len(content):
        with pytest.raises(ValueError, match=r"cut short|another length"):
            list(higher_links(content[:-lacking], len(lengths)))


def test_labels_that_changed_are_read_anew(labels: bytes) -> None:
    first = read_labels(labels)
    again = read_labels(bytes(labels))
    assert np.array_equal(first.hashes, again.hashes)
    record = next(iter(read_labels(labels, ALL).ids.values()))
    changed = read_labels(labels.replace(record.encode(), record[::-1].encode()))
    assert hash(record[::-1]) in changed.hashes
    assert hash(record) not in changed.hashes
    assert hash(record) in read_labels(labels).hashes
