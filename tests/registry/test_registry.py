"""The list of a folder's projections is always whole, whoever writes it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from lightmigrate import LightmigrateError, Projection
from lightmigrate.registry.registry import Registry
from tests.databases import make_projection

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
