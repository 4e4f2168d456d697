"""What a worker does with one unit: convert it and compare what was written. Runs in another process."""

from __future__ import annotations

import functools
import secrets
from dataclasses import dataclass
from pathlib import Path

from lightmigrate.errors import DatabaseChangedError, InvalidVectorsError, LightmigrateError
from lightmigrate.migration.job import InvalidVectors, projected
from lightmigrate.projection.projection import Projection
from lightmigrate.scale.manifest import Done, DonePart, Failed, append
from lightmigrate.stores.base import Page
from lightmigrate.stores.open import open_units
from lightmigrate.stores.units import UnitFolder, UnitTable
from lightmigrate.system import rename, sync_file, sync_folder
from lightmigrate.vectors import Vectors, meaningful

# How the names of files begin that are being written.
TEMPORARY = ".lightmigrate-writing-"


@dataclass(frozen=True)
class Conversion:
    """One unit to convert.

    Attributes:
        address: of the folder.
        unit: the file.
        folder: where the new one is put, under the same path.
        projection: file of the projection.
        manifest: file of the manifest.
        invalid_vectors: see `migration.job.Job`.
    """

    address: str
    unit: str
    folder: Path
    projection: Path
    manifest: Path
    invalid_vectors: InvalidVectors


def convert(task: Conversion) -> Done | Failed:
    """Convert a unit, compare it, put it under its name and note that in the manifest. Writes.

    Nothing unreadable ever has the name, and doing it twice does no harm: the second file has the same content. It
    fails where the file cannot be read, has vectors that the projection does not take, or was not read back equal.
    """
    try:
        return _convert(task)
    except (LightmigrateError, OSError) as error:  # which do not all pass from process to process
        return Failed(task.unit, str(error))


def _convert(task: Conversion) -> Done:
    folder = open_units(task.address)
    assert isinstance(folder, UnitFolder)  # noqa: S101  # as the driver has seen
    source, target = folder.path / task.unit, task.folder / task.unit
    before = source.stat()
    new_vectors = _NewVectors(_loaded(task.projection))
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{TEMPORARY}{secrets.token_hex(4)}.{target.name}")
    try:
        texts = new_vectors.projection.reads_texts
        converted = folder.convert(task.unit, aside, new_vectors.dimension, new_vectors, texts=texts)
        new_vectors.require_valid(converted.vectors, task.invalid_vectors)
        after = source.stat()
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise DatabaseChangedError("it was written to while it was read: stop the writer, and run this again")
        aside.chmod(before.st_mode & 0o777)
        sync_file(aside)
        size = aside.stat().st_size
        rename(aside, target)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(target.parent)
    done = Done(task.unit, before.st_size, before.st_mtime_ns, converted.vectors, size, converted.sha256)
    append(task.manifest, done)
    return done


@dataclass(frozen=True)
class PartConversion:
    """One part of a table to convert.

    Attributes:
        address: of the table.
        unit: name of the part.
        state: that it had when it was listed.
        projection: file of the projection.
        manifest: file of the manifest.
        invalid_vectors: see `migration.job.Job`.
    """

    address: str
    unit: str
    state: str
    projection: Path
    manifest: Path
    invalid_vectors: InvalidVectors


def convert_part(task: PartConversion) -> DonePart | Failed:
    """Write new vectors of a part, compare them, and note that in the manifest. Writes; nobody sees them yet.

    It fails where the part cannot be read, has vectors that the projection does not take, was not read back equal, or
    was written to meanwhile.
    """
    try:
        table = open_units(task.address)
        assert isinstance(table, UnitTable)  # noqa: S101  # as the driver has seen
        new_vectors = _NewVectors(_loaded(task.projection))
        texts = new_vectors.projection.reads_texts
        made = table.convert(task.unit, task.state, new_vectors.dimension, new_vectors, texts=texts)
        new_vectors.require_valid(made.vectors, task.invalid_vectors)
    except DatabaseChangedError as error:
        return Failed(task.unit, str(error), changed=True)
    except (LightmigrateError, OSError) as error:
        return Failed(task.unit, str(error))
    done = DonePart(task.unit, task.state, made.vectors, made.bytes, made.sha256, made.description)
    append(task.manifest, done)
    return done


class _NewVectors:
    """Projects the vectors of a unit, and counts those that are invalid."""

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self.dimension = projection.info.target.dimension
        self.invalid = 0

    def __call__(self, page: Page) -> Vectors:
        self.projection.check_input(page.vectors.shape[1])
        self.invalid += int((~meaningful(page.vectors)).sum())
        return projected(self.projection, page.vectors, page.texts if self.projection.reads_texts else None)

    def require_valid(self, count: int, what: InvalidVectors) -> None:
        """Raise `InvalidVectorsError` when any of so many was invalid, unless they become the centre."""
        if self.invalid and what == "refuse":
            raise InvalidVectorsError(
                f"{self.invalid} of {count} vectors hold NaN or infinity or are all zero: embed those documents again, "
                "or give  --invalid-vectors centre  to give them the centre of the new space",
                ids=(),
            )


@functools.lru_cache(maxsize=1)
def _loaded(projection: Path) -> Projection:
    return Projection.load(projection)
