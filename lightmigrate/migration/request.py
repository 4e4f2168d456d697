"""What a migration was asked to do, kept beside what it has built so far, so that another process can go on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
        texts: of its records by id, where it does not store them.
    """

    address: Address
    projection: Projection
    embedding_function: Mapping[str, Any] | None
    file: Path | None = None
    function: Any = None
    texts: Mapping[str, str] = field(default_factory=dict)


# What is to be done, or what decides it: called with the open database, or an open copy of it, which it only reads.
Asked = Sequence[Request] | Callable[[Store], Sequence[Request]]


def keep(folder: Path, requests: Sequence[Request], invalid_vectors: InvalidVectors) -> Mapping[str, Any] | None:
    """Write what it takes into a new `folder`, projections and texts, and describe the whole for the journal.

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
        texts = f"{number}.texts.json"
        if request.texts:
            (folder / texts).write_text(json.dumps(dict(sorted(request.texts.items()))))
        collections.append(
            {
                "name": request.address.name,
                "tenant": request.address.tenant,
                "database": request.address.database,
                "embedding_function": request.embedding_function,
                "projection": name,
                "sha256": _sha256(folder / name),
                "texts": {"file": texts, "sha256": _sha256(folder / texts)} if request.texts else None,
            }
        )
    return {"collections": collections, "invalid_vectors": invalid_vectors}


def restore(folder: Path, asked: Mapping[str, Any]) -> list[Request]:
    """The requests that `keep` wrote down.

    Raises:
        DatabaseError: a projection, or the texts, are gone or altered.
    """
    requests = []
    for said in asked["collections"]:
        path = _unaltered(folder / said["projection"], said["sha256"])
        told = said.get("texts")
        texts = json.loads(_unaltered(folder / told["file"], told["sha256"]).read_text()) if told else {}
        address = Address(said["name"], said["tenant"], said["database"])
        requests.append(Request(address, Projection.load(path), said["embedding_function"], path, None, texts))
    return requests


def _unaltered(path: Path, sha256: str) -> Path:
    if not path.is_file() or _sha256(path) != sha256:
        raise DatabaseError(f"{path} is gone or altered: run  lightmigrate migrate  again as before")
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
