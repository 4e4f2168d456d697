"""Models of the sentence-transformers library, on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from lightmigrate.errors import MissingExtraError, ProviderError
from lightmigrate.providers.base import Provider


class SentenceTransformersProvider(Provider):
    """A model by its name on the hub, or in a local folder.

    Args:
        name: such as `all-mpnet-base-v2`, or the path of a folder.
        device: `cuda`, `cpu`, ...; by default CUDA where torch finds it.
        revision: commit of the weights on the hub.
        prefix: put before every document.
        query_prefix: put before every query.
    """

    provider: ClassVar[str] = "sentence-transformers"

    def __init__(
        self, name: str, *, device: str | None = None, revision: str = "", prefix: str = "", query_prefix: str = ""
    ) -> None:
        super().__init__(name, revision=revision, prefix=prefix, query_prefix=query_prefix)
        self.device = device
        self._encoder: Any = None

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        """Embed one batch, on the GPU when there is one."""
        if self._encoder is None:
            self._encoder = self._load()
        return self._encoder.encode(
            list(texts), batch_size=self.batch_size, convert_to_numpy=True, show_progress_bar=False
        )

    def _load(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise MissingExtraError("sentence-transformers", "train") from None
        try:
            return SentenceTransformer(self.name, device=self.device, revision=self.revision or None)
        except Exception as error:  # the hub, torch and the file system raise dozens of types  # noqa: BLE001
            raise ProviderError(
                f"cannot load {self.name} ({type(error).__name__}); give a name on the hub, or the path of its folder"
            ) from None
