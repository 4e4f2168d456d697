"""An entry of a manifest: file, models, training and quality. Read without trusting its content."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightmigrate.errors import LightmigrateError
from lightmigrate.projection.model import Model, ProjectionInfo
from lightmigrate.registry.names import is_file_name
from lightmigrate.results import Result

_SHA256 = re.compile("[0-9a-f]{64}")

# Deeper JSON can be parsed, but not shown or compared within Python's recursion limit.
_DEEPEST = 50

# The types of a model's fields that are not strings.
_TYPES = {"dimension": int, "normalised": bool}

_MOST_DIMENSIONS = 1_000_000

# A larger retention in a file is invalid.
_BELIEVABLE = 10.0


@dataclass(frozen=True)
class Entry(Result):
    """One projection of a registry.

    Attributes:
        file: its file name within the folder.
        sha256: of the file.
        source: the model of the input vectors.
        target: the model whose space the output is in.
        training: how it was fitted.
        quality: its measured quality.
    """

    file: str
    sha256: str
    source: Mapping[str, Any]
    target: Mapping[str, Any]
    training: Mapping[str, Any]
    quality: Mapping[str, Any]

    @classmethod
    def of(cls, file: str, sha256: str, info: ProjectionInfo) -> Entry:
        """The entry of a file with this header.

        Raises:
            LightmigrateError: the header could not be read back from a manifest.
        """
        try:
            return cls.from_json({"file": file, "sha256": sha256, **json.loads(json.dumps(info.to_json()))})
        except (ValueError, TypeError) as error:
            raise LightmigrateError(f"{file} cannot be listed: {error}; make it again") from None

    @classmethod
    def from_json(cls, fields: Any) -> Entry:
        """Read and check an entry: a manifest may come from an untrusted source.

        Raises:
            ValueError, TypeError, ProjectionFileError: it is not an entry, or its file is not in the folder.
        """
        entry = cls(**fields)
        if not is_file_name(entry.file):
            raise ValueError(f"{str(entry.file)[:60]!r} is not the name of a projection in this folder")
        if not isinstance(entry.sha256, str) or not _SHA256.fullmatch(entry.sha256):
            raise ValueError("its SHA-256 is not 64 hexadecimal digits")
        if not all(isinstance(part, dict) for part in (entry.source, entry.target, entry.training, entry.quality)):
            raise TypeError("models, training and quality must be objects")
        _require_shallow([entry.training, entry.quality], _DEEPEST)
        for model in entry.models:
            _require_sound(model)
        return entry

    @functools.cached_property
    def models(self) -> tuple[Model, Model]:
        """The source model and the target model."""
        return Model.from_json(self.source), Model.from_json(self.target)

    @property
    def stated_quality(self) -> float | None:
        """The retention stated in its header, expected by the gate or measured; `None` without one."""
        for key in ("expected_retention", "retention"):
            match self.quality.get(key):
                case {"value": (int() | float()) as value} if abs(value) <= _BELIEVABLE:  # no NaN either
                    return float(value)
        return None

    def describes(self, info: ProjectionInfo) -> bool:
        """Whether a header is equal to this entry."""
        own = self.to_json()
        return all(_canonical(own[part]) == _canonical(value) for part, value in info.to_json().items())


def _require_sound(model: Model) -> None:
    for name, value in vars(model).items():
        if type(value) is not _TYPES.get(name, str):
            raise TypeError(f"{name} of a model is of another type")
    if not 1 <= model.dimension <= _MOST_DIMENSIONS:
        raise ValueError(f"a model of {str(model.dimension)[:20]} dimensions")
    # Names are shown and logged: a control character could overwrite other output.
    if not model.name.isprintable():
        raise ValueError("a model's name has unprintable characters")


def _require_shallow(value: Any, levels: int) -> None:
    if not isinstance(value, (dict, list)):
        return
    if not levels:
        raise ValueError("nested too deep")
    for part in value.values() if isinstance(value, dict) else value:
        _require_shallow(part, levels - 1)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
