"""The rules of the house: what may import what, how long a room may be, that README and CI say the same."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lightmigrate

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lightmigrate"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Each room may use itself and the rooms named after it.
ARROWS = {
    "projection": {"errors", "files"},
    "estimators": {"errors", "projection", "quality"},
    "quality": {"errors", "results", "projection"},
    "providers": {"errors", "files", "projection"},
    "stores": {"errors", "results", "projection"},
    "migration": {"errors", "results", "files", "projection", "estimators", "quality", "stores"},
    "calibration": {"errors", "results", "projection", "stores"},
    "registry": {"errors", "files", "results", "projection", "quality"},
    "startup": {
        "errors",
        "results",
        "files",
        "projection",
        "providers",
        "stores",
        "migration",
        "calibration",
        "quality",
        "registry",
        "training",
    },
    "training": {"errors", "results", "projection", "calibration", "estimators", "providers", "quality"},
    "demo": {"errors", "results", "projection", "quality", "stores", "migration"},
    "dial": {
        "errors",
        "results",
        "files",
        "projection",
        "quality",
        "estimators",
        "providers",
        "calibration",
        "stores",
        "migration",
        "training",
    },
    "results": set(),
    "errors": set(),
    "files": set(),
    "lazy": set(),
    "version": set(),
}
FREE = {
    "bars",
    "cli",
    "cli_calibrate",
    "cli_choices",
    "cli_database",
    "cli_dial",
    "cli_jobs",
    "cli_output",
    "cli_plan",
    "cli_registry",
    "cli_rooms",
    "cli_train",
    "console",
    "__init__",
    "__main__",
}  # the doors: they may use every room


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_point_one_way(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room in FREE:
        return
    used = {room_of(module) for module in imports_of(path) if module.split(".")[0] == "lightmigrate"}
    assert used <= ARROWS[room] | {room}


def test_only_the_store_and_its_provider_know_chroma() -> None:
    users = {path for path in SOURCES if any(name.startswith("chromadb") for name in imports_of(path))}
    assert users == {PACKAGE / "stores" / "chroma.py", PACKAGE / "providers" / "chroma.py"}


def test_no_room_is_longer_than_400_lines() -> None:
    files = [path for path in ROOT.rglob("*.py") if ".venv" not in path.parts]
    assert {str(path): n for path in files if (n := len(path.read_text().splitlines())) > 400} == {}


def test_every_room_says_what_it_is_for() -> None:
    silent = [str(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_public_names_are_exported_once_and_exist() -> None:
    assert sorted(lightmigrate.__all__) == lightmigrate.__all__
    assert len(set(lightmigrate.__all__)) == len(lightmigrate.__all__)
    for name in lightmigrate.__all__:
        assert getattr(lightmigrate, name) is not None


def test_everything_public_explains_itself() -> None:
    silent = []
    for name in lightmigrate.__all__:
        thing = getattr(lightmigrate, name)
        if not isinstance(thing, str) and not (thing.__doc__ or "").strip():
            silent.append(name)
    assert silent == []


def test_nothing_unpickles_or_evaluates() -> None:
    forbidden = re.compile(r"\bimport pickle|allow_pickle=True|\beval\(|\bexec\(|shell=True|\bos\.system\(")
    assert [str(path) for path in SOURCES if forbidden.search(path.read_text())] == []


def test_ci_runs_exactly_what_the_readme_tells_to_run() -> None:
    commands = readme_commands()
    assert len(commands) == 2
    assert commands[1] in (ROOT / ".ci" / "run").read_text().splitlines()


def readme_commands() -> list[str]:
    """The commands of the README's first code block: the demo, and the tests."""
    block = re.search(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    return [line for line in block.group(1).splitlines() if line and not line.startswith("#")]


def test_ruff_is_content() -> None:
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, str(ROOT)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_mypy_is_content() -> None:
    done = subprocess.run([sys.executable, "-m", "mypy"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout
