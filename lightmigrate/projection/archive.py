"""The `.npz` form of a projection: a JSON header and float32 or float16 arrays, checksummed, never pickled.

Layout: the entry `header` holds the UTF-8 bytes of a JSON object
`{format, info, steps: [{terms: [kind, ...], normalise}], error, spaces, sha256}`; the entry `<step>.bias` is a bias,
the entry `<step>.<term>.<name>` an array of a term. A step whose output has another length than 1 has a
`length: {shortest, longest, logarithm}` too, where `logarithm` is `null` or one more step, the names of whose arrays
start with `<step>.length.`; such files have format 2. Files with extracts of other words than the first have format 3,
files with a centre from which rows are extended, the entry `<step>.centre`, format 4. A step with another function for
records without text is `{with_text, plain}`, the names of its arrays start with `<step>.with_text.` and
`<step>.plain.`. `error` is `null`, or one more step, the names of whose arrays start with `error.`. `sha256` covers the
rest of the header and every array's name, dtype, shape and bytes, so that every change of numbers, models or direction
is detected.

Matrices may be stored as float16, at half the size; they are read as float32.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import ProjectionFileError
from lightmigrate.files import replacing
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.space import Space
from lightmigrate.projection.steps import ByText, Length, Step, Sum
from lightmigrate.projection.terms.all import TERMS
from lightmigrate.projection.terms.extract import Extract

# Format 2 is format 1 with lengths, format 3 with extracts of other words than the first, format 4 with centres: an
# earlier lightmigrate would leave these out silently.
FORMAT_VERSION, FORMATS = 4, (1, 2, 3, 4)
HEADER = "header"

# What version 0.1.0 called the function for records with a text, and the term that reads extracts.
WITH_TEXT_IN_0_1, KINDS_IN_0_1 = "reading", {"abridged": "extract"}

# How matrices are stored. float16 keeps three digits, more than the precision of any projection.
Stored = Literal["float32", "float16"]

_READ_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

# Names of the two spaces in the header.
_SPACES = ("source", "target")


def write(
    path: Path,
    steps: tuple[Step, ...],
    info: ProjectionInfo,
    error: Step | None = None,
    spaces: tuple[Space | None, Space | None] = (None, None),
    stored: Stored = "float32",
) -> Path:
    """Write a projection to a temporary file and rename it to `path`; returns `path`."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    header: dict[str, Any] = {
        "format": max(map(_format, steps), default=FORMATS[0]),
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
    """Read a file that `write` wrote; `ProjectionFileError` for anything else. Never unpickles, never writes."""
    if not path.is_file():
        raise ProjectionFileError(f"no projection file at {path}")
    try:
        arrays = _arrays(path)
        header = json.loads(arrays.pop(HEADER).tobytes())
    except Exception as error:  # noqa: BLE001  # zipfile and zlib raise a dozen unrelated types for a bad file
        raise ProjectionFileError(
            f"{path.name} is not a lightmigrate projection, or is damaged ({type(error).__name__}); "
            "copy or train it again"
        ) from None
    version = header.get("format") if isinstance(header, dict) else None
    if version not in FORMATS:
        raise ProjectionFileError(
            f"{path.name} has format {version}, this lightmigrate reads up to {FORMAT_VERSION}; upgrade lightmigrate"
        )
    checksum, expected = _checksum(header, arrays), header.get("sha256")
    if checksum != expected:
        raise ProjectionFileError(
            f"{path.name} was altered: its checksum is {checksum[:12]}…, its header says {str(expected)[:12]}…; "
            "copy or train it again"
        )
    info = ProjectionInfo.from_json(header["info"])
    steps = tuple(_put_together(str(index), fields, arrays) for index, fields in enumerate(header["steps"]))
    error_fields = header.get("error")
    space_fields = header.get("spaces", {})
    source, target = (
        Space(np.ascontiguousarray(arrays[f"space.{name}"], np.float32), space_fields[name])
        if name in space_fields
        else None
        for name in _SPACES
    )
    return steps, info, None if error_fields is None else _put_together("error", error_fields, arrays), (source, target)


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an archive, which take no more memory than the file, whatever its entries state.

    Raises:
        ValueError: an entry is compressed, or states another size or another type than an array of numbers has. And
            whatever `zipfile` raises for a damaged file.
    """
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ValueError("entries that are compressed, or lie one over another")
        for entry in entries:
            with archive.open(entry) as stream:
                version = np.lib.format.read_magic(stream)
                if version not in _READ_HEADER:
                    raise ValueError("an array of another format")
                shape, _, dtype = _READ_HEADER[version](stream)
                if dtype.kind not in "fiu" or math.prod(shape) * dtype.itemsize > entry.file_size:
                    raise ValueError("an array of another type, or larger than its entry")
            with archive.open(entry) as stream:
                arrays[entry.filename.removesuffix(".npy")] = np.lib.format.read_array(stream, allow_pickle=False)
    return arrays


def _halved(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A float32 matrix as float16; other arrays, which are small, unchanged."""
    if array.dtype != np.float32 or array.ndim != 2:
        return array
    if np.abs(array).max(initial=0) > np.finfo(np.float16).max:
        raise ProjectionFileError("some numbers of this projection are too large for float16; use stored='float32'")
    return array.astype(np.float16)


