"""One folder of projections and its `registry.json`, which is always written whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightmigrate.errors import LightmigrateError
from lightmigrate.files import locked, replacing
from lightmigrate.projection.archive import Stored
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.projection import Projection
from lightmigrate.results import Result

REGISTRY_FILE = "registry.json"
REGISTRY_VERSION = 1


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


class Registry:
    """The projections in one folder.

    Args:
        folder: need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / REGISTRY_FILE

    def entries(self) -> list[Entry]:
        """What is listed, by file name; only reads.

        Raises:
            LightmigrateError: the list cannot be read, or is of another version.
        """
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["format"] != REGISTRY_VERSION:
                raise LightmigrateError(
                    f"{self.path} has format {content['format']}, this lightmigrate reads {REGISTRY_VERSION}; "
                    "upgrade lightmigrate"
                )
            return [Entry(**fields) for fields in content["projections"]]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError) as error:
            raise LightmigrateError(
                f"{self.path} is damaged ({type(error).__name__}); delete it and add again"
            ) from None

    def add(self, projection: Projection, file: str, *, stored: Stored = "float32") -> Entry:
        """Save a projection in the folder and list it, in place of one of that name. Writes.

        Several processes may add to one folder at once.

        Args:
            projection: what to save.
            file: its name, without a path, ending in `.npz`.
            stored: see `Projection.save`.
        """
        if Path(file).name != file or not file.endswith(".npz"):
            raise LightmigrateError(f"{file!r} is not the name of an .npz file")
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / f".{REGISTRY_FILE}.lock"):
            path = projection.save(self.folder / file, stored=stored)
            entry = _entry(file, hashlib.sha256(path.read_bytes()).hexdigest(), projection.info)
            entries = {known.file: known for known in self.entries()} | {file: entry}
            listed = [entries[name].to_json() for name in sorted(entries)]
            with replacing(self.path) as stream:
                stream.write(json.dumps({"format": REGISTRY_VERSION, "projections": listed}, indent=2).encode() + b"\n")
        return entry


def _entry(file: str, sha256: str, info: ProjectionInfo) -> Entry:
    fields = info.to_json()
    return Entry(file, sha256, fields["source"], fields["target"], fields["training"], fields["quality"])
