"""`.npy` files with ids and texts beside them, in every layout that is documented."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lightmigrate import Migrator, Model
from lightmigrate.errors import DamagedCollectionError, DatabaseError, LightmigrateError
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.open import open_database
from tests.databases import make_projection
from tests.stores.vector_files.moving import LATER, moved, opened, some, turned

ROWS, OLD, NEW = 30, 8, 12

LAYOUTS = {
    "lines": {"docs.jsonl": "".join(json.dumps({"id": f"n{row}", "text": f"t{row}"}) + "\n" for row in range(ROWS))},
    "numbers": {"docs.jsonl": "".join(json.dumps({"id": row, "content": f"t{row}"}) + "\n" for row in range(ROWS))},
    "json": {"docs.ids.json": json.dumps([f"n{row}" for row in range(ROWS)])},
    "text": {
        "docs.ids.txt": "".join(f"n{row}\n" for row in range(ROWS)),
        "docs.texts.jsonl": "".join(json.dumps(f"t{row}") + "\n" for row in range(ROWS)),
    },
    "folder": {
        "ids.json": json.dumps(list(range(ROWS))),
        "texts.jsonl": "\n".join(json.dumps({"text": f"t{row}", "page": row}) for row in range(ROWS)),
    },
    "none": {},
}


def write(folder: Path, layout: str, dtype: str = "<f4") -> Path:
    np.save(folder / "docs.npy", some(ROWS, OLD).astype(dtype))
    for name, content in LAYOUTS[layout].items():
        (folder / name).write_text(content)
    return folder / "docs.npy"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ids_and_texts_beside_are_read_and_stay_as_they_are(tmp_path: Path, layout: str) -> None:
    path = write(tmp_path, layout)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    store = opened(path)
    collection = store.collection(Address("docs"))
    prefix = "n" if layout in ("lines", "json", "text") else ""
    assert list(collection.ids()) == [f"{prefix}{row}" for row in range(ROWS)]
    texts = [None if layout in ("json", "none") else f"t{row}" for row in range(ROWS)]
    assert list(collection.records(list(collection.ids())).texts) == texts
    backup = moved(store, "docs", NEW)
    assert np.load(path).tobytes() == turned(some(ROWS, OLD), NEW).tobytes()
    assert {name: (tmp_path / name).read_bytes() for name in before if name != "docs.npy"} == {
        name: content for name, content in before.items() if name != "docs.npy"
    }
    store.restore(backup, LATER)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("layout", LAYOUTS)
def test_records_are_written_in_the_layout_that_is_there(tmp_path: Path, layout: str) -> None:
    store = opened(write(tmp_path, layout))
    collection = store.collection(Address("docs"))
    new = str(ROWS) if layout in ("numbers", "folder", "none") else "new"
    text = None if layout in ("json", "none") else "a text"
    collection.add(Page([new], some(1, OLD, 9), [text], [None]))
    again = opened(tmp_path / "docs.npy").collection(Address("docs"))
    assert list(again.ids())[-1] == new
    assert list(again.records([new, list(again.ids())[3]]).texts) == [text, text and "t3"]
    if layout == "none":
        with pytest.raises(LightmigrateError, match="known by their number"):
            collection.remove(["3"])
        with pytest.raises(LightmigrateError, match="no file for texts"):
            collection.add(Page([str(ROWS + 1)], some(1, OLD), ["a text"], [None]))
    else:
        collection.remove([list(again.ids())[3]])
        assert opened(tmp_path / "docs.npy").collection(Address("docs")).count() == ROWS


def test_what_is_carried_back_is_the_line_that_the_application_wrote(tmp_path: Path) -> None:
    path = write(tmp_path, "lines")
    Migrator(path).migrate_collection("docs", make_projection(source=Model("a", OLD), target=Model("b", NEW)))
    line = '{"id":"n3", "text":"t3",  "score":NaN, "rest":1e2}\n'
    vectors, kept = np.load(path), [row for row in range(ROWS) if row != 3]
    np.save(path, vectors[[*kept, 3]])  # written again, it is the last
    lines = (tmp_path / "docs.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "docs.jsonl").write_text("".join([*(lines[row] for row in kept), line]))
    assert Migrator(path).rollback(written="carry").carried
    assert np.load(path).shape == (ROWS, OLD)
    assert (tmp_path / "docs.jsonl").read_text().splitlines(keepends=True)[3] == line


@pytest.mark.parametrize("dtype", ["<f2", "<f8", ">f4"])
def test_the_type_of_the_numbers_stays(tmp_path: Path, dtype: str) -> None:
    path = write(tmp_path, "lines", dtype)
    store = opened(path)
    moved(store, "docs", NEW)
    new = np.load(path)
    assert new.dtype.str == dtype
    np.testing.assert_allclose(new, turned(some(ROWS, OLD).astype(dtype).astype(np.float32), NEW), rtol=2e-3, atol=2e-3)


def test_arrays_that_are_no_vectors_are_said(tmp_path: Path) -> None:
    write(tmp_path, "lines")
    np.save(tmp_path / "flat.npy", np.zeros(5, np.float32))
    np.save(tmp_path / "whole.npy", np.zeros((5, 2), np.int64))
    np.save(tmp_path / "columns.npy", np.asfortranarray(np.zeros((5, 2), np.float32)))
    np.save(tmp_path / "objects.npy", np.array([[{}]], object), allow_pickle=True)
    (tmp_path / "short.npy").write_bytes((tmp_path / "docs.npy").read_bytes()[:-8])
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "apart.npy", some(3, OLD))
    (tmp_path / "apart.jsonl").write_text('{"id": "a"}\n')
    store = opened(tmp_path)
    names = [facts.name for facts in store.collections()]
    damaged = store.damaged([Address(name) for name in names])
    assert {address.name for address in damaged} == {*names} - {"docs"}
    assert "Fortran order" in damaged[Address("columns")]
    assert "1,080" in damaged[Address("short")]
    assert "3 vectors, and the files beside it have 1 records" in damaged[Address("apart")]


def test_a_file_a_folder_and_an_address_are_opened_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path, "none")
    np.save(tmp_path / "other.npy", some(2, OLD))
    assert [facts.name for facts in opened(path).collections()] == ["docs"]
    assert [facts.name for facts in opened(tmp_path).collections()] == ["docs", "other"]
    assert str(opened(f"file://{path}")) == str(path)
    assert str(opened(f"file://{path}?text=body&lossy=yes")) == f"file://{path}?text=body&lossy=yes"
    for address, reason in {
        f"file://elsewhere{path}": "no the host|no host|host elsewhere",
        f"file://{path}?lossy=perhaps": "lossy is yes or no",
        f"file://{tmp_path / 'nothing.npy'}": "no file of vectors",
    }.items():
        with pytest.raises(DatabaseError, match=reason):
            open_database(address)
    path.write_bytes(b"")
    with pytest.raises(DamagedCollectionError):
        opened(tmp_path).collection(Address("docs")).count()
