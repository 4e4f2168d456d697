"""The file beside a database that keeps what was migrated in it, when, and what was found out before.

Backups are deleted and vectors become exact; what decided a migration stays known.
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from lightmigrate.errors import LightmigrateError
from lightmigrate.files import replacing
from lightmigrate.migration.distance import keeps_vectors
from lightmigrate.progress import logger
from lightmigrate.projection.model import title_of
from lightmigrate.projection.projection import Projection
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.results import Result, read_as
from lightmigrate.stores.base import Address

HISTORY_FILE = "lightmigrate-history.json"
FORMAT_VERSION = 1

# What is kept of a projection's header; the rest describes its function.
_OF_TRAINING = ("method", "tried", "pairs", "embedded_whole", "extract_words", "compared")
_OF_QUALITY = ("verdict", "reason", "expected_retention", "expected_nothing")

# How `Compared` calls the way that changes nothing.
DOING_NOTHING = "do nothing"

_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class Compared(Result):
    """One way to the new model, as it was compared with others before a migration.

    Attributes:
        description: the way in a few words.
        tokens: that it was estimated to embed; `None` where that is not known.
        expected: nDCG@10 that was expected of it, as a share of what embedding everything gives; `None` if unknown.
        chosen: whether it is the one that was taken.
    """

    description: str
    tokens: int | None
    expected: QualityEstimate | None
    chosen: bool


@dataclass(frozen=True)
class Tried(Result):
    """One method that was fitted.

    Attributes:
        method: its name.
        overlap: share of the results of re-embedding that its vectors find, by cross-validation.
        chosen: whether it is the one.
    """

    method: str
    overlap: float
    chosen: bool


@dataclass(frozen=True)
class HistoryEntry(Result):
    """One migration of a collection, or one rollback.

    Attributes:
        at: UTC time, ISO 8601.
        event: what was done.
        collection_name: the collection.
        tenant: its tenant.
        database: its database.
        records: that it held then; `None` for a rollback.
        source: the model before (`Model.to_json`); empty where nothing is known, or the vectors stayed.
        target: the model after, likewise.
        backup: name of the backup that holds what was there before; empty for none.
        restored: name of the backup that was put back by a rollback; empty for a migration.
        distance: that the collection got; empty if it kept its own.
        training: how the projection was found, and what it was compared with.
        quality: what was expected of it; empty where nothing was measured.
        vector: which vector of its records; see `Address`.
        part: which of its records; see `Address`.
        key: of the exchange, where it tells whether the exchange took place; see `Version`.
        exchanged: whether it is certain that it did.
        undone: whether the folder of before was put back since; an open database lists the rollback itself.
    """

    at: str
    event: Literal["migrated", "rolled back"]
    collection_name: str
    tenant: str
    database: str
    records: int | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    target: Mapping[str, Any] = field(default_factory=dict)
    backup: str = ""
    restored: str = ""
    distance: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    quality: Mapping[str, Any] = field(default_factory=dict)
    vector: str = ""
    part: str = ""
    key: str = ""
    exchanged: bool = True
    undone: bool = False

    @property
    def address(self) -> Address:
        """Where the collection is."""
        return Address(self.collection_name, self.tenant, self.database, self.vector, self.part)

    @property
    def models(self) -> tuple[str, str] | None:
        """Titles of the models before and after; `None` where none changed or none is known."""
        if not self.source or not self.target:
            return None
        return _title(self.source), _title(self.target)

    @property
    def verdict(self) -> str:
        """The verdict of the gate; empty where nothing was judged."""
        verdict = self.quality.get("verdict")
        return verdict if isinstance(verdict, str) else ""

    @property
    def expected(self) -> QualityEstimate | None:
        """The quality that was expected of it; `None` where it was not measured."""
        chosen = next((way.expected for way in self.compared if way.chosen), None)
        return _estimate(self.quality.get("expected_retention")) or chosen

    @property
    def expected_nothing(self) -> QualityEstimate | None:
        """The quality that was expected of doing nothing; `None` where it was not measured."""
        nothing = next((way.expected for way in self.compared if way.description == DOING_NOTHING), None)
        return _estimate(self.quality.get("expected_nothing")) or nothing

    @property
    def compared(self) -> tuple[Compared, ...]:
        """The ways that were compared, as they were listed."""
        return tuple(_readable(Compared, self.training.get("compared")))

    @property
    def tried(self) -> tuple[Tried, ...]:
        """The methods that were fitted, the best first."""
        return methods_tried(self.training)


def methods_tried(training: Mapping[str, Any]) -> tuple[Tried, ...]:
    """The methods that a training compared, as far as it says so, the best first."""
    return tuple(sorted(_readable(Tried, training.get("tried")), key=lambda one: -one.overlap))


def entry_of(
    address: Address,
    projection: Projection,
    *,
    records: int,
    distance: str | None,
    backup: str,
    key: str = "",
    exchanged: bool = True,
) -> HistoryEntry:
    """What is kept of a migration with a projection."""
    info, kept = projection.info, keeps_vectors(projection)
    return HistoryEntry(
        at=now(),
        event="migrated",
        collection_name=address.name,
        tenant=address.tenant,
        database=address.database,
        records=records,
        source={} if kept else info.source.to_json(),
        target={} if kept else info.target.to_json(),
        backup=backup,
        distance=distance or "",
        training={name: info.training[name] for name in _OF_TRAINING if name in info.training},
        quality={name: info.quality[name] for name in _OF_QUALITY if name in info.quality},
        vector=address.vector,
        part=address.part,
        key=key,
        exchanged=exchanged,
    )


def rollback_of(address: Address, restored: str, key: str) -> HistoryEntry:
    """What is kept of a rollback of an open database that is about to take place."""
    return HistoryEntry(
        at=now(),
        event="rolled back",
        collection_name=address.name,
        tenant=address.tenant,
        database=address.database,
        restored=restored,
        vector=address.vector,
        part=address.part,
        key=key,
        exchanged=False,
    )


def model_after(entries: Iterable[HistoryEntry]) -> Mapping[str, Any]:
    """The model (`Model.to_json`) whose vectors a collection holds after all that was done; empty if that is not known.

    Args:
        entries: of the collection, the oldest first.
    """
    kept: dict[str, Mapping[str, Any]] = {}
    model: Mapping[str, Any] = {}
    for entry in entries:
        if not entry.exchanged or entry.undone:
            continue
        kept[entry.backup] = entry.source or model
        model = (entry.target or model) if entry.event == "migrated" else kept.get(entry.restored, {})
    return model


def now() -> str:
    """The present time as records keep it: UTC, ISO 8601."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")


