"""An encoder in an ONNX file with its tokenizer: no torch, no network."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from lightmigrate.errors import MissingExtraError, ProviderError
from lightmigrate.projection.vectors import as_vectors, normalise_rows
from lightmigrate.providers.base import Provider

Pooling = Literal["mean", "cls"]


class OnnxProvider(Provider):
    """A transformer as sentence-transformers or optimum export it; its revision is its checksum.

    Args:
        name: the `.onnx` file, or the folder that holds `model.onnx`.
        tokenizer: its `tokenizer.json`; by default the one beside it.
        pooling: what makes one vector of those of the tokens, where the model does not do it itself.
        normalise: whether vectors are scaled to length 1.
        max_tokens: longer texts are cut, as the model was trained.
        prefix: put before every document.
        query_prefix: put before every query.
    """

    provider: ClassVar[str] = "onnx"

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
        self.path = given / "model.onnx" if given.is_dir() else given
        self.tokenizer = Path(tokenizer) if tokenizer is not None else self.path.parent / "tokenizer.json"
        for file, what in ((self.path, "model"), (self.tokenizer, "tokenizer")):
            if not file.is_file():
                raise ProviderError(f"no {what} at {file}; give the .onnx file, and its tokenizer.json beside it")
        self.pooling, self.normalise, self.max_tokens = pooling, normalise, max_tokens
        short = self.path.parent.name if self.path.name == "model.onnx" else self.path.stem
        super().__init__(short, revision=self._checksum(), prefix=prefix, query_prefix=query_prefix)
        self._loaded: tuple[Any, Any] | None = None

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        """Embed one batch, padded to its longest text."""
        if self._loaded is None:
            self._loaded = self._load()
        session, tokenizer = self._loaded
        encodings = tokenizer.encode_batch(list(texts))
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64)
        known = {
            "input_ids": np.array([encoding.ids for encoding in encodings], dtype=np.int64),
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(mask),
        }
        output = session.run(None, {wanted.name: known[wanted.name] for wanted in session.get_inputs()})[0]
        if output.ndim == 3 and self.pooling == "cls":
            output = output[:, 0]
        elif output.ndim == 3:
            output = np.sum(output * mask[:, :, None], axis=1) / np.sum(mask, axis=1, keepdims=True)
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
            session = onnxruntime.InferenceSession(self.path, providers=onnxruntime.get_available_providers())
        except Exception as error:  # both raise a dozen unrelated types for a bad file  # noqa: BLE001
            raise ProviderError(f"cannot load {self.path.name} ({type(error).__name__}); export it again") from None
        unknown = {wanted.name for wanted in session.get_inputs()} - {"input_ids", "attention_mask", "token_type_ids"}
        if unknown:
            raise ProviderError(f"{self.path.name} wants {', '.join(sorted(unknown))}; only text encoders can be used")
        return session, tokenizer

    def _checksum(self) -> str:
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        settings = f"{self.pooling}/{self.normalise}/{self.max_tokens}"
        digest.update(self.tokenizer.read_bytes() + settings.encode())
        return digest.hexdigest()[:16]
