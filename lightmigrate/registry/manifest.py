"""The manifest of a registry, `registry.json`: read without trusting its content, written atomically."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable
from pathlib import Path

from lightmigrate.errors import LightmigrateError, ProjectionFileError
from lightmigrate.files import replacing
from lightmigrate.registry.entry import Entry

REGISTRY_FILE = "registry.json"
REGISTRY_VERSION = 1

# A manifest of a thousand projections has about four million bytes.
MOST_BYTES = 32 << 20

_WAY_OUT = "delete it and add the projections again"


def read_manifest(path: Path) -> list[Entry]:
    """The entries of a manifest, by file name; empty without a manifest. Only reads, and opens no projection.

    Raises:
        LightmigrateError: the manifest cannot be read, has another version, or names a path outside its folder.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe blocks
            raise LightmigrateError(f"{path} is not a file; {_WAY_OUT}")
        if status.st_size > MOST_BYTES:
            raise LightmigrateError(f"{path} has {status.st_size:,} bytes, at most {MOST_BYTES:,} are read; {_WAY_OUT}")
        content = json.loads(path.read_bytes())
        if content["format"] != REGISTRY_VERSION:
            raise LightmigrateError(
                f"{path} has format {repr(content['format'])[:20]}, this lightmigrate reads {REGISTRY_VERSION}; "
                "upgrade lightmigrate"
            )
        entries = {entry.file: entry for entry in map(Entry.from_json, content["projections"])}
        if len(entries) != len(content["projections"]):
            raise ValueError("a file is listed twice")
        return [entries[file] for file in sorted(entries)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LightmigrateError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, RecursionError, ProjectionFileError) as error:
        why = "".join(letter if letter.isprintable() else "?" for letter in str(error)[:100])
        raise LightmigrateError(f"{path} is damaged ({type(error).__name__}: {why}); {_WAY_OUT}") from None


def write_manifest(path: Path, entries: Iterable[Entry]) -> None:
    """Replace a manifest. Writes atomically.

    Raises:
        LightmigrateError: it would be too large to be read again.
        OSError: it cannot be written; the old one is unchanged.
    """
    listed = [entry.to_json() for entry in sorted(entries, key=lambda entry: entry.file)]
    content = json.dumps({"format": REGISTRY_VERSION, "projections": listed}, indent=2).encode() + b"\n"
    if len(content) > MOST_BYTES:
        raise LightmigrateError(f"{path} would have {len(content):,} bytes, at most {MOST_BYTES:,}; use another folder")
    with replacing(path) as stream:
        stream.write(content)
