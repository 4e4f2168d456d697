"""What is published works alone: the wheel, in an environment with nothing else, does what the README says."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from lightmigrate.version import __version__

ROOT = Path(__file__).parents[1]

SMOKE = """
import sys, numpy, lightmigrate
from lightmigrate import ChromaMigrator, Model, Projection, fit
rng = numpy.random.default_rng(0)
old = rng.normal(size=(50, 4)); new = old @ rng.normal(size=(4, 6))
path = fit(old, new, method="ridge").save(sys.argv[1] + "/p.npz")
assert numpy.abs(Projection.load(path).apply(old) - new).max() < 1e-2
try:
    from lightmigrate_train import fit_mlp
except lightmigrate.errors.MissingExtraError as error:
    assert "pip install 'lightmigrate[train]'" in str(error), error
else:
    raise SystemExit("torch is not here, so this should have failed")
try:
    Projection.load(path).export_onnx(sys.argv[1] + "/p.onnx")
except lightmigrate.errors.MissingExtraError as error:
    assert "pip install 'lightmigrate[onnx]'" in str(error), error
else:
    raise SystemExit("onnx is not here, so this should have failed")
"""


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)  # the wheel is built from the sdist
    return folder


def test_wheel_and_sdist_hold_what_they_should(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "lightmigrate/py.typed",
        "lightmigrate/cli/app.py",
        "lightmigrate/demo/data/scifact.npz",
        "lightmigrate/demo/data/LICENSE.md",
        "lightmigrate/training/corpus/LICENSE.md",
        "lightmigrate/training/corpus/wordnet.txt.gz",
        "lightmigrate/registry/packaged/LICENSE.md",
        "lightmigrate/registry/packaged/registry.json",
        "lightmigrate/registry/packaged/all-MiniLM-L6-v2_to_all-mpnet-base-v2.npz",
        "lightmigrate/web/static/htmx-LICENSE.txt",
        "lightmigrate/web/static/page.css",
        "lightmigrate/web/templates/base.html",
        "lightmigrate_train/__init__.py",
    ):
        assert wanted in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"lightmigrate", "lightmigrate_train"}
    assert wheel.stat().st_size < 15_000_000
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    assert {"lightmigrate", "train", "tests", "benchmarks", "pyproject.toml", "README.md", "LICENSE"} <= inside


def test_the_metadata_say_what_an_index_shows(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_string(archive.read(name).decode())
    assert metadata["Name"] == "lightmigrate"
    assert metadata["Version"] == __version__
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
    extras = set(metadata.get_all("Provides-Extra", []))
    assert {"chroma", "pgvector", "train", "web"} <= extras


def test_the_wheel_alone_in_an_empty_environment(built: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    run(python, "-m", "pip", "install", "--quiet", wheel)
    run(python, "-I", "-c", SMOKE, tmp_path)
    command = tmp_path / "empty" / "bin" / "lightmigrate"
    assert run(command, "--version").stdout.strip()
    assert "ridge" in run(command, "inspect", tmp_path / "p.npz").stdout
    done = subprocess.run([command, "demo", "--folder", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("chromadb is not installed: run  pip install 'lightmigrate[chroma]'")
