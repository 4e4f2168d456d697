"""Remembers what was measured of the collections of a database, so that the next start need not measure again."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.files import replacing, user_folder
from lightmigrate.migration.aside.location import MODELS_FILE
from lightmigrate.progress import logger
from lightmigrate.providers.same_model import same_probe
from lightmigrate.startup.report import Verdict
from lightmigrate.startup.target_model import TargetModel
from lightmigrate.stores.base import CollectionFacts
from lightmigrate.vectors import Vectors

MEMORY_VERSION = 2

# A collection is measured again when it has fewer records than then, or so many times as many.
GROWN = 1.5


@dataclass(frozen=True)
class Remembered:
    """What was measured of a collection at an earlier start.

    Attributes:
        verdict: `same` or `variant`.
        evidence: how that was known.
    """

    verdict: Verdict
    evidence: str


@dataclass(frozen=True)
class Left:
    """What an earlier start reported of a collection that it left as it is.

    Attributes:
        circumstances: a digest of what that depends on.
        verdict: on its vectors.
        evidence: how that was known.
        expected_dim: of the application's vectors.
        reason: why it was left; empty where its verdict says that.
    """

    circumstances: str
    verdict: Verdict
    evidence: str
    expected_dim: int | None
    reason: str


class Memory:
    """A small file: what was measured of each collection, and with which model.

    A collection is known by the store's own id, so one that is created again under an old name is not known; a model
    by its name and by its vector of a fixed text, so one that was exchanged under its name is not known. The file is
    exchanged with the database, so that after a rollback it holds what was true then.

    Args:
        file: need not exist; one that cannot be read counts as empty.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: Mapping[str, Any] = {}
        self._probes: Mapping[str, Any] = {}
        self._left: Mapping[str, Any] = {}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(file.read_bytes())
            if content["format"] == MEMORY_VERSION:
                self._known, self._probes = dict(content["collections"]), dict(content.get("probes", {}))
                self._left = dict(content.get("left", {}))

    @classmethod
    def of_folder(cls, folder: Path) -> Memory:
        """The memory of a database folder."""
        return cls(folder / MODELS_FILE)

    @classmethod
    def of_server(cls, address: str) -> Memory:
        """The memory of a database that is not to be written to, among the user's files."""
        return cls(user_folder() / "models" / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}.json")

    def model(self, facts: CollectionFacts) -> str:
        """Name of the model that a collection's vectors were recognised to be of; empty when not known."""
        known = self._known.get(facts.id)
        return str(known.get("model", "")) if isinstance(known, Mapping) else ""

    def recall(self, facts: CollectionFacts, target: TargetModel) -> Remembered | None:
        """What was measured of a collection with this model; `None` when it has to be measured (again).

        Embeds one short text, once in a run. If the model cannot be called, its name is believed.
        """
        known = self._known.get(facts.id)
        if not isinstance(known, Mapping) or known.get("dimension") != facts.dimension:
            return None
        if target.provider is None or known.get("function") != target.identity:
            return None
        try:
            count = int(known["count"])
            before = self._probe(known["probe"])
            remembered = Remembered(known["verdict"], str(known["evidence"]))
        except (KeyError, ValueError, TypeError):
            return None
        if remembered.verdict not in ("same", "variant") or not count <= facts.count <= GROWN * count:
            return None
        if target.probe is None:
            return None if target.identity is None else remembered
        return remembered if before.shape == target.probe.shape and same_probe(before[0], target.probe[0]) else None

    def _probe(self, stored: Any) -> Vectors:
        """The vector `(1, d)` of the fixed text: stored once for all collections, by older versions for each."""
        return np.array(self._probes[stored] if isinstance(stored, str) else stored, dtype=np.float32)

    def left(self, facts: CollectionFacts, target: TargetModel) -> Left | None:
        """What is remembered of a collection that was left as it is for this model; `None` when nothing is."""
        try:
            known = dict(self._left[facts.id])
            before = known.pop("probe")
            left = Left(**known)
            if target.provider is None:
                return left if before is None else None
            vector = self._probe(before)
        except (KeyError, ValueError, TypeError):
            return None
        now = target.probe
        return left if now is not None and vector.shape == now.shape and same_probe(vector[0], now[0]) else None

    def learn_left(self, left: Mapping[str, Left], target: TargetModel) -> None:
        """Store what was reported of collections that were left as they are, by their ids."""
        if left and (target.provider is None or target.probe is not None):
            key, probes = self._with_probe(target)
            self._write(
                self._known, {**self._left, **{id_: {**vars(one), "probe": key} for id_, one in left.items()}}, probes
            )

    def learn(self, measured: Mapping[Remembered, list[CollectionFacts]], target: TargetModel) -> None:
        """Store what was measured of some collections. If that fails, the next start measures again."""
        if target.probe is None:
            return
        key, probes = self._with_probe(target)
        learnt = {
            facts.id: {
                "dimension": facts.dimension,
                "count": facts.count,
                "model": target.model,
                "function": target.identity,
                "probe": key,
                "verdict": remembered.verdict,
                "evidence": remembered.evidence,
            }
            for remembered, collections in measured.items()
            for facts in collections
        }
        if learnt:
            self._write({**self._known, **learnt}, self._left, probes)

    def _with_probe(self, target: TargetModel) -> tuple[str | None, Mapping[str, Any]]:
        """The key of the model's vector of the fixed text, and all vectors with it; `None` for a model without one."""
        if target.probe is None:
            return None, self._probes
        probe = target.probe.tolist()
        key = hashlib.sha256(json.dumps(probe).encode()).hexdigest()[:16]
        return key, {**self._probes, key: probe}

    def _write(self, known: Mapping[str, Any], left: Mapping[str, Any], probes: Mapping[str, Any]) -> None:
        used = [each.get("probe") for each in (*known.values(), *left.values()) if isinstance(each, Mapping)]
        probes = {name: probes[name] for name in {name for name in used if isinstance(name, str)} & probes.keys()}
        content = {"format": MEMORY_VERSION, "probes": probes, "collections": known, "left": left}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._file) as stream:
                stream.write(json.dumps(content, default=str).encode())
        except OSError as error:
            logger.debug("%s cannot be written (%s)", self._file, error.strerror)
            return
        self._known, self._left, self._probes = known, left, probes
