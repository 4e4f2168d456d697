"""Folders of projections for these tests: real ones, and lists whose files are only names."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightmigrate import Model, Projection, Registry, fit
from lightmigrate.demo.data import load_corpus

CORPUS = load_corpus()
POTION = Model("potion-base-8M", 256)
MINILM = Model("all-MiniLM-L6-v2", 384)
SHORT = Model("all-MiniLM-L6-v2 cut to 128", 128, normalised=False)

# What these models make of the same abstracts.
VECTORS = {POTION: CORPUS.old_documents, MINILM: CORPUS.new_documents, SHORT: CORPUS.new_documents[:, :128]}

# Nothing is fitted to the abstracts from here on.
HELD_OUT = 400


@functools.cache
def fitted(source: Model, target: Model, pairs: int = HELD_OUT) -> Projection:
    """A real projection, fitted to the first abstracts."""
    old, new = (VECTORS[model][:pairs] for model in (source, target))
    return fit(old, new, method="ridge", source_model=source, target_model=target)


def item(file: str, source: Model, target: Model, retention: float | None = None) -> dict[str, Any]:
    """A line of a list."""
    quality = {} if retention is None else {"retention": {"value": retention, "low": 0.0, "high": 1.0}}
    said = {"source": source.to_json(), "target": target.to_json(), "training": {}, "quality": quality}
    return {"file": file, "sha256": hashlib.sha256(file.encode()).hexdigest(), **said}


def shelf(folder: Path, *projections: Projection) -> Registry:
    """A folder with these projections, `0.npz` and on."""
    registry = Registry(folder)
    for number, projection in enumerate(projections):
        registry.add(projection, f"{number}.npz")
    return registry


def write_list(folder: Path, items: Sequence[dict[str, Any]]) -> Path:
    """A folder with this list; its files are there and are no projections, so that opening one fails."""
    folder.mkdir(exist_ok=True)
    for one in items:
        (folder / one["file"]).write_bytes(b"not a projection")
    (folder / "registry.json").write_text(json.dumps({"format": 1, "projections": list(items)}))
    return folder
