"""The model that the application embeds with from now on, as far as it is known without calling it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from lightmigrate.errors import DimensionError, LightmigrateError, ProviderError
from lightmigrate.projection.model import Model
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.chroma import (
    DEFAULT_FUNCTIONS,
    ChromaProvider,
    model_name,
    said_identity,
    shipped_functions,
)
from lightmigrate.providers.open import provider_known_for
from lightmigrate.training.limits import Deadline
from lightmigrate.vectors import Vectors


class TimedProvider(ChromaProvider):
    """An embedding function whose answers are awaited only until a deadline.

    Args:
        function: as for `ChromaProvider`.
        deadline: the deadline.
        limited: as for `ChromaProvider`.
    """

    def __init__(self, function: Any, deadline: Deadline, *, limited: bool = False) -> None:
        super().__init__(function, limited=limited)
        self._deadline = deadline
        self.parallel.left = lambda: deadline.left

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        """See `Provider.encode`; raises `DeadlineError` too."""
        encode = super().encode
        return self._deadline.within(lambda: encode(texts, queries), f"embedding {len(texts)} texts")


class TargetModel:
    """The new model.

    Args:
        function: its Chroma embedding function, if available.
        dimension: of its vectors, if stated.
        model: its name or description, if stated.
        deadline: until when its answers are awaited.
        limited: whether what it may cost is limited, as for `ChromaProvider`.

    Raises:
        ProviderError: Chroma cannot build the function that was named.
    """

    def __init__(
        self,
        function: Any,
        dimension: int | None,
        model: str | Model | None,
        deadline: Deadline | None = None,
        *,
        limited: bool = False,
    ) -> None:
        self.function = function
        self._stated_dimension = model.dimension if isinstance(model, Model) else dimension
        name, config = ("", None) if function is None else said_identity(function)
        # As Chroma records it; None for a function without name and configuration.
        self.identity = None if config is None else _as_recorded({"name": name, "config": config})
        self.provider: Cached | None = None
        if function is not None:
            timed = TimedProvider(function, deadline or Deadline(None), limited=limited)
            self.provider = Cached(timed) if timed.found_again else Cached.in_memory(timed)
        if model is None:
            self.model = model_name(name, config) if function is not None else ""
        else:
            self.model = model.name if isinstance(model, Model) else model

    @property
    def stated_dimension(self) -> int | None:
        """The dimension of its vectors, if stated; calls nothing."""
        return self._stated_dimension

    @cached_property
    def dimension(self) -> int | None:
        """The dimension of its vectors; `None` when not known. Embeds one word if there is an embedding function.

        Raises:
            DimensionError: the function makes vectors of another dimension than was stated.
            ProviderError: the function fails.
        """
        if self.provider is None:
            return self._stated_dimension
        # without a probe the second one raises why the model cannot be called
        actual = self.provider.model.dimension if self.probe is None else self.probe.shape[1]
        if self._stated_dimension not in (None, actual):
            raise DimensionError(
                f"expected_dim is {self._stated_dimension}, the embedding function makes {actual} dimensions; "
                "correct expected_dim, or leave it out",
                expected=self._stated_dimension or 0,
                found=actual,
            )
        return actual

    @cached_property
    def probe(self) -> Vectors | None:
        """One vector, float32 `(1, d)`, by which the model is recognised whatever its name is.

        `None` without a function, and when it cannot be called.
        """
        try:
            return None if self.provider is None else self.provider.probe()
        except LightmigrateError:
            return None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of some texts, `(n, d)`; rows of NaN for those that the model refuses.

        Raises:
            ProviderError: there is no embedding function, or it fails.
        """
        if self.provider is None:
            raise ProviderError(f"no embedding function was given for {len(texts)} texts: give the application's")
        return self.provider.embed_each(texts)

    @cached_property
    def opened_by(self) -> Mapping[str, object]:
        """How a command opens it again; empty for a function that only the application can build."""
        if self.identity is None or self.identity["name"] not in shipped_functions():
            return {}
        return {"provider": "chroma", "model": json.dumps(self.identity)}

    @property
    def options(self) -> Sequence[str] | None:
        """The options of a command that name it; `None` for a function that only the application can build."""
        if self.opened_by:
            return ("--target-provider", "chroma", "--target-model", str(self.opened_by["model"]))
        if self.function is not None:
            return None
        provider = provider_known_for(self.model)
        return (*(("--target-provider", provider) if provider else ()), "--target-model", self.model or "NEW_MODEL")


def require_valid(function: Any, dimension: Any, model: Any) -> None:
    """Raise `LightmigrateError` when the application states nothing about its model, or an invalid value."""
    if function is None and dimension is None and not model:
        raise LightmigrateError(
            "say what the application embeds with: embedding_function=…, expected_dim=… or target_model=…"
        )
    if dimension is not None and (isinstance(dimension, bool) or not isinstance(dimension, int) or dimension < 1):
        raise LightmigrateError(f"expected_dim is {dimension!r}, which is not a number of dimensions: give 1 or more")
    if not (model is None or isinstance(model, (str, Model))):
        raise LightmigrateError(f"target_model is a {type(model).__name__}: give a model's name, or a Model")


def recorded_identity(function: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The embedding function that a collection records, in the form of `TargetModel.identity`."""
    if function is None:
        return None
    name, config = said_identity(function)
    return None if config is None else _as_recorded({"name": name, "config": config})


def _as_recorded(identity: Mapping[str, Any]) -> Mapping[str, Any]:
    """In the form in which it is read back from a file."""
    return dict(json.loads(json.dumps(identity, default=str)))


def recorded_model(function: Mapping[str, Any] | None) -> str:
    """Name of the model of a recorded embedding function; empty when none is recorded."""
    identity = recorded_identity(function)
    return "" if identity is None else model_name(identity["name"], identity["config"])


def is_default(function: Mapping[str, Any] | None) -> bool:
    """Whether a recorded embedding function is the one that its store records when the application names none."""
    return function is not None and function.get("name") in DEFAULT_FUNCTIONS
