"""From a prediction to a vector of length 1, along the ray from a centre."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate import Projection
from lightmigrate.errors import ProjectionFileError
from lightmigrate.projection import archive
from lightmigrate.projection.steps import ByText, Length, Sum, join
from lightmigrate.projection.terms.linear import Linear
from lightmigrate.projection.unit_sphere import extend_from
from lightmigrate.vectors import Vectors, normalise_rows
from tests.projection.strategies import affine, examples, random_vectors, seeds
from tests.projection.test_archive import rewrite


def centre_of(d: int, length: float, seed: int = 0) -> Vectors:
    centre = random_vectors(1, d, seed)
    normalise_rows(centre)
    return np.asarray(length * centre[0], dtype=np.float32)


def extended(centre: Vectors, vectors: Vectors) -> Vectors:
    rows = (vectors - centre).astype(np.float32)
    extend_from(centre, rows)
    return rows


def centred(projection: Projection, centre: Vectors) -> Projection:
    (step,) = projection.steps
    assert isinstance(step, Sum)
    return Projection((Sum(step.bias, step.terms, True, step.length, centre),), projection.info)


@examples
@given(seed=seeds, length=st.floats(0, 0.999), size=st.floats(1e-3, 1e6))
def test_rows_have_length_1_and_lie_on_the_ray(seed: int, length: float, size: float) -> None:
    centre = centre_of(12, length, seed)
    deviations = (size * random_vectors(20, 12, seed + 1)).astype(np.float32)
    rows = deviations.copy()
    extend_from(centre, rows)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    along = rows.astype(np.float64) - centre
    cosines = np.sum(along * deviations, axis=1) / np.linalg.norm(along, axis=1) / np.linalg.norm(deviations, axis=1)
    far = np.linalg.norm(along, axis=1) > 0.01  # nearer to the centre float32 does not tell directions
    np.testing.assert_allclose(cosines[far], 1, atol=1e-4)


@examples
@given(seed=seeds, length=st.floats(0, 0.99))
def test_what_has_length_1_stays_and_the_origin_divides_by_the_length(seed: int, length: float) -> None:
    unit = random_vectors(20, 12, seed)
    scaled = 3 * unit
    normalise_rows(unit)
    np.testing.assert_allclose(extended(centre_of(12, length, seed), unit), unit, atol=1e-5)
    np.testing.assert_allclose(extended(np.zeros(12, np.float32), scaled), unit, atol=1e-6)


def test_rows_that_say_nothing_are_divided_by_their_length() -> None:
    centre = centre_of(4, 0.5)
    rows = np.stack([centre, centre, 1e30 * np.ones(4), np.full(4, np.nan)]).astype(np.float32)
    rows[1, 0] += 1e-6
    found = extended(centre, rows)
    assert np.isfinite(found[:3]).all()
    np.testing.assert_allclose(np.linalg.norm(found[:3], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found[0], 2 * centre, atol=1e-6)
    assert np.isnan(found[3]).all()


def test_targets_that_are_all_the_same_have_a_centre_of_length_1() -> None:
    centre = centre_of(6, 1.0)
    found = extended(centre, np.stack([centre, 1.5 * centre]))
    np.testing.assert_allclose(found, np.stack([centre, centre]), atol=2e-3)


def test_a_centre_is_kept_in_files_and_computed_by_onnx(tmp_path: Path) -> None:
    projection = centred(affine(16, 24), centre_of(24, 0.9))
    (step,) = projection.steps
    assert isinstance(step, Sum)
    longer = Sum(step.bias, step.terms, True, Length(7.0, 7.0), step.centre)
    text = Projection((ByText(longer, longer),), projection.info)
    vectors = random_vectors(600, 16)
    vectors[7] = 0
    for index, one in enumerate((projection, text)):
        output = one.apply(vectors, ["some text"] * 600)
        np.testing.assert_allclose(np.linalg.norm(output, axis=1), (1, 7)[index], rtol=1e-5)
        read = Projection.load(one.save(tmp_path / f"{index}.npz"))
        np.testing.assert_array_equal(read.apply(vectors, ["some text"] * 600), output)
        graph = Projection.load(one.export_onnx(tmp_path / f"{index}.onnx"))
        np.testing.assert_allclose(graph.apply(vectors), one.apply(vectors), atol=1e-4)
    assert (tmp_path / "0.npz").read_bytes() == projection.save(tmp_path / "again.npz").read_bytes()


def test_a_file_may_lack_a_centre_and_nothing_else(tmp_path: Path) -> None:
    def without(name: str) -> Path:
        def change(header: dict[str, Any], arrays: dict[str, Any]) -> None:
            del arrays[name]
            header["sha256"] = archive._checksum(header, arrays)

        # one number, which is what reading a missing array would give
        path = centred(affine(4, 1), np.zeros(1, np.float32)).save(tmp_path / "p.npz")
        rewrite(path, change)
        return path

    (step,) = Projection.load(without("0.centre")).steps
    assert isinstance(step, Sum)
    assert step.centre is None
    with pytest.raises(ProjectionFileError, match="inconsistent"):
        Projection.load(without("0.bias"))


def test_onnx_has_the_same_way_out_for_rows_that_say_nothing(tmp_path: Path) -> None:
    centre = centre_of(3, 0.5)
    step = Sum(centre.copy(), (Linear(np.eye(3, dtype=np.float32)),), True, None, centre)
    projection = Projection((step,), affine(3, 3).info)
    vectors = np.array([[0, 0, 0], [1e-6, 0, 0], [1e30, 1, 1], [0.1, 0.2, 0.3]], np.float32)
    output = projection.apply(vectors)
    np.testing.assert_allclose(np.linalg.norm(output, axis=1), 1, atol=1e-5)
    graph = Projection.load(projection.export_onnx(tmp_path / "p.onnx"))
    np.testing.assert_allclose(graph.apply(vectors), output, atol=1e-5)


def test_a_chain_folds_into_a_step_with_a_centre() -> None:
    first, second = affine(5, 6, normalised=False), centred(affine(6, 4, seed=1), centre_of(4, 0.8))
    (before,), (after,) = first.steps, second.steps
    vectors = random_vectors(30, 5)
    joined = join((before,), (after,))
    assert len(joined) == 1
    expected = after.apply(before.apply(vectors, None), None)
    np.testing.assert_allclose(joined[0].apply(vectors, None), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("normalise", "centre"),
    [(False, np.zeros(3)), (True, np.zeros(2)), (True, 2 * np.ones(3)), (True, np.full(3, np.nan))],
)
def test_what_is_no_centre_is_refused(normalise: bool, centre: Vectors) -> None:
    linear = Linear(np.eye(3, dtype=np.float32))
    with pytest.raises(ValueError, match="centre"):
        Sum(np.zeros(3, np.float32), (linear,), normalise, None, centre.astype(np.float32))
