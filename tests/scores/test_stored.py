"""How distances moved is kept beside a database."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lightmigrate.errors import LightmigrateError
from lightmigrate.scores.shift import ScoreShift
from lightmigrate.scores.stored import SCORES_FILE, keep_scores, read_scores
from lightmigrate.stores.base import Address
from tests.scores.test_thresholds import measured


def shift(name: str, seed: int = 0) -> ScoreShift:
    made = ScoreShift.of(Address(name, "tenant", part="part"), measured(seed), measured(seed + 1, metric="l2"))
    assert made is not None
    return made


def test_what_is_kept_is_read(tmp_path: Path) -> None:
    assert read_scores(tmp_path) == {}
    keep_scores(tmp_path, {})
    assert list(tmp_path.iterdir()) == [], "a file only where there is something"
    keep_scores(tmp_path, {"a": shift("one")})
    keep_scores(tmp_path, {"b": shift("two", 5)})
    read = read_scores(tmp_path)
    assert list(read) == ["a", "b"]
    for kept, made in ((read["a"], shift("one")), (read["b"], shift("two", 5))):
        assert kept.to_json() == made.to_json()
        np.testing.assert_array_equal(kept.before.neighbours, made.before.neighbours)
        np.testing.assert_array_equal(kept.now.random, made.now.random)
    keep_scores(tmp_path, {}, {"b"})
    assert list(read_scores(tmp_path)) == ["b"]


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', '{"format": 1, "collections": {"a": {}}}'])
def test_a_damaged_file_is_named_and_written_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / SCORES_FILE).write_text(content)
    with pytest.raises(LightmigrateError, match=r"is damaged .*: move it away"):
        read_scores(tmp_path)
    keep_scores(tmp_path, {"a": shift("one")})
    assert list(read_scores(tmp_path)) == ["a"]


def test_hostile_tables_are_refused(tmp_path: Path) -> None:
    keep_scores(tmp_path, {"a": shift("one")})
    whole = json.loads((tmp_path / SCORES_FILE).read_text())
    for name, value in (("shape", [10**9, 10**9]), ("shape", [-1, 3]), ("float32", "?"), ("float32", "AAAA")):
        content = json.loads(json.dumps(whole))
        content["collections"]["a"]["before"]["neighbours"][name] = value
        (tmp_path / SCORES_FILE).write_text(json.dumps(content))
        with pytest.raises(LightmigrateError, match="is damaged"):
            read_scores(tmp_path)


def test_a_newer_file_says_to_upgrade(tmp_path: Path) -> None:
    (tmp_path / SCORES_FILE).write_text('{"format": 2, "collections": {}}')
    with pytest.raises(LightmigrateError, match="upgrade lightmigrate"):
        read_scores(tmp_path)
