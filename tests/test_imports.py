"""What is not used is not waited for: which modules an import or a `--help` loads, and that every name is found."""

from __future__ import annotations

import ast
import importlib
import pickle
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import typer

import lightmigrate
from lightmigrate.cli import options as cli_choices
from lightmigrate.cli.app import COMMANDS as COMMAND_TABLE
from lightmigrate.estimators.methods import EXTRACT_METHODS, METHODS
from lightmigrate.migration.changes import OnWritten
from lightmigrate.migration.job import InvalidVectors
from lightmigrate.providers.open import PROVIDERS
from lightmigrate.refinement.order import Order
from lightmigrate.registry.library import ENVIRONMENT
from lightmigrate.stores.base import DEFAULT_DATABASE, DEFAULT_TENANT
from lightmigrate.stores.files import IndexRoute
from lightmigrate.vectors import METRICS

# What belongs to single features; nothing loads it that does not use them.
EXTRAS = {
    "chromadb", "faiss", "lance", "onnx", "onnxruntime", "openai", "pyarrow", "sqlalchemy", "tokenizers", "torch",
}  # fmt: skip
COMMAND_LINE = {"click", "rich", "typer"}
COMMANDS: tuple[list[str], ...] = ([], *([name] for name in COMMAND_TABLE), ["registry", "find"])


def loaded_by(script: str) -> set[str]:
    """The packages a fresh process has loaded at the end of a script."""
    told = f"import sys\n{script}\nprint('loaded:', *{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("loaded:")[2].split())


def test_the_package_alone_loads_nothing_heavy() -> None:
    assert loaded_by("import lightmigrate").isdisjoint(EXTRAS | COMMAND_LINE | {"numpy"})


def test_all_public_names_load_numpy_and_nothing_heavier() -> None:
    loaded = loaded_by("from lightmigrate import *; ChromaMigrator, auto_migrate, fit")
    assert "numpy" in loaded
    assert loaded.isdisjoint(EXTRAS | COMMAND_LINE)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_loads_no_numpy(command: list[str]) -> None:
    script = (
        "from lightmigrate.cli.app import main\n"
        f"try: main([*{command}, '--help'])\nexcept SystemExit as end: assert not end.code"
    )
    loaded = loaded_by(script)
    assert "typer" in loaded
    assert loaded.isdisjoint(EXTRAS | {"numpy"})


def test_the_stub_lists_the_names_once_and_all_exist() -> None:
    """The stub is the one list: type checkers read it, and at run time it says where each name comes from."""
    stub = ast.parse(Path(str(lightmigrate.__file__)).with_suffix(".pyi").read_text())
    listed: dict[str, object] = {}
    for node in ast.walk(stub):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            listed |= {str(alias.asname): getattr(module, alias.name) for alias in node.names}
    assert sorted(listed) == lightmigrate.__all__
    assert {name: getattr(lightmigrate, name) for name in lightmigrate.__all__} == listed
    assert len(listed) <= 25


def test_no_error_is_a_public_name_outside_its_module() -> None:
    assert [name for name in lightmigrate.__all__ if name.endswith("Error")] == []


@pytest.mark.parametrize("name", COMMAND_TABLE)
def test_the_overview_says_what_the_command_says(name: str) -> None:
    command = getattr(importlib.import_module(f"lightmigrate.cli.{name}"), name)
    text = command.info.help if isinstance(command, typer.Typer) else command.__doc__
    assert str(text).splitlines()[0] == COMMAND_TABLE[name]


@pytest.mark.parametrize("module", ["typer", "rich", "click"])
def test_no_command_function_needs_a_terminal(module: str) -> None:
    names = [path.stem for path in sorted((Path(lightmigrate.__file__).parent / "commands").glob("*.py"))]
    imports = "; ".join(f"import lightmigrate.commands.{name}" for name in names if name != "__init__")
    assert module not in loaded_by(imports)


def test_names_are_listed_before_they_are_loaded() -> None:
    script = "import lightmigrate; assert set(lightmigrate.__all__) <= set(dir(lightmigrate))"
    assert "numpy" not in loaded_by(script)


def test_a_name_nobody_knows_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'lightmigrate' has no attribute 'nothing'"):
        _ = lightmigrate.nothing  # type: ignore[attr-defined]  # that is the point


def test_classes_are_pickled_by_where_they_are_made() -> None:
    model = lightmigrate.Model("some", 3)
    assert pickle.loads(pickle.dumps(model)) == model


def test_the_options_offer_what_the_rooms_have() -> None:
    assert tuple(PROVIDERS) == cli_choices.PROVIDERS
    assert tuple(name for name in METHODS if name not in EXTRACT_METHODS) == cli_choices.METHODS
    assert get_args(cli_choices.InvalidVectors) == get_args(InvalidVectors)
    assert get_args(cli_choices.OnWritten) == get_args(OnWritten)
    assert get_args(cli_choices.IndexRoute) == get_args(IndexRoute)
    assert get_args(cli_choices.Order) == get_args(Order)
    assert get_args(cli_choices.Metric) == METRICS
    assert (cli_choices.DEFAULT_TENANT, cli_choices.DEFAULT_DATABASE) == (DEFAULT_TENANT, DEFAULT_DATABASE)
    assert cli_choices.REGISTRY_VARIABLE == ENVIRONMENT


def test_what_tests_of_the_training_package_import_is_there() -> None:
    """They need torch, and so do not run here: a name that moved would not be noticed."""
    root = Path(lightmigrate.__file__).parents[1]
    files = sorted((root / "train" / "tests").glob("*.py"))
    imports = [
        (node.module, alias.name)
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lightmigrate"
        for alias in node.names
    ]
    assert len(imports) > len(files)
    assert [pair for pair in imports if not hasattr(importlib.import_module(pair[0]), pair[1])] == []
