"""What is not used is not waited for: which modules an import or a `--help` loads, and that every name is found."""

from __future__ import annotations

import ast
import importlib
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest

import lightmigrate
from lightmigrate import cli_choices, cli_rooms
from lightmigrate.dial.order import Order
from lightmigrate.estimators.methods import METHODS, STARTING
from lightmigrate.migration.folder.replacement import Route
from lightmigrate.migration.job import InvalidVectors
from lightmigrate.migration.written import OnWritten
from lightmigrate.providers.open import PROVIDERS
from lightmigrate.registry.library import ENVIRONMENT
from lightmigrate.stores.base import DEFAULT_DATABASE, DEFAULT_TENANT

# What belongs to single features; nothing loads it that does not use them.
EXTRAS = {"chromadb", "onnx", "onnxruntime", "openai", "pyarrow", "sqlalchemy", "tokenizers", "torch"}
COMMAND_LINE = {"click", "rich", "typer"}
COMMANDS: tuple[list[str], ...] = ([], ["migrate"], ["train"], ["registry"], ["registry", "find"], ["plan"], ["refine"])


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
        "from lightmigrate.cli import main\n"
        f"try: main([*{command}, '--help'])\nexcept SystemExit as end: assert not end.code"
    )
    loaded = loaded_by(script)
    assert "typer" in loaded
    assert loaded.isdisjoint(EXTRAS | {"numpy"})


@pytest.mark.parametrize("module", [lightmigrate, cli_rooms], ids=lambda module: module.__name__)
def test_type_checkers_are_told_what_is_imported(module: ModuleType) -> None:
    told: dict[str, object] = {}
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
        if isinstance(node, ast.ImportFrom):
            made = importlib.import_module(str(node.module))
            told |= {alias.asname: getattr(made, alias.name) for alias in node.names if alias.asname}
    assert sorted(told) == module.__all__
    assert {name: getattr(module, name) for name in module.__all__} == told


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
    assert tuple(name for name in METHODS if name not in STARTING) == cli_choices.METHODS
    assert get_args(cli_choices.InvalidVectors) == get_args(InvalidVectors)
    assert get_args(cli_choices.OnWritten) == get_args(OnWritten)
    assert get_args(cli_choices.Route) == get_args(Route)
    assert get_args(cli_choices.Order) == get_args(Order)
    assert (cli_choices.DEFAULT_TENANT, cli_choices.DEFAULT_DATABASE) == (DEFAULT_TENANT, DEFAULT_DATABASE)
    assert cli_choices.REGISTRY_VARIABLE == ENVIRONMENT
