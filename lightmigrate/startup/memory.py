"""Remembers the models that were recognised in a database, so that the next start need not recognise them again."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.files import replacing, user_folder
from lightmigrate.migration.aside.location import MODELS_FILE
from lightmigrate.progress import logger
from lightmigrate.startup.target_model import TargetModel
from lightmigrate.stores.base import CollectionFacts

MEMORY_VERSION = 1

# One model gives one text vectors of at least this cosine on two days; two models never do.
SAME_PROBE = 0.999


class Memory:
    """A small file: for each collection the embedding function that was recognised as its model.

    A collection is known by the store's own id, so one that is created again under an old name is not known. The file
    is exchanged with the database, so that after a rollback it holds what was true then.

    Args:
        file: need not exist; one that cannot be read counts as empty.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: Mapping[str, Any] = {}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            content = json.loads(file.read_bytes())
            if content["format"] == MEMORY_VERSION:
                self._known = dict(content["collections"])

    @classmethod
    def of_folder(cls, folder: Path) -> Memory:
        """The memory of a database folder."""
        return cls(folder / MODELS_FILE)

    @classmethod
    def of_server(cls, address: str) -> Memory:
        """The memory of a database behind a client, kept among the user's files."""
        return cls(user_folder() / "models" / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}.json")

    def model(self, facts: CollectionFacts) -> str:
        """Name of the model that a collection's vectors were recognised to be of; empty when not known."""
        known = self._known.get(facts.id)
        return str(known.get("model", "")) if isinstance(known, Mapping) else ""

    def knows(self, facts: CollectionFacts, target: TargetModel) -> bool:
        """Whether a collection was recognised as this model's. Embeds one text with a model that has no name."""
        known = self._known.get(facts.id)
        if not isinstance(known, Mapping) or known.get("dimension") != facts.dimension:
            return False
        if target.identity is not None:
            return bool(known.get("function") == target.identity)
        try:
            before = np.array(known["probe"], dtype=np.float32)
        except (KeyError, ValueError, TypeError):
            return False
        now = target.probe
        if now is None or before.shape != now.shape or not (length := np.linalg.norm(before) * np.linalg.norm(now)):
            return False
        return float(np.vdot(before, now) / length) >= SAME_PROBE

    def learn(self, collections: Iterable[CollectionFacts], target: TargetModel) -> None:
        """Store that these collections are this model's. If that fails, the next start measures again."""
        probe = None if target.identity is not None or target.probe is None else target.probe.tolist()
        learnt = {
            facts.id: {"dimension": facts.dimension, "model": target.model, "function": target.identity, "probe": probe}
            for facts in collections
        }
        if not learnt or (target.identity is None and probe is None):
            return
        known = {**self._known, **learnt}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self._file) as stream:
                stream.write(json.dumps({"format": MEMORY_VERSION, "collections": known}, default=str).encode())
        except OSError as error:
            logger.debug("%s cannot be written (%s)", self._file, error.strerror)
            return
        self._known = known
