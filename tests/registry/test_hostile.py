"""A registry.json from anybody: nothing outside its folder is touched, and whatever it says is one line of error."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import Library, Model, Projection, Registry
from lightmigrate.errors import LightmigrateError, ListedFileError
from lightmigrate.files import file_sha256
from lightmigrate.registry import checked_file
from lightmigrate.registry.library import PACKAGED
from tests.databases import make_projection
from tests.registry.folders import item, shelf, write_list

A, B = Model("a", 4), Model("b", 5)
SOUND = item("a.npz", A, B)
NOBODY = 65534


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"7", b'{"format": 1}', b'{"format": 1, "projections": 7}', b"\xff\xfe",
        b'{"format": 1, "projections": {"a": 1}}', b'{"format": 1, "projections": [{"file": "x"}]}',
        b"[" * 100_000, b'{"format": ' + b"9" * 10_000 + b"}", b'"\\ud800"',
    ],
)  # fmt: skip
def test_a_damaged_list_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "registry.json").write_bytes(content)
    with pytest.raises(LightmigrateError, match="is damaged") as caught:
        Registry(tmp_path).entries()
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("version", "said"), [(2, "2"), ("\x1b[2J", r"'\\x1b\[2J'")])
def test_a_list_of_another_version_is_refused(version: object, said: str, tmp_path: Path) -> None:
    (tmp_path / "registry.json").write_text(json.dumps({"format": version, "projections": []}))
    with pytest.raises(LightmigrateError, match=f"has format {said}, this lightmigrate reads 1"):
        Registry(tmp_path).entries()


@pytest.mark.parametrize(
    "file",
    [
        "../a.npz", "/a.npz", "b/a.npz", "..", "", ".npz", ".a.npz", "a.txt", "C:\\a.npz", "C:a.npz", "b\\a.npz",
        "a\x1b[2J.npz", "a\0.npz", "a.next.npz", "a.next.onnx", "\ud800.npz", "x" * 300 + ".npz", 7, None, ["a"],
    ],
)  # fmt: skip
def test_a_list_cannot_name_anything_outside(file: Any, tmp_path: Path) -> None:
    make_projection().save(tmp_path / "a.npz")
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "registry.json").write_text(json.dumps({"format": 1, "projections": [SOUND | {"file": file}]}))
    registry = Registry(folder)
    with pytest.raises(LightmigrateError, match="is damaged") as caught:
        registry.entries()
    assert str(caught.value).isprintable()
    assert [found.kind for found in registry.verify()] == ["list"]
    with pytest.raises(LightmigrateError):
        registry.remove(str(file))
    assert (tmp_path / "a.npz").exists()


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("sha256", 7), ("sha256", ""), ("sha256", "\x1b" * 64), ("sha256", "A" * 64), ("source", []), ("source", {}),
        ("target", "x"), ("training", 1), ("training", None), ("quality", None), ("quality", [1]), ("more", 1),
        ("training", {"deep": nested(60)}), ("quality", {"deep": nested(700)}),
        ("source.name", 7), ("source.name", None), ("source.name", "a\x1b[31m"), ("source.dimension", "16"),
        ("source.dimension", 16.0), ("source.dimension", True), ("source.dimension", 0), ("source.dimension", -1),
        ("source.dimension", 10**30), ("target.normalised", 1), ("target.prefix", None), ("target.revision", ["x"]),
        ("target.more", 1),
    ],
)  # fmt: skip
def test_a_part_of_another_kind_damages_the_list(part: str, value: Any, tmp_path: Path) -> None:
    entry = copy.deepcopy(SOUND)
    place, _, field = part.partition(".")
    if field:
        entry[place][field] = value
    else:
        entry[place] = value
    with pytest.raises(LightmigrateError, match="is damaged") as caught:
        Registry(write_list(tmp_path, [entry])).entries()
    assert str(caught.value).isprintable()


def test_a_file_listed_twice_damages_the_list(tmp_path: Path) -> None:
    with pytest.raises(LightmigrateError, match="listed twice"):
        Registry(write_list(tmp_path, [SOUND, item("a.npz", B, A)])).entries()


def test_a_list_cut_at_any_byte_is_damaged_and_nothing_is_written_over_it(tmp_path: Path) -> None:
    registry = shelf(tmp_path, make_projection())
    content, file, whole = registry.path.read_bytes(), (tmp_path / "0.npz").read_bytes(), registry.entries()
    for end in range(len(content) - 1):  # the last byte is a newline
        registry.path.write_bytes(content[:end])
        with pytest.raises(LightmigrateError, match="is damaged"):
            registry.entries()
        if end % 50 == 0:
            with pytest.raises(LightmigrateError, match="is damaged"):
                registry.add(make_projection(1), "0.npz")
    assert (tmp_path / "0.npz").read_bytes() == file
    registry.path.write_bytes(content[:-1])
    assert registry.entries() == whole


def test_a_list_with_any_byte_changed_raises_nothing_else(tmp_path: Path) -> None:
    registry = shelf(tmp_path, make_projection())
    content = registry.path.read_bytes()
    for place in range(0, len(content), 3):
        registry.path.write_bytes(content[:place] + bytes([content[place] ^ 0x95]) + content[place + 1 :])
        for problem in registry.verify():
            assert problem.message.isprintable()


def test_a_huge_list_is_neither_read_nor_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "registry.json").open("wb") as file:
        file.truncate(1 << 40)  # takes no room
    with pytest.raises(LightmigrateError, match="1,099,511,627,776 bytes"):
        Registry(tmp_path).entries()
    monkeypatch.setattr("lightmigrate.registry.manifest.MOST_BYTES", 100)
    registry = Registry(tmp_path / "shelf")
    with pytest.raises(LightmigrateError, match=r"at most 100; use another folder; the projection to add is .*a\.npz"):
        registry.add(make_projection(), "a.npz")
    assert registry.entries() == []


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_a_list_that_is_no_file_keeps_nobody_waiting(kind: str, tmp_path: Path) -> None:
    registry = shelf(tmp_path, make_projection())
    registry.path.unlink()
    match kind:
        case "pipe":
            os.mkfifo(registry.path)
        case "folder":
            registry.path.mkdir()
        case "device":
            registry.path.symlink_to("/dev/zero")
    for act in (registry.entries, lambda: registry.remove("0.npz"), lambda: registry.add(make_projection(1), "0.npz")):
        with pytest.raises(LightmigrateError, match="is not a file"):
            act()
    assert [found.kind for found in registry.verify()] == ["list"]


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_a_lock_that_is_no_file_keeps_nobody_waiting(kind: str, tmp_path: Path) -> None:
    registry = shelf(tmp_path / "shelf", make_projection())
    lock = registry.folder / ".registry.json.lock"
    lock.unlink()
    match kind:
        case "pipe":
            os.mkfifo(lock)
        case "folder":
            lock.mkdir()
        case "link":
            lock.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LightmigrateError, match="is a link or not a regular file; delete it"):
        registry.remove("0.npz")
    assert [(found.file, found.kind) for found in registry.verify()] == [(lock.name, "outside")]
    assert not (tmp_path / "elsewhere").exists()
    registry.load(registry.entries()[0])  # whoever only uses it needs no lock


def test_a_pipe_in_a_projections_place_keeps_nobody_waiting(tmp_path: Path) -> None:
    registry = shelf(tmp_path, make_projection())
    (entry,) = registry.entries()
    (tmp_path / "0.npz").unlink()
    os.mkfifo(tmp_path / "0.npz")
    os.mkfifo(tmp_path / "0.next.npz")
    for look in (registry.load, registry.file_of):
        with pytest.raises(ListedFileError, match="a link or not a regular file"):
            look(entry)
    assert {found.kind for found in registry.verify()} == {"outside", "unlisted"}
    registry.add(make_projection(1), "0.npz")
    assert registry.verify() == []


@pytest.mark.parametrize("list_too", [False, True])
def test_an_altered_file_is_given_up_soon_also_where_the_list_is_damaged(
    list_too: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = shelf(tmp_path, make_projection())
    (entry,) = registry.entries()
    (tmp_path / "0.npz").write_bytes(b"another")
    if list_too:
        (tmp_path / "registry.json").write_bytes(b"{")
    opened: list[Path] = []

    def counted(path: Path) -> str:
        opened.append(path)
        return file_sha256(path)

    monkeypatch.setattr(checked_file, "file_sha256", counted)
    with pytest.raises(ListedFileError, match="is not the file that was listed"):
        registry.load(entry)
    assert len(opened) == 4


def test_a_folder_called_like_something_left_over_is_in_nobodys_way(tmp_path: Path) -> None:
    registry = shelf(tmp_path, make_projection())
    (tmp_path / ".registry.json.0123abcd").mkdir()
    (tmp_path / ".0.next.npz.0123abcd").touch()
    registry.add(make_projection(1), "0.npz")
    assert [found.file for found in registry.verify()] == [".registry.json.0123abcd"]


@pytest.mark.parametrize("where", ["outside", "inside", "itself"])
def test_links_are_not_followed(where: str, tmp_path: Path) -> None:
    registry = shelf(tmp_path / "shelf", make_projection())
    (entry,) = registry.entries()
    own, outside = registry.folder / "0.npz", tmp_path / "precious.npz"
    target = {"outside": outside, "inside": registry.folder / "other.npz", "itself": own}[where]
    own.rename(outside if where == "itself" else target)
    own.symlink_to(target)
    for look in (registry.load, registry.file_of):
        with pytest.raises(ListedFileError) as caught:
            look(entry)
        assert caught.value.kind == "outside"
    assert "outside" in {found.kind for found in registry.verify()}
    registry.add(make_projection(1), "0.npz")  # in the link's place, not where it leads
    assert not own.is_symlink()
    own.unlink()
    own.symlink_to(target)
    registry.remove("0.npz")
    assert not own.is_symlink()
    if where == "outside":
        assert outside.read_bytes() == make_projection().save(tmp_path / "again.npz").read_bytes()


def test_a_link_in_the_folder_is_added_as_a_copy_of_what_it_leads_to(tmp_path: Path) -> None:
    precious = make_projection().save(tmp_path / "precious.npz")
    folder = tmp_path / "shelf"
    folder.mkdir()
    (folder / "a.npz").symlink_to(precious)
    Registry(folder).add_file(folder / "a.npz")
    assert Registry(folder).verify() == []
    assert not (folder / "a.npz").is_symlink()
    (folder / "a.npz").unlink()
    (folder / "a.npz").symlink_to(precious)
    Registry(folder).add_file(make_projection(1).save(tmp_path / "a.npz"))
    assert Registry(folder).verify() == []
    assert precious.read_bytes() == make_projection().save(tmp_path / "again.npz").read_bytes()


@pytest.mark.parametrize(
    "quality",
    [
        {"expected_retention": 7}, {"expected_retention": {"value": "much"}}, {"expected_retention": {"value": 1e300}},
        {"expected_retention": {"value": float("nan")}}, {"expected_retention": {"value": 10**400}}, {"retention": []},
    ],
)  # fmt: skip
def test_nonsense_about_quality_is_no_quality(quality: dict[str, Any], tmp_path: Path) -> None:
    folder = write_list(tmp_path, [SOUND | {"quality": quality}])
    (found,) = Library([folder]).find(source_dim=4, target_dim=5, target="b")
    assert found.stated_quality is found.entries[0].stated_quality is None


def test_thousands_of_entries_do_not_explode_into_chains(tmp_path: Path) -> None:
    models = [Model(f"m{number}", 8) for number in range(40)]
    folder = write_list(tmp_path, [item(f"{n}.npz", models[n % 40], models[n // 40 % 40]) for n in range(2000)])
    start = time.process_time()
    found = Library([folder]).find(source="m7", target="m30", source_dim=8, target_dim=8)
    assert time.process_time() - start < 5
    assert len(found) == 20
    assert found[0].by == "pair"


def test_finding_opens_no_projection_and_takes_milliseconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server looks while it starts. Processor time, because others use this machine too."""
    shelves = [
        write_list(tmp_path / name, [item(f"{name}{n}.npz", Model(f"{name}{n % 17}", 4), B) for n in range(size)])
        for name, size in (("x", 100), ("y", 12))
    ]
    monkeypatch.setattr(Projection, "load", None)
    library = Library(shelves)
    times = []
    for _ in range(20):
        start = time.process_time()
        assert len(library.find(source_dim=4, target_dim=5, target="b")) == 20
        times.append(time.process_time() - start)
    assert min(times) < 0.02  # 3 to 6 ms on the machines it was tried on


