"""The `.onnx` file: the same function for other runtimes."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate import Model, Projection
from lightmigrate.errors import DimensionError, MissingExtraError, ProjectionFileError, WrongDirectionError
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.onnx import CHECKSUM_KEY, INFO_KEY, NO_CHECKSUM, seal
from lightmigrate.projection.steps import Sum
from lightmigrate.vectors import as_vectors
from tests.projection.strategies import (
    TextLengths,
    affine,
    affines,
    examples,
    link,
    numbers,
    random_vectors,
    seeds,
    steady,
    vectors_for,
)


def through_onnx(projection: Projection, folder: Path) -> Projection:
    return Projection.load(projection.export_onnx(folder / "p.onnx"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("onnx")


@examples
@given(data=st.data(), projection=affines())
def test_numpy_and_onnx_agree(folder: Path, data: st.DataObject, projection: Projection) -> None:
    vectors = data.draw(vectors_for(projection, st.integers(0, 8)))
    close = steady(projection, vectors)
    output = through_onnx(projection, folder).apply(vectors)
    assert output.shape == (len(vectors), projection.info.target.dimension)
    np.testing.assert_allclose(output[close], projection.apply(vectors)[close], atol=1e-5)


@examples
@given(seed=seeds, first=st.booleans(), second=st.booleans(), third=st.booleans())
def test_numpy_and_onnx_agree_on_chains(folder: Path, seed: int, first: bool, second: bool, third: bool) -> None:
    ends = [("a", True), ("b", first), ("c", second), ("d", third)]
    models = [Model(name, 6, normalised=normalised) for name, normalised in ends]
    links = [affine(6, 6, seed=seed + n, source=models[n], target=models[n + 1]) for n in range(3)]
    chain = links[0].then(links[1]).then(links[2])
    vectors = random_vectors(5, 6, seed)
    close = steady(chain, vectors)
    np.testing.assert_allclose(
        through_onnx(chain, folder).apply(vectors)[close], chain.apply(vectors)[close], atol=1e-5
    )


@pytest.mark.parametrize("rows", [0, 1, 5000])
@pytest.mark.parametrize("normalised", [True, False])
def test_numpy_and_onnx_agree_on_batches_of_any_size(folder: Path, rows: int, normalised: bool) -> None:
    projection, vectors = affine(16, 24, normalised=normalised), random_vectors(rows, 16)
    output = through_onnx(projection, folder).apply(vectors)
    assert output.shape == (rows, 24)
    assert output.dtype == np.float32
    assert output.flags.c_contiguous
    np.testing.assert_allclose(output, projection.apply(vectors), atol=1e-5)


def test_numpy_and_onnx_agree_on_a_single_vector(folder: Path) -> None:
    projection, vector = affine(16, 24), random_vectors(1, 16)[0]
    output = through_onnx(projection, folder).apply(vector)
    assert output.shape == (24,)
    np.testing.assert_allclose(output, projection.apply(vector), atol=1e-5)


def test_zero_rows_stay_zero(folder: Path) -> None:
    vectors = random_vectors(4, 5)
    vectors[[0, 2]] = 0
    output = through_onnx(affine(5, 3, bias=0), folder).apply(vectors)
    np.testing.assert_array_equal(output[[0, 2]], 0)
    np.testing.assert_allclose(np.linalg.norm(output[[1, 3]], axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("length", [1e-35, 1e-25, 1e-20, 1e18, 1e25, 1e35])
def test_numpy_and_onnx_agree_on_rows_whose_squares_leave_float32(folder: Path, length: float) -> None:
    projection = affine(4, 3, bias=0)
    vectors = random_vectors(3, 4) * np.float32(length)
    output = through_onnx(projection, folder).apply(vectors)
    np.testing.assert_allclose(output, projection.apply(vectors), atol=1e-5)


def test_nan_goes_in_and_out_of_its_own_row_only(folder: Path) -> None:
    vectors = random_vectors(3, 4)
    vectors[1, 2] = np.nan
    output = through_onnx(affine(4, 5), folder).apply(vectors)
    np.testing.assert_array_equal(np.isnan(output).all(axis=1), [False, True, False])
    np.testing.assert_array_equal(np.isnan(output).any(axis=1), [False, True, False])


def test_cuda_is_preferred_and_rounds_no_factor_to_ten_bits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU onnxruntime goes on with the processor, with what it was asked for."""
    asked: list[Any] = []
    session, there = onnxruntime.InferenceSession, ["TensorrtExecutionProvider", "CUDAExecutionProvider"]

    def opened(content: bytes, providers: Any) -> Any:
        asked.extend(providers)
        return session(content, providers=providers)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*there, "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    test_numpy_and_onnx_agree_on_a_single_vector(folder)
    assert asked == [("CUDAExecutionProvider", {"use_tf32": "0"}), ("CPUExecutionProvider", {})]


