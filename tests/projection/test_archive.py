"""The `.npz` file: what goes in comes out, and nothing else is accepted or executed."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from lightmigrate import Model, Projection
from lightmigrate.errors import ProjectionFileError
from lightmigrate.projection import archive
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.steps import Sum
from lightmigrate.vectors import as_vectors
from tests.projection.strategies import (
    TextLengths,
    affine,
    affines,
    assert_equal,
    examples,
    link,
    numbers,
    random_vectors,
)

Change = Callable[[dict[str, Any], dict[str, Any]], object]


def rewrite(path: Path, change: Change) -> None:
    """Change the header and the arrays of a file, in a sound zip archive, and leave the checksum as it was."""
    with np.load(path) as loaded:
        arrays: dict[str, Any] = {name: loaded[name] for name in loaded.files}
    header = json.loads(arrays.pop("header").tobytes())
    change(header, arrays)
    encoded = np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8)
    np.savez(path, header=encoded, **arrays)


@examples
@given(projection=affines())
def test_saved_and_loaded_is_the_same_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, projection: Projection
) -> None:
    path = tmp_path_factory.mktemp("saved") / "p.npz"
    assert_equal(Projection.load(projection.save(path)), projection)


def test_all_that_a_projection_says_about_itself_survives(tmp_path: Path) -> None:
    source = Model("quelle/ü", 4, provider="openai", revision="2024-01", prefix="passage: ", normalised=False)
    target = Model("target", 3, provider="local", revision="main", prefix="", normalised=True)
    facts = {"pairs": 12, "penalty": 0.1 + 0.2, "corpus": "“ü” × →", "nested": {"list": [1, None, True, 1e-300]}}
    quality = {"retention": {"low": 0.8}}
    original = affine(4, 3, source=source, target=target).with_facts(training=facts, quality=quality)
    loaded = Projection.load(original.save(tmp_path / "p.npz"))
    assert (loaded.info.source, loaded.info.target) == (source, target)
    assert (loaded.info.training, loaded.info.quality) == (facts, quality)


def test_facts_survive_the_file_and_change_nothing_else(tmp_path: Path) -> None:
    plain = affine(4, 3)
    first = plain.with_facts(training={"pairs": 5, "corpus": "ü"}, quality={"retention": 0.1 + 0.2})
    second = first.with_facts(training={"pairs": 6}, quality={"gain": -0.5})
    loaded = Projection.load(second.save(tmp_path / "p.npz"))
    assert loaded.info.training == {"pairs": 6, "corpus": "ü"}
    assert loaded.info.quality == {"retention": 0.1 + 0.2, "gain": -0.5}
    assert (plain.info.training, plain.info.quality) == ({}, {})
    assert first.info.training["pairs"] == 5
    assert loaded.info.source == plain.info.source
    assert loaded.info.target == plain.info.target
    np.testing.assert_array_equal(loaded.apply(np.eye(4)), plain.apply(np.eye(4)))


def test_equal_projections_give_byte_identical_files(tmp_path: Path) -> None:
    facts = {"pairs": 5, "corpus": "x"}
    one = affine(5, 4, seed=3).with_facts(training=facts)
    # the same numbers in another memory layout, the same facts in another order
    weights, bias = numbers(one)
    other = Projection.affine(
        np.asfortranarray(weights.astype(np.float64)),
        bias.tolist(),
        source=one.info.source,
        target=one.info.target,
        training=dict(reversed(facts.items())),
    )
    first = one.save(tmp_path / "one.npz").read_bytes()
    assert other.save(tmp_path / "other.npz").read_bytes() == first
    assert Projection.load(tmp_path / "one.npz").save(tmp_path / "again.npz").read_bytes() == first


def test_different_projections_give_different_files(tmp_path: Path) -> None:
    files = [
        projection.save(tmp_path / f"{index}.npz").read_bytes()
        for index, projection in enumerate(
            [affine(4, 4), affine(4, 4, seed=1), affine(4, 4, normalised=False), affine(4, 4, bias=0)]
        )
    ]
    assert len(set(files)) == 4


@pytest.mark.parametrize("normalised", [True, False])
def test_chain_is_saved_and_loaded(tmp_path: Path, normalised: bool) -> None:
    chain = link("a", "b", normalised=normalised).then(link("b", "c", normalised=normalised, seed=1))
    chain = chain.then(link("c", "d", normalised=normalised, seed=2))
    loaded = Projection.load(chain.save(tmp_path / "chain.npz"))
    assert_equal(loaded, chain)
    vectors = random_vectors(7, 6)
    np.testing.assert_array_equal(loaded.apply(vectors), chain.apply(vectors))


def test_loaded_link_can_be_chained(tmp_path: Path) -> None:
    first, second = link("a", "b", normalised=True), link("b", "c", normalised=True, seed=1)
    loaded = Projection.load(first.save(tmp_path / "first.npz"))
    assert_equal(loaded.then(second), first.then(second))


def test_file_has_exactly_the_asked_name(tmp_path: Path) -> None:
    original = affine(4, 3)
    assert original.save(str(tmp_path / "no-suffix")) == tmp_path / "no-suffix"
    assert [path.name for path in tmp_path.iterdir()] == ["no-suffix"]
    assert_equal(Projection.load(str(tmp_path / "no-suffix")), original)


def test_arrays_can_be_read_by_plain_numpy(tmp_path: Path) -> None:
    original = affine(4, 3)
    path = original.save(tmp_path / "p.npz")
    weights, bias = numbers(original)
    with np.load(path, allow_pickle=False) as loaded:
        assert sorted(loaded.files) == ["0.0.weights", "0.bias", "header"]
        np.testing.assert_array_equal(loaded["0.0.weights"], weights)
        np.testing.assert_array_equal(loaded["0.bias"], bias)
        header = json.loads(loaded["header"].tobytes())
    assert header["info"] == original.info.to_json()
    assert header["steps"] == [{"terms": ["linear"], "normalise": True}]


@pytest.mark.parametrize("stored", ["float32", "float16"])
@pytest.mark.parametrize("damage", [0x01, 0xFF], ids=["one bit", "all bits"])
def test_flipping_any_byte_of_the_file_is_refused_or_harmless(
    tmp_path: Path, damage: int, stored: archive.Stored
) -> None:
    original = Projection.load(affine(2, 2).save(tmp_path / "first.npz", stored=stored))
    intact = original.save(tmp_path / "intact.npz", stored=stored).read_bytes()
    path, refused, wrong = tmp_path / "damaged.npz", 0, []
    for position in range(len(intact)):
        damaged = bytearray(intact)
        damaged[position] ^= damage
        path.write_bytes(damaged)
        try:
            # a few bytes of a zip archive mean nothing, such as the time of each entry
            assert_equal(Projection.load(path), original)
        except ProjectionFileError:
            refused += 1
        except Exception as error:  # noqa: BLE001  # all that comes out is the finding
            wrong.append((position, repr(error)))
    assert wrong == []
    assert refused > len(intact) // 2


@pytest.mark.parametrize("name", ["0.0.weights", "0.bias"])
def test_one_byte_flipped_inside_an_array_is_refused(tmp_path: Path, name: str) -> None:
    path = affine(4, 3).save(tmp_path / "p.npz")

    def flip(_: dict[str, Any], arrays: dict[str, Any]) -> None:
        arrays[name].view(np.uint8).reshape(-1)[5] ^= 1

    rewrite(path, flip)
    with pytest.raises(ProjectionFileError, match="altered"):
        Projection.load(path)


def swap_models(header: dict[str, Any], _: dict[str, Any]) -> None:
    info = header["info"]
    info["source"], info["target"] = info["target"], info["source"]


@pytest.mark.parametrize(
    "change",
    [
        swap_models,
        lambda header, _: header["info"]["target"].update(name="another"),
        lambda header, _: header["info"]["source"].update(prefix="query: "),
        lambda header, _: header["info"]["training"].update(pairs=10**6),
        lambda header, _: header["info"]["quality"].update(retention=1.0),
        lambda header, _: header["steps"][0].update(normalise=False),
        lambda header, _: header["steps"].append({"terms": [], "normalise": True}),
        lambda header, _: header.update(note="added"),
        lambda header, _: header.update(sha256="0" * 64),
        lambda header, _: header.pop("sha256"),
        lambda _, arrays: arrays.update({"0.bias": arrays["0.bias"].astype(np.float64)}),
        lambda _, arrays: arrays.update({"0.bias": arrays["0.bias"].view(np.int32)}),
        lambda _, arrays: arrays.update({"0.0.weights": arrays["0.0.weights"].T.copy()}),
        lambda _, arrays: arrays.update({"0.0.weights": arrays["0.0.weights"].reshape(2, 8)}),
        lambda _, arrays: arrays.update({"0.1.weights": arrays["0.0.weights"]}),
        lambda _, arrays: arrays.pop("0.bias"),
    ],
    ids=[
        "direction", "model name", "prefix", "training", "quality", "normalise", "step added", "key added",
        "checksum", "no checksum", "dtype", "same bytes", "transposed", "reshaped", "array added", "array missing",
    ],
)  # fmt: skip
def test_altered_file_is_refused(tmp_path: Path, change: Change) -> None:
    path = affine(4, 4).save(tmp_path / "p.npz")
    rewrite(path, change)
    with pytest.raises(ProjectionFileError, match=r"p\.npz was altered"):
        Projection.load(path)


def test_rewriting_without_a_change_is_accepted(tmp_path: Path) -> None:
    original = affine(4, 4)
    path = original.save(tmp_path / "p.npz")
    rewrite(path, lambda header, arrays: None)
    assert_equal(Projection.load(path), original)


def test_truncated_file_is_refused_at_many_lengths(tmp_path: Path) -> None:
    intact = affine(3, 2).save(tmp_path / "intact.npz").read_bytes()
    path = tmp_path / "truncated.npz"
    for length in [*range(0, len(intact), 3), len(intact) - 1]:
        path.write_bytes(intact[:length])
        with pytest.raises(ProjectionFileError, match=r"truncated\.npz"):
            Projection.load(path)


class Trap:
    """Unpickling one makes a folder."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.marker,)


