"""Any embedding function that Chroma knows, or that was written for it."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from lightmigrate.errors import MissingExtraError, ProviderError
from lightmigrate.providers.base import Bill, Provider
from lightmigrate.providers.openai import PRICES

# Chroma's own functions record the variable a key is in; those written by others may record the key.
_SECRET = re.compile(r"(key|token|secret|password|credential|header)s?$", re.IGNORECASE)


# A function that is configured with a key, or with where to find one, calls somebody who wants to be paid.
_PAID = re.compile(r"api_?key|token_env|credential", re.IGNORECASE)

# What Chroma calls the model it takes when none is named, and where other functions say which model they are.
_DEFAULT_FUNCTIONS, _DEFAULT_MODEL = ("default", "onnx_mini_lm_l6_v2"), "all-MiniLM-L6-v2"
_MODEL_KEYS = ("model_name", "model", "model_id")


class ChromaProvider(Provider):
    """A Chroma embedding function. It holds its own prefixes and secrets; neither is looked at.

    Args:
        function: the embedding function itself, or what names a registered one: `default`, or a JSON object
            with `name` and `config` as Chroma records it.

    Raises:
        ProviderError: Chroma knows no function of that name, or cannot build it.
    """

    provider = "chroma"

    def __init__(self, function: Any) -> None:
        self.function = _registered(function) if isinstance(function, (str, Mapping)) else function
        name, config = said_identity(self.function)
        super().__init__(model_name(name, config))
        self._wants_key = any(_PAID.search(str(key)) for key in config or {})
        self._settings = _digest({"name": name, "config": config}) if config is not None else secrets.token_hex(8)

    def priced(self, tokens: int) -> Bill:
        """What so many tokens cost: nothing where no key is wanted; else only OpenAI's own prices are known."""
        if not self._wants_key:
            return Bill(tokens, 0.0)
        price = PRICES.get(self.name)
        return Bill(tokens, None if price is None else tokens * price / 1_000_000)

    @property
    def key(self) -> str:
        """Its name and a checksum of its configuration.

        Nobody can tell apart two functions that do not say what they are: what is cached for one of those is
        found by this object only.
        """
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


def model_name(function: str, config: Mapping[str, Any] | None) -> str:
    """What the model of an embedding function is called: by its makers where that is known, else like the function."""
    if function in _DEFAULT_FUNCTIONS:
        return _DEFAULT_MODEL
    return next((str(config[key]) for key in _MODEL_KEYS if config and config.get(key)), function)


def said_identity(function: Any) -> tuple[str, dict[str, Any] | None]:
    """What a function calls itself, and its configuration without secrets; `None` when it does not say. Calls no model.

    Args:
        function: an embedding function, or `name` and `config` as Chroma records them.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # functions written before Chroma asked for names warn
            recorded = isinstance(function, Mapping)
            name, config = (
                (function["name"], function["config"]) if recorded else (function.name(), function.get_config())
            )
    except Exception:  # it is somebody else's code, and all it was asked is its name  # noqa: BLE001
        name = config = None
    if isinstance(name, str) and isinstance(config, Mapping):
        return name, {str(key): value for key, value in config.items() if not _SECRET.search(str(key))}
    return getattr(function, "__name__", type(function).__name__), None


def _digest(config: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _registered(function: str | Mapping[str, Any]) -> Any:
    try:
        from chromadb.utils import embedding_functions
    except ImportError:
        raise MissingExtraError("chromadb", "chroma") from None
    try:
        record = json.loads(function) if isinstance(function, str) and function.startswith("{") else function
    except ValueError:
        raise ProviderError('that is not JSON; give {"name": ..., "config": ...} as Chroma records it') from None
    record = {"name": record, "config": {}} if isinstance(record, str) else dict(record)
    known = embedding_functions.known_embedding_functions
    if record.get("name") not in known:
        raise ProviderError(f"Chroma knows no such embedding function; it knows: {', '.join(sorted(known))}")
    try:
        return embedding_functions.config_to_embedding_function(record)
    except Exception as error:  # a missing library, a missing key, a wrong option  # noqa: BLE001
        raise ProviderError(
            f"Chroma cannot build {record['name']} ({type(error).__name__}): is its library installed, its key set, "
            "its config complete?"
        ) from None
