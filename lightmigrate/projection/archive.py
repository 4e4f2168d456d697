"""The `.npz` form of a projection: a JSON header and float32 arrays, checksummed, never pickled.

Layout: the entry `header` holds the UTF-8 bytes of a JSON object
`{format, info, steps: [{terms: [kind, ...], normalise}], sha256}`; the entry `<step>.bias` is a bias, the
entry `<step>.<term>.<name>` an array of a term. `sha256` is taken over the rest of the header and over every
array's name, dtype, shape and bytes, so that neither numbers nor models nor direction can change unseen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import ProjectionFileError
from lightmigrate.files import replacing
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.steps import Step, Sum
from lightmigrate.projection.terms import TERMS

FORMAT_VERSION = 1
HEADER = "header"


def write(path: Path, steps: tuple[Step, ...], info: ProjectionInfo) -> Path:
    """Write a projection to `path`, aside and renamed; returns `path`."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    described = []
    for step_index, step in enumerate(open_sums(steps)):
        described.append({"terms": [term.kind for term in step.terms], "normalise": step.normalise})
        arrays[f"{step_index}.bias"] = step.bias
        for term_index, term in enumerate(step.terms):
            for name, array in term.arrays().items():
                arrays[f"{step_index}.{term_index}.{name}"] = array
    header: dict[str, Any] = {"format": FORMAT_VERSION, "info": info.to_json(), "steps": described}
    header["sha256"] = _checksum(header, arrays)
    encoded = np.frombuffer(json.dumps(header, sort_keys=True).encode(), dtype=np.uint8)
    with replacing(path) as file:
        np.savez(file, **{HEADER: encoded}, **arrays)  # type: ignore[arg-type]  # the stub reads ** as allow_pickle
    return path


def read(path: Path) -> tuple[tuple[Step, ...], ProjectionInfo]:
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
    return tuple(_read_step(index, described, arrays) for index, described in enumerate(header["steps"])), info


def open_sums(steps: tuple[Step, ...]) -> list[Sum]:
    """The steps, when their numbers can be read; steps that live inside an ONNX runtime cannot."""
    sums = [step for step in steps if isinstance(step, Sum)]
    if len(sums) != len(steps):
        raise ProjectionFileError("a projection read from .onnx cannot be written again; use the .npz it came from")
    return sums


def _read_step(index: int, described: Mapping[str, Any], arrays: Mapping[str, Any]) -> Sum:
    terms = []
    for term_index, kind in enumerate(described["terms"]):
        if kind not in TERMS:
            raise ProjectionFileError(f"unknown term {kind!r} in a projection file; upgrade lightmigrate")
        prefix = f"{index}.{term_index}."
        own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        terms.append(TERMS[kind].from_arrays(own))
    try:
        return Sum(np.ascontiguousarray(arrays[f"{index}.bias"], np.float32), tuple(terms), described["normalise"])
    except (KeyError, ValueError) as error:
        raise ProjectionFileError(f"a projection file contradicts itself: {error}; train it again") from None


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    said = {key: value for key, value in header.items() if key != "sha256"}
    digest.update(json.dumps(said, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.data)
    return digest.hexdigest()