def pickled_header(path: Path, trap: Trap) -> None:
    np.savez(path, header=np.array([trap], dtype=object))


def pickled_weights(path: Path, trap: Trap) -> None:
    affine(4, 4).save(path)
    rewrite(path, lambda _, arrays: arrays.update({"0.0.weights": np.array([trap], dtype=object)}))


def pickled_extra_array(path: Path, trap: Trap) -> None:
    affine(4, 4).save(path)
    rewrite(path, lambda _, arrays: arrays.update(extra=np.array([trap], dtype=object)))


def pickled_npy(path: Path, trap: Trap) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([trap], dtype=object))


def raw_pickle(path: Path, trap: Trap) -> None:
    path.write_bytes(pickle.dumps(trap))


@pytest.mark.parametrize("write", [pickled_header, pickled_weights, pickled_extra_array, pickled_npy, raw_pickle])
def test_pickles_are_refused_and_never_executed(tmp_path: Path, write: Callable[[Path, Trap], None]) -> None:
    path, marker = tmp_path / "trap.npz", tmp_path / "executed"
    write(path, Trap(marker))
    with pytest.raises(ProjectionFileError, match="not a lightmigrate projection"):
        Projection.load(path)
    assert not marker.exists()

    # the trap is armed: who does unpickle makes the folder
    loaded = np.load(path, allow_pickle=True)
    if isinstance(loaded, np.lib.npyio.NpzFile):
        with loaded:
            _ = [loaded[name] for name in loaded.files]
    assert marker.exists()


