"""What was measured at earlier starts: one vector of the fixed text for all collections of a database."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightmigrate.startup.memory import Memory, Remembered
from lightmigrate.startup.target_model import TargetModel
from lightmigrate.stores.base import CollectionFacts
from lightmigrate.training.limits import Deadline
from tests.encoders import WordLlamaFunction

SAME = Remembered("same", "they were compared")
FACTS = [CollectionFacts(f"file-{n}", "t", "d", 5, 128, "cosine", None, id=f"id-{n}") for n in range(40)]


@pytest.fixture
def target() -> TargetModel:
    return TargetModel(WordLlamaFunction(128), None, None, Deadline(None))


def written(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_bytes()))


def test_a_thousand_collections_share_one_vector(target: TargetModel, tmp_path: Path) -> None:
    Memory(tmp_path / "models.json").learn({SAME: FACTS}, target)
    assert len(written(tmp_path / "models.json")["probes"]) == 1
    memory = Memory(tmp_path / "models.json")
    assert all(memory.recall(facts, target) == SAME for facts in FACTS)
    assert memory.recall(replace(FACTS[0], id="another"), target) is None


def test_the_vector_of_each_collection_that_older_versions_stored_is_read(target: TargetModel, tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    Memory(file).learn({SAME: FACTS[:2]}, target)
    content = written(file)
    (probe,) = content.pop("probes").values()
    content["collections"]["id-0"]["probe"] = probe
    file.write_text(json.dumps(content))
    memory = Memory(file)
    assert memory.recall(FACTS[0], target) == SAME
    assert memory.recall(FACTS[1], target) is None, "its vector is not in the file"
    memory.learn({SAME: FACTS[2:3]}, target)
    assert [Memory(file).recall(facts, target) for facts in FACTS[:3]] == [SAME, SAME, SAME]


def test_another_model_under_the_same_name_is_not_known(target: TargetModel, tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    Memory(file).learn({SAME: FACTS}, target)
    content = written(file)
    content["probes"] = {key: [vector[0][::-1]] for key, vector in content["probes"].items()}
    file.write_text(json.dumps(content))
    assert Memory(file).recall(FACTS[0], target) is None
    Memory(file).learn({SAME: FACTS[:1]}, target)
    assert Memory(file).recall(FACTS[0], target) == SAME