def _take_apart(name: str, step: Step, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """The header's entry for a step; its arrays are added to `arrays`."""
    match step:
        case ByText(with_text, plain):
            parts = {"with_text": with_text, "plain": plain}
            return {part: _take_apart(f"{name}.{part}", own, arrays) for part, own in parts.items()}
        case Sum(bias, terms, normalise, length, centre):
            arrays[f"{name}.bias"] = bias
            if centre is not None:
                arrays[f"{name}.centre"] = centre
            for index, term in enumerate(terms):
                for part, array in term.arrays().items():
                    arrays[f"{name}.{index}.{part}"] = array
            fields: dict[str, Any] = {"terms": [term.kind for term in terms], "normalise": normalise}
            if length is not None:
                logarithm = None
                if length.logarithm is not None:
                    logarithm = _take_apart(f"{name}.length", length.logarithm, arrays)
                fields["length"] = {"shortest": length.shortest, "longest": length.longest, "logarithm": logarithm}
            return fields
    raise ProjectionFileError("a projection read from .onnx cannot be written again; use the .npz it came from")


def _format(step: Step) -> int:
    """The earliest format that holds a step."""
    match step:
        case ByText(with_text, plain):
            return max(_format(with_text), _format(plain))
        case Sum():
            if step.centre is not None:
                return FORMATS[3]
            if any(isinstance(term, Extract) and term.rule.kind != "first" for term in step.terms):
                return FORMATS[2]
            return FORMATS[0] if step.length is None else FORMATS[1]
    return FORMATS[0]


def _put_together(name: str, fields: Mapping[str, Any], arrays: Mapping[str, Any]) -> Step:
    try:
        for with_text in ("with_text", WITH_TEXT_IN_0_1):
            if with_text in fields:
                return ByText(*(_sum(f"{name}.{part}", fields[part], arrays) for part in (with_text, "plain")))
        return _sum(name, fields, arrays)
    except (KeyError, ValueError, TypeError) as error:
        raise ProjectionFileError(f"the projection file is inconsistent: {error}; train it again") from None


def _sum(name: str, fields: Mapping[str, Any], arrays: Mapping[str, Any]) -> Sum:
    terms = []
    for index, stated_kind in enumerate(fields["terms"]):
        kind = KINDS_IN_0_1.get(stated_kind, stated_kind)
        if kind not in TERMS:
            raise ProjectionFileError(f"unknown term {kind!r} in a projection file; upgrade lightmigrate")
        prefix = f"{name}.{index}."
        own = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
        terms.append(TERMS[kind].from_arrays(own))
    length = None
    if (stated := fields.get("length")) is not None:
        logarithm = None if stated["logarithm"] is None else _sum(f"{name}.length", stated["logarithm"], arrays)
        length = Length(float(stated["shortest"]), float(stated["longest"]), logarithm)
    centre = arrays.get(f"{name}.centre")
    return Sum(
        np.ascontiguousarray(arrays[f"{name}.bias"], np.float32),
        tuple(terms),
        fields["normalise"],
        length,
        None if centre is None else np.ascontiguousarray(centre, np.float32),
    )


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    covered = {key: value for key, value in header.items() if key != "sha256"}
    digest.update(json.dumps(covered, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.data)
    return digest.hexdigest()
