"""One entry of a `registry.json`: which file, between which models, how made, what it keeps. Read with suspicion."""

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

# What is nested deeper can be parsed, but not shown or compared: Python's own functions end before that.
_DEEPEST = 50

# Of what is not text in a model.
_TYPES = {"dimension": int, "normalised": bool}

_MOST_DIMENSIONS = 1_000_000

# No retention is anywhere near it; what a file states beyond is nonsense.
_BELIEVABLE = 10.0


@dataclass(frozen=True)
class Entry(Result):
    """One projection of a registry.

    Attributes:
        file: its file name within the folder.
        sha256: of the file.
        source: the model whose vectors go in.
        target: the model whose space comes out.
        training: how it was made.
        quality: what was measured.
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
            LightmigrateError: the header could not be read back from a list.
        """
        try:
            return cls.from_json({"file": file, "sha256": sha256, **json.loads(json.dumps(info.to_json()))})
        except (ValueError, TypeError) as error:
            raise LightmigrateError(f"{file} cannot be listed: {error}; make it again") from None

    @classmethod
    def from_json(cls, said: Any) -> Entry:
        """Read one back. Nothing is believed: a list may come from anywhere.

        Raises:
            ValueError, TypeError, ProjectionFileError: it is not an entry, or its file does not lie in the folder.
        """
        entry = cls(**said)
        if not is_file_name(entry.file):
            raise ValueError(f"{str(entry.file)[:60]!r} is not the name of a projection in this folder")
        if not isinstance(entry.sha256, str) or not _SHA256.fullmatch(entry.sha256):
            raise ValueError("what should be a SHA-256 is none")
        if not all(isinstance(part, dict) for part in (entry.source, entry.target, entry.training, entry.quality)):
            raise TypeError("models, training and quality are objects")
        _require_shallow([entry.training, entry.quality], _DEEPEST)
        for model in entry.models:
            _require_sound(model)
        return entry

    @functools.cached_property
    def models(self) -> tuple[Model, Model]:
        """The model it leads from and the one it leads to."""
        return Model.from_json(self.source), Model.from_json(self.target)

    @property
    def stated_quality(self) -> float | None:
        """The retention its file states, expected by the gate or measured; `None` when it states none."""
        for key in ("expected_retention", "retention"):
            match self.quality.get(key):
                case {"value": (int() | float()) as value} if abs(value) <= _BELIEVABLE:  # no NaN either
                    return float(value)
        return None

    def describes(self, info: ProjectionInfo) -> bool:
        """Whether a header says just what this entry says."""
        own = self.to_json()
        return all(_canonical(own[part]) == _canonical(said) for part, said in info.to_json().items())


def _require_sound(model: Model) -> None:
    for name, value in vars(model).items():
        if type(value) is not _TYPES.get(name, str):
            raise TypeError(f"{name} of a model is of another type")
    if not 1 <= model.dimension <= _MOST_DIMENSIONS:
        raise ValueError(f"a model of {str(model.dimension)[:20]} dimensions")
    # names are shown and logged: a control character in one could write over what stands there
    if not model.name.isprintable():
        raise ValueError("a model's name that cannot be shown")


def _require_shallow(value: Any, levels: int) -> None:
    if not isinstance(value, (dict, list)):
        return
    if not levels:
        raise ValueError("nested too deep")
    for part in value.values() if isinstance(value, dict) else value:
        _require_shallow(part, levels - 1)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
