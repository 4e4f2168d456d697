"""What was found out about the models of a database, so that the next start need not find it out again."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lightmigrate.files import replacing, user_folder
from lightmigrate.migration.folder.location import MODELS_FILE
from lightmigrate.migration.progress import logger
from lightmigrate.startup.wanted import Wanted
from lightmigrate.stores.base import CollectionFacts

MEMORY_VERSION = 1

# Cosine of the vectors that one model gives one text on two days, and more than any two models do.
SAME_PROBE = 0.999


class Memory:
    """A small file: for each collection the embedding function that was seen to be its model's.

    A collection goes by the store's own id: one that is made anew under an old name is not known. The file moves
    with the database, so that after a rollback it says what was true then.

    Args:
        file: need not exist; what cannot be read counts as not known.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: Mapping[str, Any] = {}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(file.read_bytes())
            if said["format"] == MEMORY_VERSION:
                self._known = dict(said["collections"])

    @classmethod
    def of_folder(cls, folder: Path) -> Memory:
        """The memory of a database folder."""
        return cls(folder / MODELS_FILE)

    @classmethod
    def of_server(cls, address: str) -> Memory:
        """The memory of a database behind a client, kept among this user's files."""
        return cls(user_folder() / "models" / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}.json")

    def model(self, facts: CollectionFacts) -> str:
        """Name of the model a collection's vectors were seen to be of; empty when nobody knows."""
        known = self._known.get(facts.id)
        return str(known.get("model", "")) if isinstance(known, Mapping) else ""

    def knows(self, facts: CollectionFacts, wanted: Wanted) -> bool:
        """Whether it was found out before that a collection is this model's. A nameless model is asked for one text."""
        known = self._known.get(facts.id)
        if not isinstance(known, Mapping) or known.get("dimension") != facts.dimension:
            return False
        if wanted.identity is not None:
            return bool(known.get("function") == wanted.identity)
        try:
            before = np.array(known["probe"], dtype=np.float32)
        except (KeyError, ValueError, TypeError):
            return False
        now = wanted.probe
        if now is None or before.shape != now.shape or not (length := np.linalg.norm(before) * np.linalg.norm(now)):
            return False
        return float(np.vdot(before, now) / length) >= SAME_PROBE

    def learn(self, collections: Iterable[CollectionFacts], wanted: Wanted) -> None:
        """Write down that these collections are this model's. Where nothing can be written, it will be asked again."""
        probe = None if wanted.identity is not None or wanted.probe is None else wanted.probe.tolist()
        learnt = {
            facts.id: {"dimension": facts.dimension, "model": wanted.model, "function": wanted.identity, "probe": probe}
            for facts in collections
        }
        if not learnt or (wanted.identity is None and probe is None):
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