def test_any_runtime_can_run_the_file(folder: Path) -> None:
    projection, vectors = affine(5, 3), random_vectors(4, 5)
    path = projection.export_onnx(folder / "p.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (output,) = session.run(["projected"], {"vectors": vectors})
    np.testing.assert_allclose(output, projection.apply(vectors), atol=1e-5)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.version for entry in model.opset_import] == [17]


def test_sum_of_two_affines_agrees(folder: Path) -> None:
    one, other = affine(5, 3), affine(5, 3, seed=1)
    steps = [step for step in one.steps + other.steps if isinstance(step, Sum)]
    both = Projection((Sum(steps[0].bias, steps[0].terms + steps[1].terms, True),), one.info)
    vectors = random_vectors(6, 5)
    np.testing.assert_allclose(through_onnx(both, folder).apply(vectors), both.apply(vectors), atol=1e-5)


def test_info_survives(folder: Path) -> None:
    source = Model("quelle/ü", 4, provider="openai", revision="2", prefix="passage: ", normalised=False)
    original = affine(4, 3, source=source).with_facts(
        training={"pairs": 12, "penalty": 0.1 + 0.2}, quality={"retention": {"value": 0.87}}
    )
    assert through_onnx(original, folder).info == original.info
    chain = link("a", "b", normalised=True).then(link("b", "c", normalised=True, seed=1))
    assert through_onnx(chain, folder).info == chain.info


def test_path_may_be_a_string_and_comes_back(tmp_path: Path) -> None:
    original = affine(4, 3)
    assert original.export_onnx(str(tmp_path / "p.onnx")) == tmp_path / "p.onnx"
    assert [path.name for path in tmp_path.iterdir()] == ["p.onnx"]
    assert Projection.load(str(tmp_path / "p.onnx")).info == original.info


def test_projection_from_onnx_cannot_be_written_again(tmp_path: Path) -> None:
    closed = through_onnx(link("a", "b"), tmp_path)
    chain = closed.then(link("b", "c", seed=1))
    (tmp_path / "p.onnx").unlink()
    for projection in (closed, chain):
        with pytest.raises(ProjectionFileError, match="cannot be written again"):
            projection.save(tmp_path / "again.npz")
        with pytest.raises(ProjectionFileError, match="cannot be written again"):
            projection.export_onnx(tmp_path / "again.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("normalised", [True, False])
def test_projection_from_onnx_chains_on_either_side(folder: Path, normalised: bool) -> None:
    first, second = link("a", "b", normalised=normalised), link("b", "c", normalised=normalised, seed=1)
    vectors = random_vectors(5, 6)
    expected = second.apply(first.apply(vectors))
    closed_first, closed_second = through_onnx(first, folder), through_onnx(second, folder)
    for chain in (closed_first.then(second), first.then(closed_second), closed_first.then(closed_second)):
        assert chain.info == first.then(second).info
        np.testing.assert_allclose(chain.apply(vectors), expected, atol=1e-5)


def test_projection_from_onnx_refuses_what_any_projection_refuses(folder: Path) -> None:
    closed = through_onnx(affine(5, 3), folder)
    with pytest.raises(ValueError, match="1 texts for 2 vectors"):
        closed.apply(np.zeros((2, 5)), ["one"])
    with pytest.raises(DimensionError, match="4 dimensions"):
        closed.apply(np.zeros((2, 4)))
    with pytest.raises(WrongDirectionError):
        closed.apply(np.zeros((2, 3)))


def test_term_that_reads_texts_cannot_be_exported(tmp_path: Path) -> None:
    model = Model("same", 3)
    reading = Projection((Sum(as_vectors([0, 0, 0]), (TextLengths((3, 3)),), False),), ProjectionInfo(model, model))
    with pytest.raises(ProjectionFileError, match=r"text_lengths.*npz"):
        reading.export_onnx(tmp_path / "p.onnx")
    assert list(tmp_path.iterdir()) == []


def test_truncated_file_is_refused_at_many_lengths(tmp_path: Path) -> None:
    intact = affine(3, 2).export_onnx(tmp_path / "intact.onnx").read_bytes()
    path = tmp_path / "truncated.onnx"
    for length in [*range(0, len(intact), 5), len(intact) - 1]:
        path.write_bytes(intact[:length])
        with pytest.raises(ProjectionFileError, match=r"truncated\.onnx"):
            Projection.load(path)


@pytest.mark.parametrize("content", [b"", b"text" * 50, bytes(200), pickle.dumps({"a": 1})])
def test_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.onnx"
    path.write_bytes(content)
    with pytest.raises(ProjectionFileError, match="not a lightmigrate projection"):
        Projection.load(path)


def test_npz_named_onnx_and_onnx_named_npz_are_refused(tmp_path: Path) -> None:
    affine(3, 2).save(tmp_path / "archive.onnx")
    affine(3, 2).export_onnx(tmp_path / "model.npz")
    for name in ("archive.onnx", "model.npz"):
        with pytest.raises(ProjectionFileError, match="not a lightmigrate projection"):
            Projection.load(tmp_path / name)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectionFileError, match="no projection file at"):
        Projection.load(tmp_path / "missing.onnx")