@contextlib.contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Within the block this process may read the folder, and write nothing in it."""
    for path in folder.iterdir():
        path.chmod(path.stat().st_mode & 0o444)
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:  # who may write everywhere
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder that everybody can reach; those of pytest are the user's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_the_packaged_ones_need_no_right_to_write(readable: Path) -> None:
    folder = Path(shutil.copytree(PACKAGED, readable / "packaged", ignore=shutil.ignore_patterns(".*")))
    registry = Registry(folder)
    names = sorted(path.name for path in folder.iterdir())
    with without_rights(folder):
        assert registry.verify() == []
        assert len(registry.entries()) == 12
        (found, *_) = Library([folder]).find(source_dim=384, target_dim=768, target="all-mpnet-base-v2")
        assert found.load().info.target.name == "all-mpnet-base-v2"
        with pytest.raises(LightmigrateError, match="cannot be written"):
            registry.add(make_projection(), "new.npz")
    assert sorted(path.name for path in folder.iterdir()) == names


def test_a_lock_of_somebody_else_stops_no_reader(readable: Path) -> None:
    registry = shelf(readable / "shelf", make_projection())
    with without_rights(registry.folder):
        assert registry.verify() == []
    (registry.folder / ".registry.json.lock").chmod(0)
    with without_rights(registry.folder):
        assert registry.verify() == []
        with pytest.raises(LightmigrateError, match="cannot be written"):
            registry.remove("0.npz")
