"""Print the rooms of the packages: files, lines, who imports whom, and circles. `python tests/house.py [ROOT]`.

A room is a folder of modules, or a single module beside the folders. Every import counts, wherever it stands: at the
top of a module, under `TYPE_CHECKING`, inside a function, or as the name of a module in a string (`importlib`, tables
of lazy names). Reads the source only; nothing is imported.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGES = {"lightmigrate": "lightmigrate", "lightmigrate_train": "train/lightmigrate_train"}
MODULE_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")

# How an import is marked in the output.
MARKS = {"top": "", "typing": "t", "function": "f", "string": "s"}


@dataclass(frozen=True)
class Import:
    """One import of a module.

    Attributes:
        module: who imports.
        imported: what: a module of the house where it is one, else the full name, such as `chromadb.api`.
        kind: `top`, `typing` (under `TYPE_CHECKING`), `function`, or `string`.
        line: where.
    """

    module: str
    imported: str
    kind: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.imported} ({self.kind})"


@dataclass(frozen=True)
class House:
    """All modules below a root, and their imports.

    Attributes:
        files: module name to file.
        lines: module name to number of lines.
        imports: all of them, those of other packages included.
    """

    files: Mapping[str, Path]
    lines: Mapping[str, int]
    imports: tuple[Import, ...]

    @classmethod
    def read(cls, root: Path) -> House:
        """Read the source below `root`, the folder of a checkout."""
        files = {name: path for package, folder in PACKAGES.items() for name, path in _modules(package, root / folder)}
        sources = {name: path.read_text() for name, path in files.items()}
        imports = [found for name in files for found in _Reader(name, files).read(sources[name])]
        lines = {name: len(source.splitlines()) for name, source in sources.items()}
        return cls(files, lines, tuple(sorted(imports, key=lambda found: (found.module, found.line))))

    def room(self, module: str) -> str:
        """The room of a module: its folder, or the module itself where it stands beside the folders or is run."""
        package, *parts = module.split(".")
        if parts[-1:] == ["__main__"]:
            return "__main__" if package == "lightmigrate" else module
        folders = parts if self.files[module].name == "__init__.py" else parts[:-1]
        if package == "lightmigrate":
            return ".".join(folders or parts) or "__init__"
        return ".".join([package, *folders])

    def inside(self) -> Iterator[Import]:
        """The imports of one module of the house by another."""
        return (found for found in self.imports if found.imported in self.files and found.imported != found.module)

    def arrows(self) -> dict[tuple[str, str], list[Import]]:
        """The imports between each two rooms."""
        between: dict[tuple[str, str], list[Import]] = {}
        for found in self.inside():
            rooms = self.room(found.module), self.room(found.imported)
            if rooms[0] != rooms[1]:
                between.setdefault(rooms, []).append(found)
        return dict(sorted(between.items()))

    def circles_of_files(self) -> list[list[str]]:
        """Modules that import each other, directly or round corners, by any kind of import."""
        return circles((found.module, found.imported) for found in self.inside())

    def circles_of_rooms(self) -> list[list[str]]:
        """Rooms that import each other, directly or round corners."""
        return circles(self.arrows())

    def report(self) -> str:
        """All of it as text."""
        rooms: dict[str, list[str]] = {}
        for module in self.files:
            rooms.setdefault(self.room(module), []).append(module)
        arrows, out = self.arrows(), ["ROOMS (files, lines)"]
        for room, modules in sorted(rooms.items()):
            out.append(f"{room}  {len(modules)} files, {sum(self.lines[module] for module in modules)} lines")
            if len(modules) > 1:
                out += [f"    {self.files[module].name:28} {self.lines[module]:4}" for module in sorted(modules)]
        out += ["", "ARROWS (imports; t: only under TYPE_CHECKING, f: only in functions, s: only by name in a string)"]
        for room in sorted(rooms):
            targets = [f"{to} {_marked(found)}" for (start, to), found in arrows.items() if start == room]
            out.append(f"{room} -> {', '.join(targets) or 'nothing'}")
        for title, found in (("ROOMS", self.circles_of_rooms()), ("FILES", self.circles_of_files())):
            out += ["", f"CIRCLES OF {title}: {len(found)}", *(f"  {len(one)}: {', '.join(one)}" for one in found)]
        files, lines = len(self.files), sum(self.lines.values())
        mean, largest = lines // max(1, files), max(self.lines.values(), default=0)
        out += ["", f"TOTAL: {len(rooms)} rooms, {files} files, {lines} lines, mean {mean}, largest {largest}"]
        out.append(f"       {sum(map(len, arrows.values()))} imports between rooms along {len(arrows)} arrows")
        return "\n".join(out)


def circles(arrows: Iterable[tuple[str, str]]) -> list[list[str]]:
    """The strongly connected components of more than one node, largest first (Tarjan 1972)."""
    graph: dict[str, set[str]] = {}
    for start, end in arrows:
        graph.setdefault(start, set()).add(end)
        graph.setdefault(end, set())
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            place = stack.index(node)
            component = stack[place:]
            del stack[place:]
            if len(component) > 1:
                components.append(sorted(component))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return sorted(components, key=lambda component: (-len(component), component))


def _modules(package: str, folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        yield ".".join([package, *(parts[:-1] if parts[-1] == "__init__" else parts)]), path


def _marked(imports: list[Import]) -> str:
    """The number of imports, with a mark where none of them stands at the top of a module."""
    kinds = {MARKS[found.kind] for found in imports}
    return f"({len(imports)}{'' if '' in kinds else ' ' + ''.join(sorted(kinds))})"


class _Reader(ast.NodeVisitor):
    """Collects the imports of one module."""

    def __init__(self, module: str, files: Mapping[str, Path]) -> None:
        self.module, self.files = module, files
        is_package = files[module].name == "__init__.py"
        self.package = module if is_package else module.rpartition(".")[0]
        self.kind = "top"
        self.found: list[Import] = []

    def read(self, source: str) -> list[Import]:
        self.visit(ast.parse(source))
        return self.found

    def add(self, name: str, line: int, kind: str | None = None) -> None:
        self.found.append(Import(self.module, name, kind or self.kind, line))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.add(alias.name, node.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            above = self.package.split(".")
            base = ".".join([*above[: len(above) - node.level + 1], *([base] if base else [])])
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            self.add(inner if inner in self.files else base, node.lineno)

    def visit_If(self, node: ast.If) -> None:
        if "TYPE_CHECKING" not in ast.unparse(node.test):
            self.generic_visit(node)
            return
        self._inside("typing", node.body)
        self._inside(self.kind, node.orelse)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._inside("function", [node])

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815  # the name that ast.NodeVisitor calls

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            name = node.value.partition(":")[0]
            # The name of a package alone is more often a name to print than one to import.
            if "." in name and MODULE_NAME.fullmatch(name) and name in self.files:
                self.add(name, node.lineno, "string")

    def _inside(self, kind: str, nodes: Iterable[ast.AST]) -> None:
        before, self.kind = self.kind, kind
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self.generic_visit(node)
            else:
                self.visit(node)
        self.kind = before


if __name__ == "__main__":
    print(House.read(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]).report())
