"""Names imported when they are first used (PEP 562), as the stub beside a module lists them for type checkers."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path

_LINE = re.compile(r"^from (?P<module>[\w.]+) import (?P<name>\w+) as (?P=name)$", re.MULTILINE)


def attach_stub(module: str, file: str) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """A module's `__getattr__`, `__dir__` and `__all__`.

    Args:
        module: its `__name__`.
        file: its `__file__`; the stub beside it has a line `from MODULE import NAME as NAME` for every name.
    """
    stub = Path(file).with_suffix(".pyi").read_text(encoding="utf-8")
    modules = {match["name"]: match["module"] for match in _LINE.finditer(stub)}

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module(modules[name]), name)
        setattr(sys.modules[module], name, value)  # the next use finds it there
        return value

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[module]), *modules})

    return get, list_names, sorted(modules)
