"""The `.npz` form of a projection: a JSON header and float32 or float16 arrays, checksummed, never pickled.

Layout: the entry `header` holds the UTF-8 bytes of a JSON object
`{format, info, steps: [{terms: [kind, ...], normalise}], error, spaces, sha256}`; the entry `<step>.bias` is a bias,
the entry `<step>.<term>.<name>` an array of a term. A step with a map of its own for records without text is
`{reading, plain}`, its arrays begin with `<step>.reading.` and `<step>.plain.`. `error` is `null`, or one more
step, whose arrays begin with `error.`. `sha256` is taken over the rest of the header and over every
array's name, dtype, shape and bytes, so that neither numbers nor models nor direction can change unseen.

Matrices may be stored as float16, at half the size; what is read is float32 all the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import ProjectionFileError
from lightmigrate.files import replacing
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.space import Space
from lightmigrate.projection.steps import ByText, Step, Sum
from lightmigrate.projection.terms import TERMS

FORMAT_VERSION = 1
HEADER = "header"

# How the numbers of matrices are stored. float16 keeps three digits, more than any map knows.
Stored = Literal["float32", "float16"]

# What the sketches of the two spaces are called.
_SPACES = ("source", "target")


def write(
    path: Path,
    steps: tuple[Step, ...],
    info: ProjectionInfo,
    error: Step | None = None,
    spaces: tuple[Space | None, Space | None] = (None, None),
    stored: Stored = "float32",
) -> Path:
    """Write a projection to `path`, aside and renamed; returns `path`."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    header: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "info": info.to_json(),
        "steps": [_take_apart(str(index), step, arrays) for index, step in enumerate(steps)],
        "error": None if error is None else _take_apart("error", error, arrays),
        "spaces": {name: space.own for name, space in zip(_SPACES, spaces, strict=True) if space is not None},
    }
    for name, space in zip(_SPACES, spaces, strict=True):
        if space is not None:
            arrays[f"space.{name}"] = space.directions
    if stored == "float16":
        arrays = {name: _halved(array) for name, array in arrays.items()}
    header["sha256"] = _checksum(header, arrays)
    encoded = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    with replacing(path) as file:
        np.savez(file, **{HEADER: encoded}, **arrays)  # type: ignore[arg-type]  # the stub reads ** as allow_pickle
    return path


def read(path: Path) -> tuple[tuple[Step, ...], ProjectionInfo, Step | None, tuple[Space | None, Space | None]]:
    """Read what `write` wrote; `ProjectionFileError` for anything else. Never unpickles."""
    if not path.is_file():
        raise ProjectionFileError(f"no projection file at {path}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop(HEADER).tobytes())
    except Exception as error:  # noqa: BLE001  # zipfile and zlib raise a dozen unrelated types for a bad file
        raise ProjectionFileError(
            f"{path.name} is not a lightmigrate projection, or is damaged ({type(error).__name__}); "
            "copy or train it again"
        ) from None
    version = header.get("format") if isinstance(header, dict) else None
    if version != FORMAT_VERSION:
        raise ProjectionFileError(
            f"{path.name} has format {version}, this lightmigrate reads {FORMAT_VERSION}; upgrade lightmigrate"
        )
    found, expected = _checksum(header, arrays), header.get("sha256")
    if found != expected:
        raise ProjectionFileError(
            f"{path.name} was altered: its checksum is {found[:12]}…, its header says {str(expected)[:12]}…; "
            "copy or train it again"
        )
    info = ProjectionInfo.from_json(header["info"])
    steps = tuple(_put_together(str(index), said, arrays) for index, said in enumerate(header["steps"]))
    said = header.get("error")
    known = header.get("spaces", {})
    source, target = (
        Space(np.ascontiguousarray(arrays[f"space.{name}"], np.float32), known[name]) if name in known else None
        for name in _SPACES
    )
    return steps, info, None if said is None else _put_together("error", said, arrays), (source, target)


def _halved(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A float32 matrix as float16; all else, which is small, as it is."""
    if array.dtype != np.float32 or array.ndim != 2:
        return array
    if np.abs(array).max(initial=0) > np.finfo(np.float16).max:
        raise ProjectionFileError("some numbers of this projection are too large for float16; store it as float32")
    return array.astype(np.float16)


def _take_apart(name: str, step: Step, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """What the header says of a step; its numbers go to `arrays`."""
    match step:
        case ByText(reading, plain):
            parts = {"reading": reading, "plain": plain}
            return {part: _take_apart(f"{name}.{part}", own, arrays) for part, own in parts.items()}
        case Sum(bias, terms, normalise):
            arrays[f"{name}.bias"] = bias
            for index, term in enumerate(terms):
                for part, array in term.arrays().items():
                    arrays[f"{name}.{index}.{part}"] = array
            return {"terms": [term.kind for term in terms], "normalise": normalise}
    raise ProjectionFileError("a projection read from .onnx cannot be written again; use the .npz it came from")


def _put_together(name: str, said: Mapping[str, Any], arrays: Mapping[str, Any]) -> Step:
    try:
        if "reading" in said:
            return ByText(*(_sum(f"{name}.{part}", said[part], arrays) for part in ("reading", "plain")))
        return _sum(name, said, arrays)
    except (KeyError, ValueError, TypeError) as error:
        raise ProjectionFileError(f"a projection file contradicts itself: {error}; train it again") from None


def _sum(name: str, said: Mapping[str, Any], arrays: Mapping[str, Any]) -> Sum:
    terms = []
    for index, kind in enumerate(said["terms"]):
        if kind not in TERMS:
            raise ProjectionFileError(f"unknown term {kind!r} in a projection file; upgrade lightmigrate")
        prefix = f"{name}.{index}."
        own = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
        terms.append(TERMS[kind].from_arrays(own))
    return Sum(np.ascontiguousarray(arrays[f"{name}.bias"], np.float32), tuple(terms), said["normalise"])


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    said = {key: value for key, value in header.items() if key != "sha256"}
    digest.update(json.dumps(said, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.data)
    return digest.hexdigest()
