"""The file beside a database that keeps how the distances of its collections moved."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np

from lightmigrate.errors import LightmigrateError
from lightmigrate.files import replacing
from lightmigrate.scores.distances import Distances
from lightmigrate.scores.shift import ScoreShift
from lightmigrate.stores.base import Address
from lightmigrate.vectors import Metric, Vectors

SCORES_FILE = "lightmigrate-scores.json"
FORMAT_VERSION = 1

_NUMBER = np.dtype("<f4")


def read_scores(folder: Path) -> dict[str, ScoreShift]:
    """The shifts that are kept in a folder, by the store's id of the migrated collection. Only reads.

    An id stands for one version of a collection: after a rollback, or when the application made the collection anew,
    it is another one.

    Raises:
        LightmigrateError: the file is damaged, or a newer lightmigrate wrote it.
    """
    path = folder / SCORES_FILE
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT_VERSION:
            raise LightmigrateError(f"{path} was written by a newer lightmigrate; upgrade lightmigrate")
        return {collection_id: _read(entry) for collection_id, entry in content["collections"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise LightmigrateError(
            f"{path} is damaged ({type(error).__name__}): move it away; only the distances before and after the "
            "migration are lost"
        ) from None


def keep_scores(folder: Path, shifts: Mapping[str, ScoreShift], known: set[str] | None = None) -> None:
    """Add shifts to those kept in a folder. Writes. What a damaged file held is lost.

    Args:
        folder: it exists.
        shifts: by the store's id of the migrated collection.
        known: the ids that still exist, where all are known; the others are dropped.
    """
    earlier: dict[str, ScoreShift] = {}
    with contextlib.suppress(LightmigrateError):
        earlier = read_scores(folder)
    kept = {
        collection_id: _written(shift)
        for collection_id, shift in {**earlier, **shifts}.items()
        if known is None or collection_id in known
    }
    if kept or earlier:
        with replacing(folder / SCORES_FILE) as file:
            file.write(json.dumps({"format": FORMAT_VERSION, "collections": kept}).encode())


def _written(shift: ScoreShift) -> dict[str, Any]:
    return {
        "address": asdict(shift.address),
        "measured_from": shift.measured_from,
        "before": distances_to_json(shift.before),
        "now": distances_to_json(shift.now),
    }


def _read(entry: Mapping[str, Any]) -> ScoreShift:
    before, now = (distances_from_json(entry[side]) for side in ("before", "now"))
    shift = ScoreShift.of(Address(**entry["address"]), before, now, str(entry["measured_from"]))
    if shift is None:
        raise ValueError("no distances")
    return shift


def distances_to_json(distances: Distances) -> dict[str, Any]:
    """All distances in plain JSON values; the numbers as base64 of little-endian float32."""
    tables = {"neighbours": distances.neighbours, "random": distances.random}
    return {"metric": distances.metric, **{name: _text(table) for name, table in tables.items()}}


def distances_from_json(side: Mapping[str, Any]) -> Distances:
    """What `distances_to_json` made.

    Raises:
        ValueError, KeyError, TypeError: it is not.
    """
    if side["metric"] not in get_args(Metric):
        raise ValueError("no such metric")
    return Distances(side["metric"], _table(side["neighbours"]), _table(side["random"]))


def _text(table: Vectors) -> dict[str, Any]:
    numbers = base64.b64encode(np.ascontiguousarray(table, _NUMBER).tobytes()).decode()
    return {"shape": list(table.shape), "float32": numbers}


def _table(stored: Mapping[str, Any]) -> Vectors:
    rows, columns = map(int, stored["shape"])
    numbers = np.frombuffer(base64.b64decode(stored["float32"], validate=True), _NUMBER)
    return numbers.reshape(rows, columns).astype(np.float32)