def with_header(path: Path, header: str | None) -> Path:
    """Put another header into an ONNX projection that is otherwise sound, or take it away."""
    model = onnx.load(affine(3, 2).export_onnx(path))
    facts = {} if header is None else {INFO_KEY: header}
    onnx.helper.set_model_props(model, {**facts, CHECKSUM_KEY: NO_CHECKSUM})
    path.write_bytes(seal(model.SerializeToString()))
    return path


def test_one_bit_flipped_in_the_weights_is_refused(tmp_path: Path) -> None:
    projection = affine(3, 2)
    path = projection.export_onnx(tmp_path / "p.onnx")
    content, weights = bytearray(path.read_bytes()), numbers(projection)[0].tobytes()
    content[content.index(weights) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ProjectionFileError, match="was altered"):
        Projection.load(path)


def test_another_direction_written_into_the_header_is_refused(tmp_path: Path) -> None:
    path = affine(3, 3).export_onnx(tmp_path / "p.onnx")
    content = path.read_bytes()
    swapped = (
        content.replace(b'"source"', b'"SOURCE"').replace(b'"target"', b'"source"').replace(b'"SOURCE"', b'"target"')
    )
    assert swapped != content
    path.write_bytes(swapped)
    with pytest.raises(ProjectionFileError, match="was altered"):
        Projection.load(path)


@pytest.mark.parametrize("header", [None, "", "{", "[]", "null", "{}", '{"source": 1, "target": 2}'])
def test_sound_model_without_a_sound_header_is_refused(tmp_path: Path, header: str | None) -> None:
    path = with_header(tmp_path / "p.onnx", header)
    with pytest.raises(ProjectionFileError):
        Projection.load(path)


def test_header_that_speaks_of_other_dimensions_than_the_model_is_refused(tmp_path: Path) -> None:
    info: dict[str, Any] = affine(3, 2).info.to_json()
    path = with_header(tmp_path / "p.onnx", json.dumps(info))
    assert Projection.load(path).info.to_json() == info
    for model, dimension in (("source", 4), ("target", 5)):
        changed = {**info, model: {**info[model], "dimension": dimension}}
        with_header(path, json.dumps(changed))
        with pytest.raises(ProjectionFileError):
            Projection.load(path)


def test_export_replaces_the_previous_file_or_leaves_nothing_aside(tmp_path: Path) -> None:
    path = affine(4, 3).export_onnx(tmp_path / "p.onnx")
    newer = affine(4, 3, seed=1)
    newer.export_onnx(path)
    np.testing.assert_allclose(Projection.load(path).apply(np.eye(4)), newer.apply(np.eye(4)), atol=1e-5)

    (tmp_path / "folder.onnx" / "inside").mkdir(parents=True)
    with pytest.raises(OSError):  # noqa: PT011  # each system words it differently
        newer.export_onnx(tmp_path / "folder.onnx")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["folder.onnx", "p.onnx"]


def test_missing_libraries_are_named_with_the_way_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = affine(4, 3).export_onnx(tmp_path / "p.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # what Python itself does for a failed import
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"onnxruntime is not installed.*lightmigrate\[onnx\]"):
        Projection.load(path)
    with pytest.raises(MissingExtraError, match=r"onnx is not installed.*lightmigrate\[onnx\]"):
        affine(4, 3).export_onnx(tmp_path / "other.onnx")
    assert [found.name for found in tmp_path.iterdir()] == ["p.onnx"]
