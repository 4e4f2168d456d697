"""Whatever two models are called, their projection gets a name that a registry takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightmigrate import Model
from lightmigrate.registry.names import file_name_of
from tests.databases import make_projection
from tests.registry.folders import shelf


@pytest.mark.parametrize(
    ("source", "target", "name"),
    [
        ("a", "b", "a_to_b.npz"),
        ("sentence-transformers/a", "b:v1.5", "sentence-transformers-a_to_b-v1.5.npz"),
        ("..", "", "model_to_model.npz"),
        ("a", "b.next", None),
        ("雪" * 100, "b", None),
    ],
)
def test_the_name_of_a_file(source: str, target: str, name: str | None, tmp_path: Path) -> None:
    models = Model(source, 4), Model(target, 5)
    file = file_name_of(*models)
    assert name in (None, file)
    assert file != file_name_of(models[0], Model(f"{target}x", 5))
    registry = shelf(tmp_path)
    registry.add(make_projection(0, *models), file)
    assert registry.verify() == []
