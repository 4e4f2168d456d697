"""Matrices in half precision: half the file, the same function but for the fourth digit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lightmigrate
from lightmigrate import Model, Projection
from lightmigrate.errors import ProjectionFileError


def fitted() -> Projection:
    """One with all that a file can hold but texts: a matrix, landmarks, a step for the error, both spaces."""
    rng = np.random.default_rng(0)
    old = rng.normal(size=(300, 48)) * np.geomspace(1, 0.01, 48)
    new = np.tanh(old @ rng.normal(size=(48, 40)))
    return lightmigrate.fit(old, new, method="kernel", landmarks=20)


def test_float16_halves_the_file_and_is_computed_as_float32(tmp_path: Path) -> None:
    original = fitted()
    whole = original.save(tmp_path / "whole.npz")
    half = original.save(tmp_path / "half.npz", stored="float16")
    assert half.stat().st_size < 0.7 * whole.stat().st_size  # names and facts are not halved
    loaded = Projection.load(half)
    assert loaded.info == original.info
    for before, after in zip(original.spaces, loaded.spaces, strict=True):
        assert before is not None
        assert after is not None
        assert after.directions.dtype == np.float32
        assert after.own == before.own
        np.testing.assert_allclose(after.directions, before.directions, atol=1e-3)
    vectors = np.random.default_rng(1).normal(size=(50, 48)) * np.geomspace(1, 0.01, 48)
    mapped = loaded.apply(vectors)
    assert mapped.dtype == np.float32
    np.testing.assert_allclose(mapped, original.apply(vectors), atol=0.01 * float(np.abs(mapped).max()))
    np.testing.assert_allclose(loaded.uncertainty(vectors), original.uncertainty(vectors), atol=0.05)
    with np.load(half) as arrays:
        matrices = {name: arrays[name].dtype for name in arrays.files if name.endswith(("weights", "landmarks"))}
        assert set(matrices.values()) == {np.dtype(np.float16)}
        assert arrays["0.bias"].dtype == np.float32


def test_float16_once_is_float16_for_good(tmp_path: Path) -> None:
    half = fitted().save(tmp_path / "half.npz", stored="float16")
    again = Projection.load(half).save(tmp_path / "again.npz", stored="float16")
    assert again.read_bytes() == half.read_bytes()


def test_what_float16_cannot_hold_is_refused(tmp_path: Path) -> None:
    large = Projection.affine(np.full((3, 2), 1e5), np.zeros(2), source=Model("a", 3), target=Model("b", 2))
    with pytest.raises(ProjectionFileError, match="too large for float16"):
        large.save(tmp_path / "p.npz", stored="float16")
    assert list(tmp_path.iterdir()) == []
