"""What a worker does with one unit: convert it and compare what was written. Runs in another process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightmigrate.errors import (
    CostError,
    DatabaseChangedError,
    LightmigrateError,
    ProviderError,
    TextsRefusedError,
)
from lightmigrate.migration.job import InvalidVectors
from lightmigrate.scale.embedding import Embedding
from lightmigrate.scale.manifest import Done, DonePart, Failed, Stopped, append
from lightmigrate.scale.new_vectors import NewVectors, loaded
from lightmigrate.scale.place import Destination
from lightmigrate.stores.open import open_units
from lightmigrate.stores.units import UnitFolder, UnitTable


@dataclass(frozen=True)
class Conversion:
    """One unit to convert.

    Attributes:
        folder: that it is in.
        unit: the file.
        destination: where the new one is put, under the same path.
        projection: file of the projection.
        invalid_vectors: see `migration.job.Job`.
        embedding: how texts are embedded; `None` where none are.
    """

    folder: UnitFolder
    unit: str
    destination: Destination
    projection: Path
    invalid_vectors: InvalidVectors
    embedding: Embedding | None = None


def convert(task: Conversion) -> Done | Failed | Stopped:
    """Convert a unit, compare it, put it under its name and note that in the manifest. Writes.

    Nothing unreadable ever has the name, and doing it twice does no harm: the second file has the same content. It
    fails where the file cannot be read, has vectors that the projection does not take, or was not read back equal.
    """
    try:
        return _convert(task)
    except (LightmigrateError, OSError) as error:  # which do not all pass from process to process
        return _not_done(task.unit, error)


def _convert(task: Conversion) -> Done:
    folder = task.folder
    before = folder.state(task.unit)
    if before is None:
        raise DatabaseChangedError("it is gone: run this again")
    new_vectors = NewVectors(loaded(task.projection, task.embedding))
    with task.destination.writing(task.unit) as file:
        converted = folder.convert(task.unit, file, new_vectors.dimension, new_vectors, texts=new_vectors.reads_texts)
        new_vectors.require_valid(converted.vectors, task.invalid_vectors)
        if folder.state(task.unit) != before:
            raise DatabaseChangedError("it was written to while it was read: stop the writer, and run this again")
        size = file.stat().st_size
        task.destination.put(file, task.unit, converted.sha256, folder.path / task.unit)
    done = Done(task.unit, *before, converted.vectors, size, converted.sha256, *new_vectors.embedded())
    task.destination.note(done)
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
        embedding: see `Conversion`.
    """

    address: str
    unit: str
    state: str
    projection: Path
    manifest: Path
    invalid_vectors: InvalidVectors
    embedding: Embedding | None = None


def convert_part(task: PartConversion) -> DonePart | Failed | Stopped:
    """Write new vectors of a part, compare them, and note that in the manifest. Writes; nobody sees them yet.

    It fails where the part cannot be read, has vectors that the projection does not take, was not read back equal, or
    was written to meanwhile.
    """
    try:
        table = open_units(task.address)
        assert isinstance(table, UnitTable)  # noqa: S101  # as the driver has seen
        new_vectors = NewVectors(loaded(task.projection, task.embedding))
        texts = new_vectors.reads_texts
        made = table.convert(task.unit, task.state, new_vectors.dimension, new_vectors, texts=texts)
        new_vectors.require_valid(made.vectors, task.invalid_vectors)
    except DatabaseChangedError as error:
        return Failed(task.unit, str(error), changed=True)
    except (LightmigrateError, OSError) as error:
        return _not_done(task.unit, error)
    own = made.vectors, made.bytes, made.sha256, made.description
    done = DonePart(task.unit, task.state, *own, *new_vectors.embedded())
    append(task.manifest, done)
    return done


def _not_done(unit: str, error: Exception) -> Failed | Stopped:
    """Why a unit was not converted: because of itself, or for a reason that all others share."""
    if isinstance(error, CostError):
        return Stopped(unit, str(error), error.spent, error.allowed)
    if isinstance(error, ProviderError) and not isinstance(error, TextsRefusedError):
        return Stopped(unit, str(error))
    return Failed(unit, str(error))