def read_history(folder: Path) -> list[HistoryEntry] | None:
    """What a folder keeps, the oldest first; `None` where it keeps no history. Only reads.

    Raises:
        LightmigrateError: the file is damaged, or a newer lightmigrate wrote it.
    """
    path = folder / HISTORY_FILE
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT_VERSION:
            raise LightmigrateError(f"{path} was written by a newer lightmigrate; upgrade lightmigrate")
        return [read_as(HistoryEntry, entry) for entry in content["entries"]]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise LightmigrateError(
            f"{path} is damaged ({type(error).__name__}): move it away; only the history of migrations is lost"
        ) from None


def write_history(folder: Path, entries: Iterable[HistoryEntry]) -> None:
    """Write a history in place of the one that a folder keeps; it exists. Writes.

    A history that cannot be written fails no migration: a warning says so.
    """
    content = {"format": FORMAT_VERSION, "entries": [asdict(entry) for entry in entries]}
    try:
        with replacing(folder / HISTORY_FILE) as file:
            file.write(json.dumps(content).encode())
    except (OSError, TypeError, ValueError) as error:
        logger.warning("%s: the history of migrations could not be kept: %s", folder, error)


def readable_history(folder: Path) -> list[HistoryEntry] | None:
    """`read_history` for a migration, which a damaged file does not fail: a warning says what is lost. Only reads."""
    try:
        return read_history(folder)
    except LightmigrateError as error:
        logger.warning("%s", error)
        return None


def _title(model: Mapping[str, Any]) -> str:
    name, dimension = model.get("name"), model.get("dimension")
    return title_of(name if isinstance(name, str) else "", dimension if isinstance(dimension, int) else None)


def _estimate(value: object) -> QualityEstimate | None:
    """An estimate as headers keep it; `None` for anything else."""
    return next(_readable(QualityEstimate, [value]), None)


def _readable(kind: type[_Kind], values: object) -> Iterator[_Kind]:
    """The values that are of a kind, of what a file of any origin holds."""
    for value in values if isinstance(values, list) else ():
        with contextlib.suppress(TypeError, ValueError, KeyError, AttributeError):
            yield read_as(kind, value)
