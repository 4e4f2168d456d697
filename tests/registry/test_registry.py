"""What is listed is what is loaded; the list is written whole, and nothing that was trained is lost to it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import Model, Projection, Registry
from lightmigrate.errors import LightmigrateError, ListedFileError, ProjectionFileError
from tests.databases import NEW, OLD, make_projection, make_vectors
from tests.registry.folders import MINILM, POTION, fitted, shelf


def kinds(registry: Registry) -> dict[str, str]:
    return {found.file: found.kind for found in registry.verify()}


def same(one: Projection, other: Projection) -> bool:
    vectors = make_vectors(3)
    return bool(np.array_equal(one.apply(vectors), other.apply(vectors))) and one.info == other.info


def change_list(registry: Registry, file: str, **parts: Any) -> None:
    """Let the list say something else of a file."""
    content = json.loads(registry.path.read_text())
    for one in content["projections"]:
        if one["file"] == file:
            one.update(parts)
    registry.path.write_text(json.dumps(content))


def test_what_is_added_is_listed_and_can_be_loaded(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "new" / "folder")
    assert registry.entries() == []
    registry.add(make_projection(), "b.npz")
    registry.add(make_projection(1), "a.npz")
    registry.add(make_projection(2), "b.npz")  # in place of the first
    assert [entry.file for entry in registry.entries()] == ["a.npz", "b.npz"]
    entry = registry.entries()[1]
    file = registry.folder / entry.file
    assert registry.file_of(entry) == file
    assert entry.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert Projection.load(file).info.source.name == entry.source["name"] == "old-model"
    assert same(registry.load(entry), make_projection(2))
    assert registry.verify() == []
    names = {path.name for path in registry.folder.iterdir()}
    assert names == {"a.npz", "b.npz", "registry.json", ".registry.json.lock"}


def test_half_precision_is_half_the_file(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    whole = registry.add(fitted(POTION, MINILM), "whole.npz")
    half = registry.add(fitted(POTION, MINILM), "half.npz", stored="float16")
    sizes = [registry.file_of(entry).stat().st_size for entry in (whole, half)]
    assert sizes[1] < 0.6 * sizes[0]
    assert registry.verify() == []


@pytest.mark.parametrize(
    "name", ["../a.npz", "a/b.npz", "a\\b.npz", "C:a.npz", "a.onnx", "", ".a.npz", ".npz", "a.next.npz", "a\n.npz"]
)
def test_names_stay_in_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(LightmigrateError, match=r"not the name of an \.npz file"):
        Registry(tmp_path).add(make_projection(), name)
    assert list(tmp_path.iterdir()) == []


def test_a_header_that_could_not_be_read_back_is_not_added(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "shelf")
    strange = make_projection(source=Model("a", 16, revision=7))  # type: ignore[arg-type]  # nobody checks a header
    with pytest.raises(LightmigrateError, match="revision of a model is of another type; make it again"):
        registry.add(strange, "a.npz")
    with pytest.raises(LightmigrateError, match="not JSON serializable; make it again"):
        registry.add(make_projection().with_facts(training={"when": object()}), "a.npz")
    assert not registry.folder.exists()


def test_a_file_is_copied_in_and_another_of_its_name_replaced(tmp_path: Path) -> None:
    file = make_projection().save(tmp_path / "elsewhere.npz")
    registry = Registry(tmp_path / "shelf")
    entry = registry.add_file(file)
    assert registry.entries() == [entry]
    assert (registry.folder / "elsewhere.npz").read_bytes() == file.read_bytes()
    again = registry.add_file(make_projection(1).save(file))
    assert registry.entries() == [again]
    assert same(registry.load(again), make_projection(1))
    assert registry.verify() == []


def test_a_file_that_is_there_already_is_listed_as_it_is(tmp_path: Path) -> None:
    file = make_projection().save(tmp_path / "a.npz")
    before = file.stat()
    registry = Registry(tmp_path)
    registry.add_file(file)
    make_projection(1).save(file)
    registry.add_file(file)
    assert same(registry.load(registry.entries()[0]), make_projection(1))
    make_projection().save(file)
    status = file.stat()
    registry.add_file(file)
    assert registry.verify() == []
    assert file.stat().st_ino == status.st_ino != before.st_ino


def test_a_graph_is_listed_and_loaded(tmp_path: Path) -> None:
    projection = make_projection()
    file = projection.export_onnx(tmp_path / "graph.onnx")
    registry = Registry(tmp_path / "shelf")
    for _ in range(2):
        loaded = registry.load(registry.add_file(file))
        np.testing.assert_allclose(loaded.apply(make_vectors(5)), projection.apply(make_vectors(5)), atol=1e-5)
    assert registry.verify() == []


def test_a_graph_beside_its_projection_is_no_stranger(tmp_path: Path) -> None:
    registry = shelf(tmp_path, make_projection())
    make_projection().export_onnx(tmp_path / "0.onnx")
    assert registry.verify() == []
    make_projection().export_onnx(tmp_path / "1.onnx")
    assert kinds(registry) == {"1.onnx": "unlisted"}


@pytest.mark.parametrize("name", ["x.npz", "x.onnx"])
def test_what_is_no_projection_is_not_added(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 no projection")
    with pytest.raises(ProjectionFileError, match="is not a lightmigrate projection"):
        Registry(tmp_path / "shelf").add_file(tmp_path / name)
    with pytest.raises(ProjectionFileError, match="no projection file"):
        Registry(tmp_path / "shelf").add_file(tmp_path / "missing.npz")
    with pytest.raises(LightmigrateError, match=r"not the name of an \.npz or \.onnx file"):
        Registry(tmp_path / "shelf").add_file(tmp_path / "x.txt")
    assert not (tmp_path / "shelf").exists()


def test_what_is_removed_is_gone_and_nothing_else(tmp_path: Path) -> None:
    registry = shelf(tmp_path, make_projection(), make_projection(1))
    removed = registry.remove("0.npz")
    assert [entry.file for entry in registry.entries()] == ["1.npz"]
    assert not (tmp_path / "0.npz").exists()
    for look in (registry.load, registry.file_of):
        with pytest.raises(ListedFileError, match="missing") as caught:
            look(removed)
        assert caught.value.kind == "missing"
    for name in ("0.npz", "../0.npz", "registry.json"):
        with pytest.raises(LightmigrateError, match="lists no"):
            registry.remove(name)
    (tmp_path / "1.npz").unlink()
    registry.remove("1.npz")
    assert registry.entries() == []
    with pytest.raises(LightmigrateError, match="lists no"):
        Registry(tmp_path / "nowhere").remove("0.npz")
    assert not (tmp_path / "nowhere").exists()


def test_an_altered_file_is_not_used(tmp_path: Path) -> None:
    registry = shelf(tmp_path, make_projection())
    (entry,) = registry.entries()
    make_projection(1).save(tmp_path / "0.npz")  # a projection, between the same models, but not the listed one
    with pytest.raises(ListedFileError, match="not the file that was listed") as caught:
        registry.load(entry)
    assert caught.value.kind == "altered"


@pytest.mark.parametrize(
    "part",
    [
        {"quality": {"expected_retention": {"value": 0.99, "low": 0.9, "high": 1.0}}},
        {"training": {"pairs": 1_000_000}},
        {"target": NEW.to_json() | {"name": "better-model"}},
    ],
    ids=lambda part: next(iter(part)),
)
def test_a_list_cannot_say_of_a_file_what_it_does_not_say_itself(part: dict[str, Any], tmp_path: Path) -> None:
    registry = shelf(tmp_path, make_projection())
    change_list(registry, "0.npz", **part)
    with pytest.raises(ListedFileError, match="contradicts the manifest") as caught:
        registry.load(registry.entries()[0])
    assert caught.value.kind == "contradicting"


def test_verify_names_everything_and_writes_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    for number, name in enumerate(["altered", "broken", "fine", "gone", "header", "link"]):
        registry.add(make_projection(number), f"{name}.npz")
    make_projection(9).save(tmp_path / "altered.npz")
    (tmp_path / "broken.npz").write_bytes(b"broken")
    change_list(registry, "broken.npz", sha256=hashlib.sha256(b"broken").hexdigest())
    (tmp_path / "gone.npz").unlink()
    change_list(registry, "header.npz", quality={"retention": {"value": 1.0}})
    (tmp_path / "link.npz").rename(tmp_path / "stray.npz")
    (tmp_path / "link.npz").symlink_to(tmp_path / "stray.npz")
    make_projection(7).save(tmp_path / "fine.next.npz")
    (tmp_path / "LICENSE.md").write_text("fine")
    (tmp_path / ".registry.json.0123abcd").write_text("half a list")
    (tmp_path / ".own.npz.0123abcd").write_text("somebody else's")
    before = {path.name: path.lstat().st_mtime_ns for path in tmp_path.iterdir()}
    assert kinds(registry) == {
        "altered.npz": "altered",
        "broken.npz": "unreadable",
        "gone.npz": "missing",
        "header.npz": "contradicting",
        "link.npz": "outside",
        "stray.npz": "unlisted",
        "fine.next.npz": "unlisted",
        ".registry.json.0123abcd": "leftover",
    }
    for problem in registry.verify():
        assert str(tmp_path / problem.file) in problem.message
    assert {path.name: path.lstat().st_mtime_ns for path in tmp_path.iterdir()} == before
    registry.path.write_text("{")
    assert kinds(registry) == {"registry.json": "list"}
    assert Registry(tmp_path / "nowhere").verify() == []
    assert not (tmp_path / "nowhere").exists()


def test_an_entry_read_before_its_file_was_exchanged_gives_the_new_one(tmp_path: Path) -> None:
    registry = shelf(tmp_path, make_projection())
    (entry,) = registry.entries()
    registry.add(make_projection(1), "0.npz")
    assert same(registry.load(entry), make_projection(1))


def test_an_entry_whose_file_leads_elsewhere_now_is_refused(tmp_path: Path) -> None:
    registry = shelf(tmp_path, make_projection())
    (entry,) = registry.entries()
    registry.add(make_projection(source=NEW, target=OLD), "0.npz")
    with pytest.raises(ListedFileError, match="not the file that was listed"):
        registry.load(entry)


def test_a_projection_is_not_lost_to_a_damaged_list(tmp_path: Path) -> None:
    """A training may have taken hours."""
    registry = shelf(tmp_path, make_projection())
    before = (tmp_path / "0.npz").read_bytes()
    registry.path.write_text("{")
    with pytest.raises(LightmigrateError, match=r"is damaged .* the projection to add is .*0\.next\.npz"):
        registry.add(make_projection(1), "0.npz")
    assert (tmp_path / "0.npz").read_bytes() == before
    registry.path.unlink()
    entry = registry.add_file(tmp_path / "0.next.npz")
    assert (entry.file, registry.verify()) == ("0.npz", [])
    assert same(registry.load(entry), make_projection(1))


def test_what_is_listed_under_its_second_name_is_found_and_ended(tmp_path: Path) -> None:
    """As after a crash: the list says the new one, and its name is still the old one's."""
    registry = shelf(tmp_path, make_projection())
    old = (tmp_path / "0.npz").read_bytes()
    entry = registry.add(make_projection(1), "0.npz")

    def unfinished() -> None:
        (tmp_path / "0.npz").rename(tmp_path / "0.next.npz")
        (tmp_path / "0.npz").write_bytes(old)

    unfinished()
    assert kinds(registry) == {"0.npz": "unfinished"}
    assert same(registry.load(entry), make_projection(1))
    registry.add(make_projection(2), "other.npz")
    assert registry.verify() == []
    unfinished()
    assert registry.add_file(tmp_path / "0.next.npz") == entry  # also when that is what somebody wants to add
    assert registry.verify() == []
    (tmp_path / "0.npz").rename(tmp_path / "0.next.npz")
    assert registry.file_of(entry) == tmp_path / "0.next.npz"
    registry.remove("0.npz")
    assert not (tmp_path / "0.next.npz").exists()


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    registry = shelf(tmp_path, make_projection())
    (tmp_path / "0.npz").chmod(0o600)
    registry.add(make_projection(1), "0.npz")
    assert (tmp_path / "0.npz").stat().st_mode & 0o777 == 0o600


def test_a_file_where_the_folder_should_be_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LightmigrateError, match="cannot be written"):
        Registry(tmp_path / "file").add(make_projection(), "a.npz")
    with pytest.raises(LightmigrateError, match="cannot be read"):
        Registry(tmp_path / "file").entries()
    assert kinds(Registry(tmp_path / "file")) == {"registry.json": "list"}


def test_a_folder_may_be_a_copy_or_be_reached_by_a_link(tmp_path: Path) -> None:
    registry = shelf(tmp_path / "one", make_projection())
    (tmp_path / "link").symlink_to(shutil.copytree(registry.folder, tmp_path / "two"))
    linked = Registry(tmp_path / "link")
    assert linked.entries() == registry.entries()
    assert linked.verify() == []
    linked.add_file(tmp_path / "two" / "0.npz")
    assert linked.verify() == []
