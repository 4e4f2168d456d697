"""Any embedding function that Chroma knows, or that was written for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from lightmigrate.errors import MissingExtraError, ProviderError
from lightmigrate.providers.base import Provider


class ChromaProvider(Provider):
    """A Chroma embedding function. It holds its own prefixes and secrets; neither is looked at.

    Args:
        function: the embedding function itself, or what names a registered one: `default`, or a JSON object
            with `name` and `config` as Chroma records it.
    """

    provider: ClassVar[str] = "chroma"

    def __init__(self, function: Any) -> None:
        self.function = _registered(function) if isinstance(function, (str, Mapping)) else function
        try:
            name, config = str(self.function.name()), self.function.get_config()
            settings = json.dumps(config, sort_keys=True, default=str)
        except (AttributeError, NotImplementedError, TypeError, ValueError):
            name, settings, config = type(self.function).__name__, "", {}
        said = next((str(config[key]) for key in ("model_name", "model", "model_id") if config.get(key)), "")
        super().__init__(f"{name}:{said}" if said else name)
        self._settings = settings

    @property
    def key(self) -> str:
        """Its name and configuration, which never hold a key: Chroma records the variable a key is in."""
        return "/".join((super().key, self._settings))

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        """Embed one batch, queries with the function's own way for them where it has one."""
        function = getattr(self.function, "embed_query", self.function) if queries else self.function
        try:
            return list(function(list(texts)))
        except Exception as error:  # whatever the function's own library raises  # noqa: BLE001
            raise ProviderError(
                f"the embedding function {self.name} failed with {type(error).__name__}; try it by itself"
            ) from None


def _registered(function: str | Mapping[str, Any]) -> Any:
    try:
        from chromadb.utils import embedding_functions
    except ImportError:
        raise MissingExtraError("chromadb", "chroma") from None
    try:
        text = function if isinstance(function, str) else ""
        record = json.loads(text) if text.startswith("{") else function
        record = {"name": record, "config": {}} if isinstance(record, str) else dict(record)
        return embedding_functions.config_to_embedding_function(record)
    except Exception as error:  # a missing library, a missing key, an unknown name  # noqa: BLE001
        raise ProviderError(
            f"Chroma cannot build that embedding function ({type(error).__name__}); give its registered name, "
            'or {"name": ..., "config": ...} as Chroma records it'
        ) from None
