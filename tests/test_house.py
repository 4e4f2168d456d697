"""The rules of the house: what may import what, how long a room may be, that README and CI say the same."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import lightmigrate
from tests.house import House, Import, circles

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lightmigrate"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# The order of the rooms, from top to bottom: a room may import only rooms of the lines below, none of its own line. An
# entry is a room or a module; a module belongs to the longest entry that its name starts with.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("__main__", "lightmigrate_train.__main__"),
    ("cli.app",),
    ("cli",),
    ("web.serve", "web.report"),
    ("web.app",),
    ("web.views",),
    ("web",),
    ("cli.show",),
    ("__init__",),
    ("commands",),
    ("lightmigrate_train",),
    ("integrations",),
    ("startup", "demo"),
    ("migrator",),
    ("learner",),
    ("reader",),
    ("bridge", "routes", "versions"),
    ("budget",),
    ("refinement",),
    ("engine", "doctor", "transfer", "scale"),
    ("migration.aside", "migration.shadow"),
    ("migration",),
    ("training",),
    ("registry",),
    ("texts", "scores"),
    ("stores.open",),
    (
        "stores.memory",
        "stores.chroma",
        "stores.lance",
        "stores.milvus",
        "stores.pgvector",
        "stores.qdrant",
        "stores.sqlite_vec",
        "stores.vector_files",
    ),
    ("stores.aliased",),
    ("stores", "estimators", "providers.open"),
    ("quality", "providers"),
    ("projection",),
    ("projection.terms",),
    ("objects",),
    ("rights",),
    ("files", "results", "progress", "server_path", "threads", "vectors"),
    ("lock_file",),
    ("system",),
    ("errors", "lazy", "version"),
)

# Modules that name others only in tables of lazily loaded names; such names are no arrows.
LAZY_TABLES = {"lightmigrate", "lightmigrate.cli.app"}

# The modules of `stores/` that all may import; every other one belongs to a store.
COMMON = (
    "base|checks|claim|defaults|excerpt|files|foreign|ids|kind|open|others|memory|memory_tables|distance|joined|"
    "mounts|page|promises|read_ahead|receive|record_tables|reshaped|scaled|serving|text_field|timestamp|units|users|"
    "while_written"
)
STORE_MODULE = re.compile(rf"lightmigrate\.stores\.(?!({COMMON})$)\w+")
SHARED_ROOM = "lightmigrate.stores.aliased"  # of several stores
CHROMA_ROOMS = ("lightmigrate.stores.chroma", "lightmigrate.providers.chroma")

HOUSE = House.read(ROOT)


def layer_of(module: str) -> tuple[str, int]:
    """The longest entry of `LAYERS` that a module starts with, and the number of its line."""
    name = module.removeprefix("lightmigrate.") if module != "lightmigrate" else "__init__"
    numbers = {entry: number for number, layer in enumerate(LAYERS) for entry in layer}
    entries = [entry for entry in numbers if name == entry or name.startswith(f"{entry}.")]
    assert entries, f"{module} is in no line of LAYERS: add its room"
    entry = max(entries, key=len)
    return entry, numbers[entry]


def is_lazy(found: Import) -> bool:
    return found.module in LAZY_TABLES and found.kind in ("typing", "string")


def is_forbidden(found: Import) -> bool:
    (here, upper), (there, lower) = layer_of(found.module), layer_of(found.imported)
    return here != there and lower <= upper and not is_lazy(found)


def names_a_store(found: Import) -> bool:
    return bool(STORE_MODULE.match(found.imported)) and not found.module.startswith("lightmigrate.stores.")


def in_lines(found: Iterable[Import]) -> str:
    return "\n".join(sorted(map(str, found)))


def test_arrows_point_one_way() -> None:
    assert in_lines(filter(is_forbidden, HOUSE.inside())) == ""


def test_no_files_import_each_other() -> None:
    # The lazy names of the package itself count: they are what its modules would load by `from lightmigrate import`.
    imports = (found for found in HOUSE.inside() if found.module == "lightmigrate" or not is_lazy(found))
    arrows = ((found.module, found.imported) for found in imports)
    assert circles(arrows) == []


def test_circles_are_found() -> None:
    arrows = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("f", "g"), ("g", "f")]
    assert circles(arrows) == [["a", "b", "c"], ["f", "g"]]


def test_every_kind_of_import_is_found(tmp_path: Path) -> None:
    package = tmp_path / "lightmigrate"
    (package / "room").mkdir(parents=True)
    for name in ("__init__", "top", "typed", "inner", "named", "room/__init__", "room/sister"):
        (package / f"{name}.py").write_text("")
    (package / "room" / "user.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "from lightmigrate import top\n"
        "from . import sister\n"
        "if TYPE_CHECKING:\n    from lightmigrate.typed import Name\n"
        "def later():\n    import lightmigrate.inner\n"
        "NAMES = {'Name': 'lightmigrate.named:Name'}\n"
    )
    imports = {found.imported: found.kind for found in House.read(tmp_path).inside()}
    assert imports == {
        "lightmigrate.top": "top",
        "lightmigrate.room.sister": "top",
        "lightmigrate.typed": "typing",
        "lightmigrate.inner": "function",
        "lightmigrate.named": "string",
    }


def test_no_one_outside_stores_knows_a_store() -> None:
    assert in_lines(filter(names_a_store, HOUSE.inside())) == ""


def test_within_stores_only_open_names_the_stores() -> None:
    others = (
        found
        for found in HOUSE.inside()
        if found.module.startswith("lightmigrate.stores.")
        and found.module != "lightmigrate.stores.open"
        and STORE_MODULE.match(found.imported)
        and not found.imported.startswith(SHARED_ROOM)
        and layer_of(found.module)[0] != layer_of(found.imported)[0]
    )
    assert in_lines(others) == ""


def test_only_the_store_and_its_provider_know_chroma() -> None:
    users = (found for found in HOUSE.imports if found.imported.split(".")[0] == "chromadb")
    assert in_lines(found for found in users if not found.module.startswith(CHROMA_ROOMS)) == ""


def test_no_room_is_longer_than_400_lines() -> None:
    files = [path for path in ROOT.rglob("*.py") if not any(part.startswith(".venv") for part in path.parts)]
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


def test_what_systems_do_differently_with_files_is_in_one_module() -> None:
    """Windows renames nothing that is open, macOS flushes in another way, some file systems have no links."""
    different = re.compile(
        r"\bos\.(link|rename|renames|replace|unlink|remove|symlink|fsync|fdatasync)\(|\.unlink\(|shutil\.move\(|msvcrt"
    )
    others = (path for path in SOURCES if path != PACKAGE / "system.py")
    assert [str(path) for path in others if different.search(path.read_text())] == []


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