@pytest.mark.parametrize("name", ["missing.npz", "no-folder/p.npz", "."])
def test_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProjectionFileError, match="no projection file at"):
        Projection.load(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x05\x06" + bytes(18), b"\x93NUMPY", b"\x80\x04."])
def test_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.npz"
    path.write_bytes(content)
    with pytest.raises(ProjectionFileError, match="not a lightmigrate projection"):
        Projection.load(path)


@pytest.mark.parametrize(
    "header",
    [np.arange(3), np.frombuffer(b"{", np.uint8), np.frombuffer(b"\xff\xfe", np.uint8), np.array("text")],
    ids=["numbers", "broken", "not utf-8", "string"],
)
def test_npz_whose_header_is_not_json_is_refused(tmp_path: Path, header: Any) -> None:
    path = tmp_path / "foreign.npz"
    np.savez(path, header=header)
    with pytest.raises(ProjectionFileError):
        Projection.load(path)


@pytest.mark.parametrize("header", [b"[]", b"null", b"7", b"{}"])
def test_npz_whose_header_is_another_json_value_is_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "foreign.npz"
    np.savez(path, header=np.frombuffer(header, np.uint8))
    with pytest.raises(ProjectionFileError, match="has format None"):
        Projection.load(path)


def test_other_npz_and_npy_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", vectors=np.zeros((2, 3)))
    np.save(tmp_path / "other.npy", np.zeros((2, 3)))
    for name in ("other.npz", "other.npy"):
        with pytest.raises(ProjectionFileError, match="not a lightmigrate projection"):
            Projection.load(tmp_path / name)


def test_newer_format_is_refused_with_both_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as future:
        future.setattr(archive, "FORMATS", (archive.FORMAT_VERSION + 1,))
        path = affine(4, 3).save(tmp_path / "p.npz")
    with pytest.raises(ProjectionFileError, match=r"format 5, this lightmigrate reads up to 4; upgrade"):
        Projection.load(path)


def test_unknown_term_is_refused_by_name(tmp_path: Path) -> None:
    model = Model("same", 3)
    unknown = Projection((Sum(as_vectors([0, 0, 0]), (TextLengths((3, 3)),), False),), ProjectionInfo(model, model))
    path = unknown.save(tmp_path / "p.npz")
    with pytest.raises(ProjectionFileError, match=r"unknown term 'text_lengths'.*upgrade"):
        Projection.load(path)


def test_unknown_model_field_is_refused(tmp_path: Path) -> None:
    class Newer(ProjectionInfo):
        def to_json(self) -> dict[str, Any]:
            described = super().to_json()
            described["source"]["pooling"] = "mean"
            return described

    original = affine(4, 3)
    newer = Newer(original.info.source, original.info.target)
    path = Projection(original.steps, newer).save(tmp_path / "p.npz")
    with pytest.raises(ProjectionFileError, match="pooling"):
        Projection.load(path)


def test_sound_file_whose_steps_do_not_fit_its_models_is_refused(tmp_path: Path) -> None:
    original = affine(4, 3)
    longer = dataclasses.replace(original.info, target=Model("longer", 5))
    for name, steps in (("none.npz", ()), ("other.npz", original.steps)):
        path = archive.write(tmp_path / name, steps, longer)
        with pytest.raises(ProjectionFileError):
            Projection.load(path)


def test_sound_file_without_an_array_of_a_term_is_refused(tmp_path: Path) -> None:
    class Forgetful(TextLengths):
        kind = "linear"

    model = Model("same", 3)
    path = Projection((Sum(as_vectors([0, 0, 0]), (Forgetful((3, 3)),), False),), ProjectionInfo(model, model)).save(
        tmp_path / "p.npz"
    )
    with pytest.raises(ProjectionFileError, match="linear term has no matrix of numbers 'weights'"):
        Projection.load(path)


@pytest.mark.parametrize(
    ("part", "value"), [("info", None), ("steps", None), ("steps", 7), ("spaces", 7), ("spaces", ["source"])]
)
def test_sound_file_with_a_header_of_another_shape_is_refused(part: str, value: Any, tmp_path: Path) -> None:
    path = affine(3, 2).save(tmp_path / "p.npz")

    def change(header: dict[str, Any], arrays: dict[str, Any]) -> None:
        header.pop(part)
        header |= {} if value is None else {part: value}
        header["sha256"] = archive._checksum(header, arrays)

    rewrite(path, change)
    with pytest.raises(ProjectionFileError):
        Projection.load(path)


def test_sketch_of_another_dimension_is_refused(tmp_path: Path) -> None:
    path = affine(3, 2).save(tmp_path / "p.npz")

    def change(header: dict[str, Any], arrays: dict[str, Any]) -> None:
        arrays["space.source"], header["spaces"] = np.eye(4, dtype=np.float32), {"source": 2.0}
        header["sha256"] = archive._checksum(header, arrays)

    rewrite(path, change)
    with pytest.raises(ProjectionFileError, match="a sketch of"):
        Projection.load(path)
