"""A `registry.json`: read as if anybody had written it, and always written whole."""

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

# A list of a thousand projections has about four million bytes.
MOST_BYTES = 32 << 20

_MEND = "delete it and add again"


def read_list(path: Path) -> list[Entry]:
    """What is listed, by file name; empty when there is no list. Only reads, and opens no projection.

    Raises:
        LightmigrateError: the list cannot be read, is of another version, or names anything but files of its folder.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would keep its reader waiting for ever
            raise LightmigrateError(f"{path} is not a file; {_MEND}")
        if status.st_size > MOST_BYTES:
            raise LightmigrateError(f"{path} has {status.st_size:,} bytes, at most {MOST_BYTES:,} are read; {_MEND}")
        content = json.loads(path.read_bytes())
        if content["format"] != REGISTRY_VERSION:
            raise LightmigrateError(
                f"{path} has format {repr(content['format'])[:20]}, this lightmigrate reads {REGISTRY_VERSION}; "
                "upgrade lightmigrate"
            )
        found = {entry.file: entry for entry in map(Entry.from_json, content["projections"])}
        if len(found) != len(content["projections"]):
            raise ValueError("a file is listed twice")
        return [found[file] for file in sorted(found)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LightmigrateError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, RecursionError, ProjectionFileError) as error:
        why = "".join(letter if letter.isprintable() else "?" for letter in str(error)[:100])
        raise LightmigrateError(f"{path} is damaged ({type(error).__name__}: {why}); {_MEND}") from None


def write_list(path: Path, entries: Iterable[Entry]) -> None:
    """Write a list in place of the one that is there.

    Raises:
        LightmigrateError: it would be too long to be read again.
        OSError: it cannot be written; the old one stays.
    """
    listed = [entry.to_json() for entry in sorted(entries, key=lambda entry: entry.file)]
    content = json.dumps({"format": REGISTRY_VERSION, "projections": listed}, indent=2).encode() + b"\n"
    if len(content) > MOST_BYTES:
        raise LightmigrateError(f"{path} would have {len(content):,} bytes, at most {MOST_BYTES:,}; use another folder")
    with replacing(path) as stream:
        stream.write(content)
