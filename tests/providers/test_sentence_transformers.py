"""Models of sentence-transformers, without it and without torch; `train/tests` has the same with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightmigrate.errors import LightmigrateError
from lightmigrate.providers.sentence_transformers import SentenceTransformersProvider


def test_it_is_made_before_anything_is_loaded_and_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    provider = SentenceTransformersProvider(str(tmp_path), device="cpu", prefix="passage: ")
    assert (provider.name, provider.in_process) == (tmp_path.name, True)
    with pytest.raises(LightmigrateError, match=r"pip install|cannot load"):
        provider.embed(["a text"])
