"""Every test has its own cache and registry, and an environment without settings."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.encoders import MiniLMFunction
from tests.startup.starts import MINILM, WORDLLAMA, database_of, registry


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LIGHTMIGRATE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIGHTMIGRATE_REFINE", "off")  # the second step has tests of its own
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("LIGHTMIGRATE_REGISTRY", str(tmp_path / "registry"))


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    registry(folder / "registry", (MINILM, WORDLLAMA))
    return database_of(MINILM, folder / "home" / "chroma_data", function=MiniLMFunction()).parents[1]


@pytest.fixture
def database(_template: Path, tmp_path: Path) -> Path:
    """Vectors of MiniLM, which it records, and a projection to wordllama in the registry."""
    shutil.copytree(_template, tmp_path, dirs_exist_ok=True)
    return tmp_path / "home" / "chroma_data"
