"""Names imported when they are first asked for (PEP 562): what a program does not use, it does not wait for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazily(
    module: str, places: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """A module's `__getattr__`, `__dir__` and `__all__`.

    Args:
        module: its `__name__`.
        places: the names it offers, by the module of this package in which each is made.
    """
    place_of = {name: place for place, names in places.items() for name in names}

    def get(name: str) -> Any:
        if name not in place_of:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"lightmigrate.{place_of[name]}"), name)
        setattr(sys.modules[module], name, value)  # from now on it is found there
        return value

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[module]), *place_of})

    return get, list_names, sorted(place_of)
