"""An encoder in an ONNX file with its tokenizer: no torch, no network."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lightmigrate.errors import MissingExtraError, ProviderError, TextsRefusedError
from lightmigrate.files import file_sha256
from lightmigrate.providers.base import Provider
from lightmigrate.providers.refusals import reason_of
from lightmigrate.vectors import as_vectors, normalise_rows

Pooling = Literal["mean", "cls"]

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_POOLED = "sentence_embedding"  # exporters' name of the output with one vector for each text
_ENGINES = ("CUDAExecutionProvider", "CPUExecutionProvider")


class OnnxProvider(Provider):
    """A transformer exported by sentence-transformers or optimum; its revision is its checksum.

    Args:
        name: the `.onnx` file, or the folder that holds `model.onnx` or `onnx/model.onnx`.
        tokenizer: the `tokenizer.json`; by default the one beside the model or one folder up.
        pooling: how token vectors become one vector, for a model that returns token vectors.
        normalise: whether vectors are scaled to length 1.
        max_tokens: longer texts are truncated; models have a limit, often 256 or 512.
        prefix: put before every document.
        query_prefix: put before every query.

    Raises:
        ProviderError: the model or the tokenizer is missing, or the pooling is unknown.
    """

    provider = "onnx"
    measures_calls = True
    in_process = True

    def __init__(
        self,
        name: str,
        *,
        tokenizer: str | Path | None = None,
        pooling: Pooling = "mean",
        normalise: bool = True,
        max_tokens: int = 256,
        prefix: str = "",
        query_prefix: str = "",
    ) -> None:
        given = Path(name)
        self.path = _first(given / "model.onnx", given / "onnx" / "model.onnx") if given.is_dir() else given
        beside = (folder / "tokenizer.json" for folder in (self.path.parent, self.path.parent.parent))
        self.tokenizer = Path(tokenizer) if tokenizer is not None else _first(*beside)
        for file, what in ((self.path, "model"), (self.tokenizer, "tokenizer")):
            if not file.is_file():
                raise ProviderError(f"no {what} at {file}; give the .onnx file, and its tokenizer.json beside it")
        if pooling not in ("mean", "cls"):
            raise ProviderError(f"no pooling {pooling!r}; there are: mean, cls")
        self.pooling, self.normalise, self.max_tokens = pooling, normalise, max_tokens
        folder = given if given.is_dir() else self.path.parent
        short = folder.resolve().name if self.path.name == "model.onnx" else self.path.stem
        # The weights of a large model lie beside the graph, in model.onnx_data or model.onnx.data.
        weights = sorted(self.path.parent.glob(glob.escape(self.path.name) + "[._]data*"))
        revision = file_sha256(self.path, *weights, self.tokenizer, settings=f"{pooling}/{normalise}/{max_tokens}")[:16]
        super().__init__(short, revision=revision, prefix=prefix, query_prefix=query_prefix)
        self._loaded: tuple[Any, Any] | None = None

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        """Embed one batch, padded to its longest text."""
        if self._loaded is None:
            self._loaded = self._load()
        session, tokenizer = self._loaded
        encodings = tokenizer.encode_batch(list(texts))
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64)
        ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)
        known = dict(zip(_INPUTS, (ids, mask, np.zeros_like(mask)), strict=True))
        outputs = [output.name for output in session.get_outputs()]
        wanted = _POOLED if _POOLED in outputs else outputs[0]
        try:
            (output,) = session.run([wanted], {node.name: known[node.name] for node in session.get_inputs()})
        except Exception as error:  # the runtime's exception types are not public  # noqa: BLE001
            raise TextsRefusedError(
                f"{self.path.name} failed with {type(error).__name__} on {len(texts)} texts of up to {mask.shape[1]} "
                "tokens; does the model take that many? lower max_tokens",
                texts=texts,
                reason=reason_of(error, texts),
            ) from None
        if output.ndim == 3 and self.pooling == "cls":
            output = output[:, 0]
        elif output.ndim == 3:
            output = np.sum(output * mask[:, :, None], axis=1) / np.maximum(np.sum(mask, axis=1, keepdims=True), 1)
        vectors = as_vectors(output)
        if self.normalise:
            normalise_rows(vectors)
        return vectors

    def _load(self) -> tuple[Any, Any]:
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtraError(error.name or "onnxruntime", "onnx") from None
        try:
            tokenizer = Tokenizer.from_file(str(self.tokenizer))
            tokenizer.enable_truncation(self.max_tokens)
            tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]") or tokenizer.token_to_id("<pad>") or 0)
            available = onnxruntime.get_available_providers()
            engines = [engine for engine in _ENGINES if engine in available]
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = _threads()
            session = onnxruntime.InferenceSession(self.path, options, providers=engines)
        except Exception as error:  # both libraries raise many unrelated types for a bad file  # noqa: BLE001
            raise ProviderError(f"cannot load {self.path.name} ({type(error).__name__}); export it again") from None
        unknown = {node.name for node in session.get_inputs()} - set(_INPUTS)
        if unknown:
            raise ProviderError(f"{self.path.name} wants {', '.join(sorted(unknown))}; only text encoders can be used")
        return session, tokenizer


def _threads() -> int:
    """How many threads a session may use, as `OMP_NUM_THREADS` has it for other libraries; 0 for one a core.

    They wait for each other without letting go of their processors, which costs a third where others want them, too.
    """
    stated = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(stated) if stated.isdecimal() else 0


def _first(*files: Path) -> Path:
    """The first file that exists, or the first of all when none does."""
    return next((file for file in files if file.is_file()), files[0])
