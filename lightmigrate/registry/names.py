"""File names of projections in a registry, and the check that a name cannot lead outside the folder."""

from __future__ import annotations

import hashlib
from typing import Any

from lightmigrate.projection.model import Model

SUFFIXES = (".npz", ".onnx")

# `x.next.npz` will be renamed to `x.npz`: see `registry`.
NEXT = ".next"

_RESERVED = tuple(f"{NEXT}{suffix}" for suffix in SUFFIXES)

# Characters that separate the parts of a path on some system.
_PLACES = frozenset("/\\:")

# The limit of file systems, less the suffix of temporary files.
_MOST_BYTES = 230


def is_file_name(name: Any) -> bool:
    """Whether this is the name of a visible projection and cannot lead outside its folder, on any system."""
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
    """The temporary name of the file that will replace `file`: `x.next.npz` for `x.npz`."""
    for suffix in SUFFIXES:
        if file.endswith(suffix):
            return f"{file.removesuffix(suffix)}{NEXT}{suffix}"
    raise ValueError(f"{file!r} is not the name of a projection")


def final_name(name: str) -> str:
    """The final name of a file: `x.npz` for `x.next.npz`; every other name is final already."""
    for suffix in SUFFIXES:
        if name.endswith(f"{NEXT}{suffix}"):
            return name.removesuffix(f"{NEXT}{suffix}") + suffix
    return name


def file_name_of(source: Model, target: Model) -> str:
    """The default file name for the projection between two models."""
    name = f"{_plain(source.name)}_to_{_plain(target.name)}.npz"
    if is_file_name(name):
        return name
    return f"projection-{hashlib.sha256(name.encode()).hexdigest()[:12]}.npz"


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name).strip(".-") or "model"
