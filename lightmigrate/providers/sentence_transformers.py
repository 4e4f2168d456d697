"""Models of the sentence-transformers library, on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightmigrate.errors import MissingExtraError, ProviderError, TextsRefusedError
from lightmigrate.files import file_sha256
from lightmigrate.providers.base import Provider
from lightmigrate.providers.refusals import reason_of

# Files that determine the vectors: weights, tokenizers and settings, without the model card.
_WEIGHTS = {".bin", ".json", ".model", ".safetensors", ".txt"}


class SentenceTransformersProvider(Provider):
    """A model named on the hub, or in a local folder; the revision of a folder is its checksum.

    A prompt that the model itself adds to every text is kept; give prefixes only for models without one.

    Args:
        name: a name such as `all-mpnet-base-v2`, or the path of a folder.
        device: `cuda`, `cpu`, ...; by default CUDA when torch can use it.
        revision: commit of the weights on the hub.
        prefix: put before every document.
        query_prefix: put before every query.
    """

    provider = "sentence-transformers"
    measures_calls = True
    in_process = True

    def __init__(
        self, name: str, *, device: str | None = None, revision: str = "", prefix: str = "", query_prefix: str = ""
    ) -> None:
        self.path = name
        self.device = device
        self._commit = revision or None
        self._encoder: Any = None
        folder = Path(name)
        if folder.is_dir():
            # A model retrained in the same folder must not get its old vectors from the cache.
            revision = file_sha256(*sorted(file for file in folder.rglob("*") if file.suffix in _WEIGHTS))[:16]
            name = folder.resolve().name
        super().__init__(name, revision=revision, prefix=prefix, query_prefix=query_prefix)

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        """Embed one batch, on `device`."""
        if self._encoder is None:
            self._encoder = self._load()
        try:
            return self._encoder.encode(
                list(texts), batch_size=self.batch_size, convert_to_numpy=True, show_progress_bar=False
            )
        except Exception as error:  # mostly out of memory, for which torch has many types  # noqa: BLE001
            raise TextsRefusedError(
                f"{self.name} failed with {type(error).__name__}; does it fit into memory? try device='cpu'",
                texts=texts,
                reason=reason_of(error, texts),
            ) from None

    def _load(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise MissingExtraError("sentence-transformers", "train") from None
        try:
            return SentenceTransformer(self.path, device=self.device, revision=self._commit)
        except Exception as error:  # the hub, torch and the file system raise many types  # noqa: BLE001
            raise ProviderError(
                f"cannot load {self.path} ({type(error).__name__}); give a name on the hub, or the path of its folder"
            ) from None
