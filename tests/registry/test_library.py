"""What is found for a pair of models, in which order, and what a chain is."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightmigrate import Library, Model, Projection
from lightmigrate.errors import LightmigrateError
from lightmigrate.registry.library import PACKAGED, Candidate, user_projections
from lightmigrate.registry.registry import Registry
from tests.registry.folders import HELD_OUT, MINILM, POTION, SHORT, VECTORS, fitted, item, write_list

A, B, C, D = Model("a", 4), Model("b", 5), Model("c", 6), Model("d", 7)


def files(found: list[Candidate]) -> list[str]:
    return ["+".join(entry.file.removesuffix(".npz") for entry in one.entries) for one in found]


def test_both_models_by_name_come_first_and_the_better_of_them(tmp_path: Path) -> None:
    other = Model("not a", 4)
    items = [
        item("other.npz", other, B, 0.99),
        item("worse.npz", A, B, 0.5),
        item("unknown.npz", A, B),
        item("better.npz", A, B, 0.7),
        item("elsewhere.npz", A, Model("not b", 5), 0.9),
        item("longer.npz", Model("a", 9), B, 0.9),
        item("back.npz", B, A, 0.9),
    ]
    library = Library([write_list(tmp_path, items)])
    found = library.find(source_dim=4, target_dim=5, source="a", target="b")
    assert files(found) == ["better", "worse", "unknown", "other", "elsewhere"]
    assert [one.by for one in found] == ["pair"] * 3 + ["dimension"] * 2
    assert found == library.find(source_dim=4, target_dim=5, source="Makers/A ", target="models/B")
    unnamed = library.find(source_dim=4, target_dim=None, target="b")
    assert files(unnamed) == ["other", "better", "worse", "unknown"]
    assert {one.by for one in unnamed} == {"target"}


def test_dimensions_alone_are_a_last_resort(tmp_path: Path) -> None:
    library = Library([write_list(tmp_path, [item("a.npz", A, B), item("b.npz", B, C)])])
    found = library.find(source_dim=4, target_dim=5, source="x", target="y")
    assert [(one.by, *files([one])) for one in found] == [("dimension", "a")]
    assert library.find(source_dim=4, target_dim=None, source="x", target="y") == []
    assert library.find(source_dim=9, target_dim=5) == []
    assert library.find(source_dim=4, target_dim=None)[0].by == "dimension"
    assert files(library.find(source_dim=4, target_dim=5, target="b")) == ["a"]


@pytest.mark.parametrize("name", ["unnamed", "", " "])
def test_models_nobody_named_match_nobody(name: str, tmp_path: Path) -> None:
    nobody = Model(name, 5)
    library = Library([write_list(tmp_path, [item("a.npz", A, nobody), item("b.npz", nobody, C)])])
    assert [one.by for one in library.find(source_dim=4, target_dim=5, source="a", target=name)] == ["dimension"]
    assert library.find(source_dim=4, target_dim=6, source="a", target="c") == []


def test_chains_are_found_short_ones_first_and_round_trips_never(tmp_path: Path) -> None:
    items = [
        item("ab.npz", A, B, 0.5), item("ba.npz", B, A), item("bc.npz", B, C, 0.05), item("cb.npz", C, B),
        item("cd.npz", C, D, 0.1), item("bd.npz", B, D, 0.2), item("aa.npz", A, A), item("bb.npz", B, B),
        item("ac.npz", A, C, 0.9),
    ]  # fmt: skip
    library = Library([write_list(tmp_path, items)])
    found = library.find(source_dim=4, target_dim=7, source="a", target="d")
    assert files(found) == ["ab+bd", "ac+cd", "ab+bc+cd", "ac+cb+bd"]
    assert {one.by for one in found} == {"chain"}
    assert found[0].description == "a → b → d"
    assert found[0].stated_quality is None, "the quality of a chain is not that of its links"
    assert files(library.find(source_dim=4, target_dim=None, target="d")) == files(found)
    assert library.find(source_dim=4, target_dim=4, source="a", target="a")[0].by == "pair"
    assert all(len(one.entries) == 1 for one in library.find(source_dim=4, target_dim=4, source="a", target="a"))


@pytest.mark.parametrize(
    "other", [Model("b", 5, revision="2"), Model("b", 5, prefix="p: "), Model("b", 5, normalised=False), Model("B", 5)]
)
def test_joints_are_the_very_same_model(other: Model, tmp_path: Path) -> None:
    library = Library([write_list(tmp_path, [item("ab.npz", A, B), item("bc.npz", other, C)])])
    assert library.find(source_dim=4, target_dim=6, source="a", target="c") == []


def test_many_projections_give_few_candidates(tmp_path: Path) -> None:
    middles = [Model(f"m{n}", 5) for n in range(40)]
    items = [item(f"in-{model.name}.npz", A, model) for model in middles]
    items += [item(f"out-{model.name}.npz", model, C) for model in middles]
    items += [item(f"x-{one.name}-{two.name}.npz", one, two) for one in middles for two in middles if one != two]
    found = Library([write_list(tmp_path, items)]).find(source_dim=4, target_dim=6, source="a", target="c")
    assert (len(found), {len(one.entries) for one in found}) == (20, {2})


def test_a_chain_is_one_after_the_other_and_its_quality_is_unknown(tmp_path: Path) -> None:
    first, second = fitted(POTION, MINILM).with_facts(quality={"retention": {"value": 0.9}}), fitted(MINILM, SHORT)
    Registry(tmp_path / "one").add(first, "first.npz")
    Registry(tmp_path / "two").add(second, "second.npz")
    library = Library([tmp_path / "one", tmp_path / "two"])
    [found] = library.find(source_dim=256, target_dim=128, source=POTION.name, target=SHORT.name)
    assert found.folders == (tmp_path / "one", tmp_path / "two")
    chain = found.load()
    vectors = VECTORS[POTION][HELD_OUT : HELD_OUT + 50]
    np.testing.assert_allclose(chain.apply(vectors), second.apply(first.apply(vectors)), atol=1e-5)
    assert chain.info.quality == {}
    assert [link["target"]["name"] for link in chain.info.training["chain"]] == [MINILM.name, SHORT.name]
    again = Projection.load(chain.save(tmp_path / "chain.npz"))
    assert (again.info.source, again.info.target, again.info.quality) == (POTION, SHORT, {})
    second.with_facts(training={"x": 1}).save(tmp_path / "two" / "second.npz")
    with pytest.raises(LightmigrateError, match="not the file that was listed"):
        found.load()


def test_finding_opens_no_projection_and_leaves_out_what_is_not_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_list(tmp_path / "list", [item("a.npz", A, B), item("b.npz", A, B), item("c.npz", A, B)])
    (folder / "a.npz").unlink()
    (folder / "b.npz").unlink()
    outside = tmp_path / "outside.npz"
    outside.touch()
    (folder / "b.npz").symlink_to(outside)
    found = Library([folder]).find(source_dim=4, target_dim=5, source="a", target="b")
    assert files(found) == ["c"]
    assert "a.npz is listed and missing" in caplog.text
    assert "b.npz is a link or not a regular file" in caplog.text
    with pytest.raises(LightmigrateError):
        found[0].load()


def test_a_projection_in_several_folders_counts_once_where_it_really_is(tmp_path: Path) -> None:
    folders = [write_list(tmp_path / name, [item("a.npz", A, B)]) for name in "xyz"]
    library = Library([*folders, folders[0], tmp_path / "y" / ".." / "x"])
    assert library.folders == tuple(folders)
    assert len(library.entries()) == 3
    [found] = library.find(source_dim=4, target_dim=5, source="a", target="b")
    assert found.folders == (folders[0],)
    (folders[0] / "a.npz").unlink()
    [found] = library.find(source_dim=4, target_dim=5, source="a", target="b")
    assert found.folders == (folders[1],)


def test_a_damaged_folder_is_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = write_list(tmp_path / "good", [item("a.npz", A, B)])
    bad = write_list(tmp_path / "bad", [])
    (bad / "registry.json").write_text("{")
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING, "lightmigrate"):
        found = Library([bad, tmp_path / "missing", tmp_path / "file", good]).entries()
    assert [entry.file for _, entry in found] == ["a.npz"]
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == 2
    assert "bad" in warned[0]
    assert "file" in warned[1]


def test_where_it_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LIGHTMIGRATE_REGISTRY", os.pathsep.join([str(tmp_path / "b"), "", str(tmp_path / "a")]))
    own = tmp_path / "data" / "lightmigrate" / "projections"
    assert user_projections() == own
    assert Library().folders == (tmp_path / "b", tmp_path / "a", own, PACKAGED)
    monkeypatch.delenv("LIGHTMIGRATE_REGISTRY")
    assert Library().folders == (own, PACKAGED)
    assert Library([]).folders == ()

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert Library().folders == (PACKAGED,)


@pytest.mark.parametrize("stated", [None, "0.9", True, {}, {"value": "x"}, {"value": 1e999}, {"value": 10**400}, []])
def test_nonsense_for_a_quality_counts_as_none(stated: Any, tmp_path: Path) -> None:
    odd = item("odd.npz", A, B)
    odd["quality"] = {"retention": stated}
    library = Library([write_list(tmp_path, [odd, item("low.npz", A, B, 0.01)])])
    assert files(library.find(source_dim=4, target_dim=5, source="a", target="b")) == ["low", "odd"]


MODELS = st.builds(
    Model, st.sampled_from(["a", "b", "c", "unnamed"]), st.sampled_from([4, 5]), revision=st.sampled_from(["", "1"])
)
LINES = st.lists(st.tuples(MODELS, MODELS, st.none() | st.floats(0, 1)), max_size=9)


@settings(deadline=None, max_examples=80)
@given(
    lines=LINES, source=st.sampled_from(["", "a"]), target=st.sampled_from(["", "b"]), size=st.sampled_from([None, 5])
)
def test_the_order_holds_for_any_library(
    lines: list[tuple[Model, Model, float | None]], source: str, target: str, size: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_list(Path(folder), [item(f"{row}.npz", *line) for row, line in enumerate(lines)])
        found = Library([Path(folder)]).find(source_dim=4, target_dim=size, source=source, target=target)
    kinds = ("pair", "target", "chain", "dimension")
    assert [kinds.index(one.by) for one in found] == sorted(kinds.index(one.by) for one in found)
    single = [one.entries[0].file for one in found if len(one.entries) == 1]
    fits = [f"{row}.npz" for row, (old, new, _) in enumerate(lines) if old.dimension == 4 and new.dimension == size]
    assert len(single) == len(set(single))
    if size is not None:
        assert set(single) == set(fits)
    for one in found:
        ends = one.entries[0].source, one.entries[-1].target
        assert ends[0]["dimension"] == 4
        assert size is None or ends[1]["dimension"] == size
        if one.by != "dimension":
            assert ends[1]["name"] == target
            assert source in ("", ends[0]["name"])
        models = [one.entries[0].source, *(entry.target for entry in one.entries)]
        if one.by == "chain":
            assert 2 <= len(one.entries) <= 3
            assert len({json.dumps(model, sort_keys=True) for model in models}) == len(models)
            assert [e.target for e in one.entries[:-1]] == [e.source for e in one.entries[1:]]
    for kind in ("pair", "target"):
        stated = [-1 if one.stated_quality is None else one.stated_quality for one in found if one.by == kind]
        assert stated == sorted(stated, reverse=True)
