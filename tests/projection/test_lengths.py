"""Lengths are a part of a space: every way to use a projection restores those of the target model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lightmigrate import Model, Projection
from lightmigrate.errors import ProjectionFileError
from lightmigrate.projection import archive
from lightmigrate.projection.lengths import Lengths
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.steps import ByText, Length, Step, Sum
from lightmigrate.projection.terms.linear import Linear
from lightmigrate.vectors import Vectors
from tests.projection.strategies import affine, random_vectors

TEXTS = ["a text", None, "another text", "  ", "a third"]


def logarithm(d_in: int, seed: int = 5) -> Sum:
    """A natural logarithm of lengths about 1."""
    return Sum(np.zeros(1, np.float32), (Linear(random_vectors(d_in, 1, seed=seed)),), normalise=False)


def spread(d_in: int, d_out: int, seed: int = 0) -> Sum:
    length = Length(0.5, 4.0, logarithm(d_in, seed + 5))
    linear = Linear(random_vectors(d_in, d_out, seed=seed))
    return Sum(random_vectors(1, d_out, seed=seed + 1)[0], (linear,), normalise=True, length=length)


def projection_of(*steps: Step) -> Projection:
    ends = Model("old", steps[0].shape[0], normalised=False), Model("new", steps[-1].shape[1], normalised=False)
    return Projection(steps, ProjectionInfo(*ends))


def lengths_of(vectors: Vectors) -> Vectors:
    return np.asarray(np.linalg.norm(vectors, axis=1), dtype=np.float32)


KINDS = {
    "constant": projection_of(Sum(np.zeros(3, np.float32), (Linear(random_vectors(6, 3)),), True, Length(7.0, 7.0))),
    "spread": projection_of(spread(6, 3)),
    "by text": projection_of(ByText(spread(6, 3), spread(6, 3, seed=9))),
    "chain": projection_of(spread(6, 4), spread(4, 3, seed=9)),
}


def test_a_constant_length_is_given_to_every_row_but_zero() -> None:
    linear = Linear(random_vectors(6, 3))
    projection = projection_of(Sum(np.zeros(3, np.float32), (linear,), True, Length(7.0, 7.0)))
    vectors = random_vectors(5, 6)
    vectors[2] = 0
    np.testing.assert_allclose(lengths_of(projection.apply(vectors)), [7, 7, 0, 7, 7], rtol=1e-6)


def test_a_length_depends_on_the_vector_and_stays_among_those_that_were_seen() -> None:
    vectors = random_vectors(200, 6)
    step = spread(6, 3)
    assert step.length is not None
    assert step.length.logarithm is not None
    expected = np.exp(np.clip(step.length.logarithm.apply(vectors, None)[:, 0], np.log(0.5), np.log(4.0)))
    lengths = lengths_of(step.apply(vectors, None))
    np.testing.assert_allclose(lengths, expected, rtol=1e-5)
    assert lengths.min() == pytest.approx(0.5, rel=1e-5)
    assert lengths.max() == pytest.approx(4.0, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stored", ["float32", "float16"])
def test_lengths_travel_in_a_file(kind: str, stored: archive.Stored, tmp_path: Path) -> None:
    projection, vectors = KINDS[kind], random_vectors(5, 6)
    path = projection.save(tmp_path / "p.npz", stored=stored)
    assert json.loads(np.load(path)["header"].tobytes())["format"] == 2
    tolerance = 1e-7 if stored == "float32" else 0.02
    before, after = projection.apply(vectors, TEXTS), Projection.load(path).apply(vectors, TEXTS)
    np.testing.assert_allclose(after, before, rtol=tolerance, atol=tolerance)


def test_a_file_without_lengths_keeps_its_format(tmp_path: Path) -> None:
    path = affine(4, 3).save(tmp_path / "p.npz")
    assert json.loads(np.load(path)["header"].tobytes())["format"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_travel_in_onnx(kind: str, tmp_path: Path) -> None:
    projection, vectors = KINDS[kind], random_vectors(70, 6)
    loaded = Projection.load(projection.export_onnx(tmp_path / "p.onnx"))
    np.testing.assert_allclose(loaded.apply(vectors), projection.apply(vectors), rtol=1e-4, atol=1e-5)


def test_a_chain_gives_the_lengths_of_each_model_on_the_way() -> None:
    middle, end = Model("middle", 4, normalised=False), Model("end", 3, normalised=False)
    first = Projection((spread(6, 4),), ProjectionInfo(Model("start", 6), middle))
    second = Projection((spread(4, 3, seed=9),), ProjectionInfo(middle, end))
    vectors = random_vectors(20, 6)
    np.testing.assert_array_equal(first.then(second).apply(vectors), second.apply(first.apply(vectors)))


def test_a_matrix_before_a_constant_length_folds_and_before_another_length_does_not() -> None:
    middle, end = Model("middle", 4, normalised=False), Model("end", 3, normalised=False)
    first = affine(6, 4, target=middle)
    vectors = random_vectors(20, 6)
    for step, steps in ((Sum(np.zeros(3, np.float32), (Linear(random_vectors(4, 3)),), True, Length(7.0, 7.0)), 1),
                        (spread(4, 3), 2)):  # fmt: skip
        second = Projection((step,), ProjectionInfo(middle, end))
        chain = first.then(second)
        assert len(chain.steps) == steps
        np.testing.assert_allclose(chain.apply(vectors), second.apply(first.apply(vectors)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "length", [{"shortest": "x"}, {"shortest": 1.0, "longest": 2.0, "logarithm": None}, {"logarithm": 3}, 7, {}]
)
def test_a_file_with_impossible_lengths_is_refused(length: object, tmp_path: Path) -> None:
    path = KINDS["constant"].save(tmp_path / "p.npz")
    with np.load(path) as loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    header = json.loads(arrays.pop("header").tobytes())
    header["steps"][0]["length"] = length
    header["sha256"] = archive._checksum(header, arrays)
    encoded = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez(path, header=encoded, **arrays)
    with pytest.raises(ProjectionFileError, match="inconsistent"):
        Projection.load(path)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (2.0, 1.0), (1.0, float("inf")), (float("nan"), 1.0), (1.0, 2.0)])
def test_impossible_lengths_are_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="no lengths of vectors"):
        Length(*bounds)


def test_lengths_that_do_not_fit_a_step_are_refused() -> None:
    linear = Linear(random_vectors(6, 3))
    with pytest.raises(ValueError, match="one number"):
        Length(1.0, 2.0, spread(6, 3))
    with pytest.raises(ValueError, match="from 5 dimensions"):
        Sum(np.zeros(3, np.float32), (linear,), True, Length(1.0, 2.0, logarithm(5)))
    with pytest.raises(ValueError, match="only a step that is normalised"):
        Sum(np.zeros(3, np.float32), (linear,), False, Length(1.0, 1.0))


@pytest.mark.parametrize(
    ("lengths", "kind", "words"),
    [
        ([1, 1.005, 0.995], "unit", "length 1"),
        ([100, 100.5, 99.5], "constant", "length 100"),
        ([1, 1.02, 1], "constant", "length 1"),
        ([5, 10, 20], "spread", "lengths 5 to 20, median 10"),
        ([0, 5, 10, 20], "spread", "lengths 5 to 20, median 10"),
        ([0, 0], "unit", "length 1"),
    ],
)
def test_lengths_are_described(lengths: list[float], kind: str, words: str) -> None:
    found = Lengths.of(np.array(lengths)[:, None] * np.array([[0.6, 0.8]]))
    assert found.kind == kind
    assert str(found) == words
    assert Lengths.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize("fields", [None, 7, {}, {"kind": "long"}, {"kind": "unit", "median": "1"}, {"kind": "spread"}])
def test_what_describes_no_lengths_is_not_known(fields: object) -> None:
    assert Lengths.from_json(fields) is None
