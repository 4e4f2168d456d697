"""The list of a folder's projections is always whole, whoever writes it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import LightmigrateError, Model, Projection, ProjectionFileError, Registry
from tests.databases import make_projection
from tests.registry.folders import item, write_list

ROOT = Path(__file__).parents[2]


def test_what_is_added_is_listed_and_can_be_loaded(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "new" / "folder")
    assert registry.entries() == []
    registry.add(make_projection(), "b.npz")
    registry.add(make_projection(1), "a.npz")
    registry.add(make_projection(2), "b.npz")  # in place of the first
    assert [entry.file for entry in registry.entries()] == ["a.npz", "b.npz"]
    entry = registry.entries()[1]
    file = registry.folder / entry.file
    assert entry.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert Projection.load(file).info.source.name == entry.source["name"] == "old-model"


@pytest.mark.parametrize("name", ["../a.npz", "a/b.npz", "a.onnx", ""])
def test_names_stay_in_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(LightmigrateError, match=r"not the name of an \.npz file"):
        Registry(tmp_path).add(make_projection(), name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', '{"format": 1, "projections": [{"file": "x"}]}'])
def test_a_damaged_list_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "registry.json").write_text(content)
    with pytest.raises(LightmigrateError, match="is damaged"):
        Registry(tmp_path).entries()


def test_a_list_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "registry.json").write_text(json.dumps({"format": 2, "projections": []}))
    with pytest.raises(LightmigrateError, match="has format 2, this lightmigrate reads 1"):
        Registry(tmp_path).entries()


def test_processes_that_add_at_once_lose_nothing(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from lightmigrate.registry.registry import Registry;"
        "from tests.databases import make_projection;"
        "[Registry(Path(sys.argv[1])).add(make_projection(n), f'{sys.argv[2]}-{n}.npz') for n in range(8)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, tmp_path, name], cwd=ROOT) for name in "abc"]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert len(Registry(tmp_path).entries()) == 24


A, B = Model("a", 4), Model("b", 5)


def test_a_file_is_copied_in_and_another_of_its_name_replaced(tmp_path: Path) -> None:
    file = make_projection().save(tmp_path / "elsewhere.npz")
    registry = Registry(tmp_path / "registry")
    entry = registry.add_file(file)
    assert registry.entries() == [entry]
    assert (registry.folder / "elsewhere.npz").read_bytes() == file.read_bytes()
    again = registry.add_file(make_projection(1).save(file))
    assert registry.entries() == [again]
    assert again.sha256 != entry.sha256
    assert registry.verify() == []
    with pytest.raises(LightmigrateError, match="is not the file that was listed"):
        registry.load(entry)
    assert registry.load(again).info.source.name == "old-model"


def test_a_file_that_is_there_already_is_listed_as_it_is(tmp_path: Path) -> None:
    file = make_projection().save(tmp_path / "a.npz")
    before = file.stat()
    Registry(tmp_path).add_file(file)
    assert Registry(tmp_path).verify() == []
    assert file.stat().st_ino == before.st_ino


def test_only_projections_come_in(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    (tmp_path / "text.npz").write_text("no projection")
    for file, error in (("text.npz", ProjectionFileError), ("missing.npz", ProjectionFileError), ("x.onnx", None)):
        with pytest.raises(error or LightmigrateError):
            registry.add_file(tmp_path / file)
    strange = make_projection(source=Model("a", 16, revision=7))  # type: ignore[arg-type]  # nobody checks a header
    with pytest.raises(LightmigrateError, match="revision of a model has another type"):
        registry.add(strange, "a.npz")
    assert not registry.folder.exists()


def test_adding_never_writes_through_a_link(tmp_path: Path) -> None:
    file = make_projection().save(tmp_path / "a.npz")
    outside = tmp_path / "outside"
    outside.write_text("precious")
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "a.npz").symlink_to(outside)
    Registry(folder).add_file(file)
    assert outside.read_text() == "precious"
    assert Registry(folder).verify() == []


def test_what_is_removed_is_gone_and_nothing_else(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.add(make_projection(), "a.npz")
    registry.add(make_projection(1), "b.npz")
    registry.remove("a.npz")
    assert [entry.file for entry in registry.entries()] == ["b.npz"]
    assert not (tmp_path / "a.npz").exists()
    for file in ("a.npz", "registry.json", "../x.npz"):
        with pytest.raises(LightmigrateError, match="lists no"):
            registry.remove(file)
    (tmp_path / "b.npz").unlink()
    registry.remove("b.npz")
    assert registry.entries() == []
    with pytest.raises(LightmigrateError, match="lists no"):
        Registry(tmp_path / "missing").remove("a.npz")
    assert not (tmp_path / "missing").exists()


def test_verify_names_everything_that_is_wrong(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    for number, name in enumerate(["altered", "broken", "fine", "gone", "header", "models"]):
        registry.add(make_projection(number), f"{name}.npz")
    assert registry.verify() == []
    make_projection(9).save(tmp_path / "altered.npz")
    (tmp_path / "broken.npz").write_bytes(b"broken")
    (tmp_path / "gone.npz").unlink()
    make_projection(9).save(tmp_path / "stray.npz")
    listed = json.loads((tmp_path / "registry.json").read_text())
    for one in listed["projections"]:
        match one["file"]:
            case "broken.npz":
                one["sha256"] = hashlib.sha256(b"broken").hexdigest()
            case "header.npz":
                one["quality"] = {"retention": {"value": 1.0}}
            case "models.npz":
                one["target"]["name"] = "better-model"
    (tmp_path / "registry.json").write_text(json.dumps(listed))
    said = registry.verify()
    expected = {
        "altered.npz": "is not the file that was listed",
        "broken.npz": "is not a lightmigrate projection",
        "gone.npz": "is listed and missing",
        "header.npz": "says another quality than its list",
        "models.npz": "is between other models than its list says",
        "stray.npz": "is not listed",
    }
    assert len(said) == len(expected)
    for (file, problem), line in zip(expected.items(), said, strict=True):
        assert file in line
        assert problem in line
    assert Registry(tmp_path / "missing").verify() == []


@pytest.mark.parametrize(
    "file",
    ["../a.npz", "/a.npz", "b/a.npz", "..", "", "a.onnx", "b\\a.npz", "C:a.npz", "a\0.npz", ".a.npz", 7, None, ["a"]],
)
def test_a_list_cannot_name_anything_outside(file: Any, tmp_path: Path) -> None:
    make_projection().save(tmp_path / "a.npz")
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "registry.json").write_text(
        json.dumps({"format": 1, "projections": [item("a.npz", A, B) | {"file": file}]})
    )
    with pytest.raises(LightmigrateError, match=r"not the name of an \.npz file|is damaged"):
        Registry(folder).entries()
    assert len(Registry(folder).verify()) == 1
    with pytest.raises(LightmigrateError):
        Registry(folder).remove(str(file))
    assert (tmp_path / "a.npz").exists()


def test_a_link_cannot_lead_outside(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    entry = registry.add(make_projection(), "a.npz")
    (registry.folder / "a.npz").rename(tmp_path / "outside.npz")
    for target in (tmp_path / "outside.npz", registry.folder / "a.npz"):
        (registry.folder / "a.npz").unlink(missing_ok=True)
        (registry.folder / "a.npz").symlink_to(target)
        with pytest.raises(LightmigrateError, match="leads out of its folder"):
            registry.load(entry)
        assert len(registry.verify()) == 1
    registry.remove("a.npz")
    assert (tmp_path / "outside.npz").exists()
    moved = tmp_path / "link"
    moved.symlink_to(registry.folder)  # a folder may itself be reached by a link
    entry = Registry(moved).add(make_projection(), "b.npz")
    assert Registry(moved).load(entry).info.source.dimension == 16


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("sha256", 7), ("source", []), ("source", "a"), ("source", {"name": "a"}), ("training", None),
        ("quality", [1]), ("source", A.to_json() | {"dimension": "4"}), ("source", A.to_json() | {"dimension": True}),
        ("target", A.to_json() | {"dimension": 0}), ("target", A.to_json() | {"name": None}),
        ("target", A.to_json() | {"revision": ["x"]}), ("target", A.to_json() | {"normalised": 1}),
        ("target", A.to_json() | {"unknown": 1}), ("surplus", 1),
    ],
)  # fmt: skip
def test_wrong_types_in_a_list_are_named(part: str, value: Any, tmp_path: Path) -> None:
    write_list(tmp_path, [item("a.npz", A, B) | {part: value}])
    with pytest.raises(LightmigrateError, match="is damaged"):
        Registry(tmp_path).entries()


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe", b"[" * 100_000, b'{"format": 1, "projections": {"a": 1}}', b'{"format": 1, "projections": 5}'],
)
def test_whatever_is_in_the_list_it_is_one_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "registry.json").write_bytes(content)
    with pytest.raises(LightmigrateError, match="is damaged"):
        Registry(tmp_path).entries()


def test_a_list_cut_anywhere_is_damaged_and_nothing_is_added_over_it(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.add(make_projection(), "a.npz")
    whole, file = registry.path.read_bytes(), (tmp_path / "a.npz").read_bytes()
    for length in range(0, len(whole) - 2, 7):
        registry.path.write_bytes(whole[:length])
        with pytest.raises(LightmigrateError, match="is damaged"):
            registry.entries()
        with pytest.raises(LightmigrateError, match="is damaged"):
            registry.add(make_projection(1), "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == file
    assert sorted(path.name for path in tmp_path.iterdir()) == [".registry.json.lock", "a.npz", "registry.json"]


def test_a_file_listed_twice_is_damage(tmp_path: Path) -> None:
    write_list(tmp_path, [item("a.npz", A, B), item("a.npz", B, A)])
    with pytest.raises(LightmigrateError, match="is damaged"):
        Registry(tmp_path).entries()


def test_a_file_where_the_folder_should_be_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LightmigrateError, match="cannot be written"):
        Registry(tmp_path / "file").add(make_projection(), "a.npz")
    with pytest.raises(LightmigrateError, match="cannot be read"):
        Registry(tmp_path / "file").entries()
    assert len(Registry(tmp_path / "file").verify()) == 1


def test_readers_never_see_half_a_list_while_others_add_and_remove(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from lightmigrate import Registry;"
        "from tests.databases import make_projection; registry = Registry(Path(sys.argv[1])); name = sys.argv[2];"
        "[(registry.add(make_projection(n), f'{name}-{n}.npz'), n % 2 or registry.remove(f'{name}-{n}.npz'))"
        " for n in range(12)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, tmp_path, name], cwd=ROOT) for name in "ab"]
    seen = set()
    while any(process.poll() is None for process in running):
        seen.add(len(Registry(tmp_path).entries()))
    assert [process.wait() for process in running] == [0, 0]
    assert len(seen) > 2
    assert sorted(entry.file for entry in Registry(tmp_path).entries()) == sorted(
        f"{name}-{n}.npz" for name in "ab" for n in range(1, 12, 2)
    )
    assert Registry(tmp_path).verify() == []
