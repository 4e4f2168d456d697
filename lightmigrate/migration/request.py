"""The requests of a migration, and how they are stored beside its build so that another process can resume it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightmigrate.errors import DatabaseError, ProjectionFileError
from lightmigrate.files import file_sha256
from lightmigrate.migration.distance import keeps_vectors, require_distance, same_vectors
from lightmigrate.migration.job import InvalidVectors
from lightmigrate.migration.partly_exact import projected_rows
from lightmigrate.projection.projection import Projection
from lightmigrate.stores.base import Address, Metric, Page, Store
from lightmigrate.texts.source import Texts, TextSource, by_id, form_from_json, form_to_json
from lightmigrate.vectors import Vectors


@dataclass(frozen=True)
class Request:
    """One collection to migrate, and the projection to migrate it with.

    Attributes:
        address: the collection.
        projection: the projection applied to its vectors.
        model: the description of the new embedding model to record (`Store.describe_model`); `None` keeps the old one.
        file: the file the projection was loaded from; `None` when it was not loaded from a file.
        function: the embedding function, when the caller passed one.
        texts: where the texts come from that the projection reads; see `CollectionJob`.
        anew: whether it is made anew from its texts, so that its vectors are not read; see `embed_again`.
        distance: of the new index; `None` keeps the distance.
        moved: see `Job`; it is not stored.
        soon_exact: see `CollectionJob`; it is not stored either.
    """

    address: Address
    projection: Projection
    model: Mapping[str, Any] | None
    file: Path | None = None
    function: object = None
    texts: Texts = None
    anew: bool = False
    distance: Metric | None = None
    moved: Callable[[Page, Vectors], None] | None = None
    soon_exact: bool = False

    def projected(self, sample: Page) -> Vectors:
        """The vectors of those records of a sample that are projected, and not embedded by the new model."""
        source = self.texts if isinstance(self.texts, TextSource) else TextSource(by_id=by_id(self.texts))
        return sample.vectors[projected_rows(self.projection, source.texts_of(sample))]


# The requests, or a function that makes them from the open database (or an open copy), which it only reads.
RequestSource = Sequence[Request] | Callable[[Store], Sequence[Request]]


def write_requests(
    folder: Path, requests: Sequence[Request], invalid_vectors: InvalidVectors
) -> Mapping[str, Any] | None:
    """Write the projections and texts of the requests into a new `folder`, and return a description for the journal.

    Equal requests give equal descriptions, whichever process makes them and wherever the projection files are.

    Returns:
        The description; `None` when a projection cannot be saved, as one loaded from a foreign ONNX file.
    """
    folder.mkdir()
    collections = []
    for number, request in enumerate(requests):
        name = f"{number}{request.file.suffix if request.file else '.npz'}"
        kept = keeps_vectors(request.projection)
        try:
            if kept:
                name = ""
            elif request.file is not None:
                shutil.copyfile(request.file, folder / name)
            else:
                request.projection.save(folder / name)
        except ProjectionFileError:
            return None
        texts = f"{number}.texts.json"
        source = request.texts if isinstance(request.texts, TextSource) else None
        given = by_id(request.texts)
        if given:
            (folder / texts).write_text(json.dumps(dict(sorted(given.items()))))
        collections.append(
            {
                "address": asdict(request.address),
                "model": request.model,
                "projection": name,
                "sha256": "" if kept else file_sha256(folder / name),
                "texts": {"file": texts, "sha256": file_sha256(folder / texts)} if given else None,
                "text_form": None if source is None else form_to_json(source.form),
                **({"dimension": request.projection.info.source.dimension} if kept else {}),
                **({"distance": request.distance} if request.distance is not None else {}),
            }
        )
    return {"collections": collections, "invalid_vectors": invalid_vectors}


def read_requests(folder: Path, description: Mapping[str, Any]) -> list[Request]:
    """Read the requests that `write_requests` wrote. Only reads.

    Raises:
        DatabaseError: a file of a projection or of texts is missing or was changed, or the description is of others.
    """
    try:
        return _read(folder, description)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise DatabaseError(
            f"{folder} does not hold what was asked for ({type(error).__name__}):  lightmigrate resume DATABASE --undo "
            " discards the interrupted run"
        ) from None


def _read(folder: Path, description: Mapping[str, Any]) -> list[Request]:
    requests = []
    for entry in description["collections"]:
        path = _checked(folder, entry["projection"], entry["sha256"]) if entry["projection"] else None
        projection = same_vectors(entry["dimension"]) if path is None else Projection.load(path)
        distance = require_distance(entry.get("distance"))
        texts_file = entry.get("texts")
        texts = json.loads(_checked(folder, texts_file["file"], texts_file["sha256"]).read_text()) if texts_file else {}
        form = form_from_json(entry.get("text_form") or {})
        address = Address(**entry["address"])
        source = texts if form is None else TextSource(form, texts)
        requests.append(Request(address, projection, entry["model"], path, None, source, distance=distance))
    return requests


def _checked(folder: Path, name: str, sha256: str) -> Path:
    path = folder / name
    if path.parent != folder or not path.is_file() or file_sha256(path) != sha256:
        raise DatabaseError(
            f"{path} is missing or was changed:  lightmigrate resume DATABASE --undo  discards the interrupted run"
        )
    return path
