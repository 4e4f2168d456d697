"""Embedding functions: those that Chroma registers, by name, and the objects that applications embed with."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from lightmigrate.errors import BusyError, MissingExtraError, ProviderError, TextsRefusedError
from lightmigrate.providers.base import FEWEST_OF_CALL, Bill, Provider
from lightmigrate.providers.functions import (
    documents_embedder,
    queries_embedder,
    require_embedder,
    stated_model,
)
from lightmigrate.providers.openai import MOST_CHARACTERS_OF_CALL, MOST_TEXTS_OF_CALL
from lightmigrate.providers.parallel import CALLS_AT_ONCE, ParallelCalls
from lightmigrate.providers.prices import PRICES, dollars_for, price_of
from lightmigrate.providers.refusals import is_about_texts, is_busy, reason_of, seconds_to_wait
from lightmigrate.providers.settings import is_secret, is_set, public_settings, settings_of, wants_key
from lightmigrate.providers.whereabouts import whereabouts

# The name of a variable of the environment; what else stands in its place may be the key itself.
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")

# Names of Chroma's default function, its model, and the configuration keys in which other functions name theirs.
DEFAULT_FUNCTIONS, _DEFAULT_MODEL = ("default", "onnx_mini_lm_l6_v2"), "all-MiniLM-L6-v2"
_MODEL_KEYS = ("model_name", "model", "model_id")


class ChromaProvider(Provider):
    """An embedding function as applications have it. It holds its own prefixes and secrets, which are not read.

    Args:
        function: the embedding function: a Chroma function, an object of LangChain, LlamaIndex or
            sentence-transformers, or any callable (see `functions`); or the name of a function that Chroma registers
            such as `default`, or its `name` and `config` as Chroma records them: a mapping or a JSON object.
        limited: whether what it may cost is limited. Then one of which nothing shows where its model runs has an
            unknown price; without a limit it costs nothing.

    Attributes:
        found_again: whether what a later object of the same function has cached is found under the same `key`.

    Raises:
        LightmigrateError: the object cannot embed texts.
        ProviderError: Chroma has no function of that name, or cannot build it.
    """

    provider = "chroma"

    def __init__(self, function: Any, *, limited: bool = False) -> None:
        self.function = _registered(function) if isinstance(function, (str, Mapping)) else function
        require_embedder(self.function)
        name, config = said_identity(self.function)
        super().__init__(model_name(name, config))
        self._where = whereabouts(self.function, config or {})
        self._price = self._stated_price(limited=limited)
        if wants_key({**(config or {}), **settings_of(self.function)}):  # a server answers, not this process
            self.parallel = ParallelCalls(CALLS_AT_ONCE)
        self.measures_calls = self._where.place != "elsewhere"
        self.in_process = self._where.place == "here"
        if not self.measures_calls:
            self.batch_size = FEWEST_OF_CALL
        if self.name in PRICES:
            self.batch_size, self.batch_characters = MOST_TEXTS_OF_CALL, MOST_CHARACTERS_OF_CALL
        identity = {"name": name, "config": config} if config is not None else self._stated_identity()
        self._settings = secrets.token_hex(8) if identity is None else _digest(identity)
        self.found_again = identity is not None

    def priced(self, tokens: int) -> Bill:
        """The cost of `tokens`: nothing for a model in this process, or of a server on this machine.

        Otherwise only OpenAI's prices are known.
        """
        return Bill(tokens, dollars_for(tokens, self._price))

    def _stated_price(self, *, limited: bool) -> float | None:
        if self._where.place == "elsewhere":
            return price_of(self.name, self._where.addresses)
        return None if self._where.place == "unknown" and limited else 0.0

    def _stated_identity(self) -> Mapping[str, Any] | None:
        """What tells the model of a service from others, if its function reports no configuration; without secrets."""
        model = stated_model(self.function)
        if self._where.place != "elsewhere" or not model:
            return None
        kind = type(self.function)
        public = public_settings(self.function)
        return {
            "class": f"{kind.__module__}.{kind.__qualname__}",
            "model": model,
            "at": self._where.addresses,
            **public,
        }

    @property
    def key(self) -> str:
        """The name, and a checksum of the configuration.

        A function that reports no configuration has that of its class and its settings where it states its model and
        calls a service; otherwise a random key, because it cannot be told apart from others: only this object finds
        what is cached under it.
        """
        return "/".join((super().key, self._settings))

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        """Embed one batch; queries with the object's own method for queries, where it has one."""
        function = (queries_embedder if queries else documents_embedder)(self.function)
        try:
            return list(function(list(texts)))
        except Exception as error:  # whatever the function's own library raises  # noqa: BLE001
            reason = reason_of(error, texts)
            own = type(error).__name__
            said = "" if reason in ("", own) else f": {reason.removeprefix(f'{own}: ')}"
            failed = f"the embedding function {self.name} failed with {own}{said}"
            message = f"{failed}; try it by itself"
            if is_about_texts(error):
                raise TextsRefusedError(message, texts=texts, reason=reason) from None
            if is_busy(error):
                raise BusyError(failed, seconds=seconds_to_wait(error)) from None
            raise ProviderError(message) from None


def model_name(function: str, config: Mapping[str, Any] | None) -> str:
    """The name of an embedding function's model where it is known, otherwise the name of the function."""
    if function in DEFAULT_FUNCTIONS:
        return _DEFAULT_MODEL
    return next((str(config[key]) for key in _MODEL_KEYS if config and is_set(config.get(key))), function)


def said_identity(function: Any) -> tuple[str, dict[str, Any] | None]:
    """The name that a function reports, and its configuration without secrets (or `None`). Calls no model.

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
    except Exception:  # third-party code may raise anything, and a missing name is no failure  # noqa: BLE001
        name = config = None
    if isinstance(name, str) and isinstance(config, Mapping):
        return name, {str(key): value for key, value in config.items() if not is_secret(key)}
    return stated_model(function) or getattr(function, "__name__", type(function).__name__), None


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
        if missing := _missing_variables(record.get("config") or {}):
            raise ProviderError(
                f"Chroma cannot build {record['name']}: its key is read from the environment; "
                f"set {' and '.join(missing)}"
            ) from None
        raise ProviderError(
            f"Chroma cannot build {record['name']} ({type(error).__name__}): is its library installed, its key set, "
            "its config complete?"
        ) from None


def _missing_variables(config: Mapping[str, Any]) -> list[str]:
    """The variables of the environment that a recorded configuration names for keys, and that are not set."""
    named = [str(value) for key, value in config.items() if str(key).endswith("env_var")]
    return [name for name in named if _VARIABLE.fullmatch(name) and not os.environ.get(name)]


def shipped_functions() -> set[str]:
    """The names of the functions that Chroma has in every process, without those that this one registered."""
    from chromadb.utils.embedding_functions import known_embedding_functions  # chromadb takes a second to import

    return {name for name, known in known_embedding_functions.items() if known.__module__.startswith("chromadb.")}


def provider_of(function: Provider | object) -> Provider:
    """The provider of an embedding function of any kind (see `providers.functions`), or the provider itself.

    Raises:
        LightmigrateError: the object cannot embed texts.
    """
    return function if isinstance(function, Provider) else ChromaProvider(function)
