"""What a migration was asked to do, kept beside what it has built so far, so that another process can go on."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightmigrate.errors import DatabaseError, ProjectionFileError
from lightmigrate.migration.job import InvalidVectors
from lightmigrate.projection.projection import Projection
from lightmigrate.stores.base import Address, Store


@dataclass(frozen=True)
class Request:
    """What to do with one collection.

    Attributes:
        address: the collection.
        projection: for its vectors.
        embedding_function: `name` and `config` to record, or `None`.
        file: where the projection was read from, if it was.
        function: the embedding function itself, if it was given.
    """

    address: Address
    projection: Projection
    embedding_function: Mapping[str, Any] | None
    file: Path | None = None
    function: Any = None


# What is to be done, or what decides it: called with the open database, or an open copy of it, which it only reads.
Asked = Sequence[Request] | Callable[[Store], Sequence[Request]]


def keep(folder: Path, requests: Sequence[Request], invalid_vectors: InvalidVectors) -> Mapping[str, Any] | None:
    """Write the projections into a new `folder` and describe the whole for the journal.

    Equal requests give equal descriptions, whoever asks and wherever the projection files are.

    Returns:
        The description; `None` when a projection cannot be written, which one read from ONNX by somebody else cannot.
    """
    folder.mkdir()
    collections = []
    for number, request in enumerate(requests):
        name = f"{number}{request.file.suffix if request.file else '.npz'}"
        try:
            if request.file is not None:
                shutil.copyfile(request.file, folder / name)
            else:
                request.projection.save(folder / name)
        except ProjectionFileError:
            return None
        collections.append(
            {
                "name": request.address.name,
                "tenant": request.address.tenant,
                "database": request.address.database,
                "embedding_function": request.embedding_function,
                "projection": name,
                "sha256": _sha256(folder / name),
            }
        )
    return {"collections": collections, "invalid_vectors": invalid_vectors}


def restore(folder: Path, asked: Mapping[str, Any]) -> list[Request]:
    """The requests that `keep` wrote down.

    Raises:
        DatabaseError: a projection is gone or altered.
    """
    requests = []
    for said in asked["collections"]:
        path = folder / said["projection"]
        if not path.is_file() or _sha256(path) != said["sha256"]:
            raise DatabaseError(f"{path} is gone or altered: run  lightmigrate migrate  again with the projection")
        address = Address(said["name"], said["tenant"], said["database"])
        requests.append(Request(address, Projection.load(path), said["embedding_function"], path))
    return requests


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
