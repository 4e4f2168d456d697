"""What files of projections are called in a folder, and that no such name can mean another place."""

from __future__ import annotations

import hashlib
from typing import Any

from lightmigrate.projection.model import Model

SUFFIXES = (".npz", ".onnx")

# `x.next.npz` is what will become `x.npz`: see `Registry`.
NEXT = ".next"

_RESERVED = tuple(f"{NEXT}{suffix}" for suffix in SUFFIXES)

# What makes a name lead elsewhere, on some system.
_PLACES = frozenset("/\\:")

# What a file system takes, less what a name gets while its file is being written.
_MOST_BYTES = 230


def is_file_name(name: Any) -> bool:
    """Whether this names a visible projection in a folder and cannot mean a place outside it, on any system."""
    return (
        isinstance(name, str)
        and name.endswith(SUFFIXES)
        and not name.startswith(".")
        and not name.endswith(_RESERVED)
        and len(name.encode(errors="replace")) <= _MOST_BYTES
        and name.isprintable()
        and _PLACES.isdisjoint(name)
    )


def next_name(file: str) -> str:
    """What the file that will take the place of `file` is called until then: `x.next.npz` for `x.npz`."""
    for suffix in SUFFIXES:
        if file.endswith(suffix):
            return f"{file.removesuffix(suffix)}{NEXT}{suffix}"
    raise ValueError(f"{file!r} is not the name of a projection")


def final_name(name: str) -> str:
    """The name that a file will have: `x.npz` for `x.next.npz`, and every other name is final already."""
    for suffix in SUFFIXES:
        if name.endswith(f"{NEXT}{suffix}"):
            return name.removesuffix(f"{NEXT}{suffix}") + suffix
    return name


def file_name_of(source: Model, target: Model) -> str:
    """A good name for the projection between two models, whatever they are called."""
    name = f"{_plain(source.name)}_to_{_plain(target.name)}.npz"
    if is_file_name(name):
        return name
    return f"projection-{hashlib.sha256(name.encode()).hexdigest()[:12]}.npz"


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip(".-") or "model"
