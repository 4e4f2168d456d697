"""`lightmigrate registry`: what it prints, where, how it exits, and what it leaves on the disk."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lightmigrate import Model, Registry
from lightmigrate.cli.app import main
from lightmigrate.registry import library
from tests.databases import folder_hash, make_projection
from tests.registry.folders import item, write_list

A, B, C = Model("model-a", 4), Model("model-b", 5), Model("model-c", 6)


class Run:
    """Runs a `registry` command in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: object) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        with pytest.raises(SystemExit) as ended:
            main(["registry", *map(str, words)])
        out, err = self.capsys.readouterr()
        return int(ended.value.code or 0), out, err

    def json(self, *words: object) -> tuple[int, Any]:
        """Exit code and the document on stdout."""
        code, out, _ = self(*words, "--json")
        return code, json.loads(out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    return Run(capsys)


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder; a packaged one of this test; nothing in the environment."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("LIGHTMIGRATE_REGISTRY", raising=False)
    packaged = tmp_path / "packaged"
    monkeypatch.setattr(library, "PACKAGED", packaged)
    Registry(packaged).add(make_projection(source=A, target=B), "shipped.npz")
    return tmp_path / "data" / "lightmigrate" / "projections"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return make_projection(source=B, target=C).save(tmp_path / "b_to_c.npz")


def test_add_show_list_remove(run: Run, own: Path, file: Path) -> None:
    code, out, _ = run("add", file)
    assert code == 0
    assert f"plan DATABASE --projection {own / 'b_to_c.npz'}" in out.replace("\n", "")
    assert (own / "b_to_c.npz").read_bytes() == file.read_bytes()

    code, out, _ = run("list")
    assert code == 0
    assert out.index("b_to_c") < out.index("shipped"), "the user's own before the packaged"
    assert "model-c  5 → 6" in out
    assert "next:  lightmigrate registry show b_to_c" in out
    _, listed = run.json("list")
    assert (listed[0]["folder"], listed[0]["file"]) == (str(own), "b_to_c.npz")

    for name in ("b_to_c", "b_to_c.npz", own / "b_to_c", own / "b_to_c.npz"):
        code, said = run.json("show", name)
        assert (code, said["source"]["name"], said["target"]["dimension"]) == (0, "model-b", 6)
    code, out, _ = run("show", "b_to_c")
    assert code == 0
    assert said["sha256"] in out

    code, _, err = run("remove", "b_to_c")
    assert (code, "add --yes" in err, (own / "b_to_c.npz").exists()) == (2, True, True)
    code, out, _ = run("remove", "b_to_c", "--yes")
    assert (code, (own / "b_to_c.npz").exists()) == (0, False)
    assert "removed" in out
    code, _, err = run("show", "b_to_c")
    assert (code, "no projection b_to_c" in err) == (1, True)


def test_packaged_ones_stay(run: Run, tmp_path: Path) -> None:
    before = folder_hash(tmp_path / "packaged")
    code, said = run.json("remove", "shipped", "--yes")
    assert (code, said["error"]) == (2, "RefusedError")
    assert folder_hash(tmp_path / "packaged") == before


def test_a_name_that_several_folders_have(
    run: Run, own: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("add", file)
    code, out, _ = run("add", file, "--to", tmp_path / "team")
    assert (code, "LIGHTMIGRATE_REGISTRY" in out) == (0, True)
    monkeypatch.setenv("LIGHTMIGRATE_REGISTRY", str(tmp_path / "team"))
    _, out, err = run("show", "b_to_c")
    assert str(tmp_path / "team") in out
    assert str(own / "b_to_c.npz") in err
    code, _, err = run("remove", "b_to_c", "--yes")
    assert (code, "give it with its folder" in err) == (1, True)
    assert run("remove", own / "b_to_c", "--yes")[0] == 0
    assert [(own / "b_to_c.npz").exists(), (tmp_path / "team" / "b_to_c.npz").exists()] == [False, True]


def test_another_projection_of_the_name_is_not_replaced_unasked(run: Run, own: Path, file: Path) -> None:
    run("add", file)
    before = folder_hash(own)
    assert run("add", file)[0] == 0, "the same file again"
    make_projection(5, source=B, target=C).save(file)
    code, said = run.json("add", file)
    assert (code, said["error"]) == (2, "RefusedError")
    assert folder_hash(own) == before
    assert run.json("add", file, "--yes")[0] == 0
    assert (own / "b_to_c.npz").read_bytes() == file.read_bytes()


def test_what_is_no_projection_is_not_added(run: Run, own: Path, tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("text")
    code, _, err = run("add", tmp_path / "text.npz")
    assert (code, "is not a lightmigrate projection" in err) == (1, True)
    assert not own.exists()


def test_a_graph_is_added_and_named_by_its_ending(run: Run, own: Path, file: Path) -> None:
    run("add", file)
    graph = make_projection(source=B, target=C).export_onnx(file.with_suffix(".onnx"))
    assert run("add", graph)[0] == 0
    assert run.json("show", "b_to_c.onnx")[1]["file"] == "b_to_c.onnx"
    code, _, err = run("remove", "b_to_c", "--yes")
    assert (code, "give it with its folder and its ending" in err) == (1, True)
    assert run("remove", own / "b_to_c.onnx", "--yes")[0] == 0
    assert [entry.file for entry in Registry(own).entries()] == ["b_to_c.npz"]


def test_verify_fails_when_something_is_wrong(
    run: Run, own: Path, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run("add", file)
    assert run.json("verify") == (0, {str(own): [], str(tmp_path / "packaged"): []})
    make_projection(3).save(own / "b_to_c.npz")
    code, out, _ = run("verify")
    assert code == 1
    assert "altered: " in out
    assert "is not the file that was listed" in out
    code, said = run.json("verify")
    assert (code, said[str(tmp_path / "packaged")]) == (1, [])
    assert [(one["file"], one["kind"]) for one in said[str(own)]] == [("b_to_c.npz", "altered")]
    (own / "registry.json").write_text("{")
    code, said = run.json("verify")
    assert code == 1
    assert "is damaged" in said[str(own)][0]["message"]
    assert run("list")[0] == 0
    assert "is damaged" in caplog.text


@pytest.mark.parametrize(
    ("old", "new", "kinds"),
    [
        ("model-a", "model-b", ["pair"]),
        ("providers/MODEL-A", "5", ["dimension"]),
        ("4", "model-b", ["target"]),
        ("4", "5", ["dimension"]),
        ("model-a", "model-c", ["chain"]),
        ("4", "model-c", ["chain"]),
        ("model-b", "model-a", []),
        ("99", "model-b", []),
    ],
)
def test_find(old: str, new: str, kinds: list[str], run: Run, file: Path) -> None:
    run("add", file)
    code, said = run.json("find", "--from", old, "--to", new)
    assert (code, [one["by"] for one in said]) == (0, kinds)
    code, out, err = run("find", "--from", old, "--to", new)
    assert code == 0
    assert "next:  lightmigrate" in out
    assert ("dimensions only" in err) == (kinds == ["dimension"])
    assert ("not measured" in out) == bool(kinds)
    assert ("model-a → model-b → model-c" in out) == (kinds == ["chain"])


def test_a_model_nobody_knows_needs_its_dimension(run: Run) -> None:
    code, said = run.json("find", "--from", "unheard-of", "--to", "model-b")
    assert (code, "give its dimension" in said["message"]) == (1, True)


def test_a_list_cannot_speak_to_the_terminal(run: Run, own: Path) -> None:
    own.parent.mkdir(parents=True)
    loud = Model("[bold]x[/nonsense]", 4)
    one = item("loud.npz", loud, B)
    one["training"] = {"\x1b[2J": {"\x1b[3J": ["\x1b[1J", "[/nonsense]", "\ud800"]}}
    one["quality"] = {"verdict": "[/x]\x1b", "expected_retention": {"value": 0.5, "low": 0.1, "high": 0.9}}
    broken = item("other.npz", loud, C) | {"quality": {"retention": {"value": "high"}, "nothing_retention": 3}}
    write_list(own, [one, broken])
    for words in (["list"], ["show", "loud"], ["show", "other"], ["find", "--from", "4", "--to", "model-b"]):
        code, out, err = run(*words)
        assert (code, "\x1b" in out + err, "\x07" in out + err) == (0, False, False)
    assert "[bold]x[/nonsense]" in run("show", "loud")[1]
    assert run.json("show", "loud")[1]["training"] == one["training"]
    (own / ".\x1b[2J.next.npz.0123abcd").touch()
    one["source"]["name"] = "\x1b]0;owned\x07"
    (own / "registry.json").write_text(json.dumps({"format": 1, "projections": [one]}))
    for words in (["list"], ["verify"]):
        _, out, err = run(*words)
        assert ("\x1b" in out + err, "\x07" in out + err) == (False, False)
    (own / "registry.json").unlink()
    _, out, _ = run("verify")
    assert ("leftover: " in out, "\x1b" in out) == (True, False)


def test_the_list_names_the_models_only_where_the_name_of_a_projection_does_not(run: Run, own: Path) -> None:
    Registry(own).add(make_projection(source=B, target=C), f"{B.name}_to_{C.name}.npz")
    code, out, _ = run("list")
    assert code == 0
    heads = [line.split() for line in out.splitlines() if line.startswith("projection")]
    assert heads == [
        ["projection", "dimension", "stated", "quality"],
        ["projection", "from", "to", "dimension", "stated", "quality"],
    ]
