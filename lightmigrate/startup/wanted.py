"""The model an application embeds with from now on, as far as it is known without asking it anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from lightmigrate.errors import DimensionError, LightmigrateError
from lightmigrate.projection.model import Model
from lightmigrate.projection.vectors import Vectors
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.chroma import model_name, said_identity
from lightmigrate.startup.deadline import Deadline, InTime

# Embedded to recognise a model that does not say what it is.
_PROBE = "lightmigrate asks: which embedding model are you?"


class Wanted:
    """The new model.

    Args:
        function: its Chroma embedding function, when it is at hand.
        dimension: of its vectors, when that was said.
        model: its name or description, when that was said.
        deadline: until when it is waited for.

    Raises:
        ProviderError: Chroma cannot build the function that was named.
    """

    def __init__(
        self, function: Any, dimension: int | None, model: str | Model | None, deadline: Deadline | None = None
    ) -> None:
        self.function = function
        self._said_dimension = model.dimension if isinstance(model, Model) else dimension
        name, config = ("", None) if function is None else said_identity(function)
        # What Chroma records of it; None for a function that says nothing of itself.
        self.identity = None if config is None else _as_recorded({"name": name, "config": config})
        self.provider: Provider | None = None
        if function is not None:  # what a nameless function says cannot be found again in a cache
            asked = InTime(function, deadline or Deadline(None))
            self.provider = asked if self.identity is None else Cached(asked)
        if model is None:
            self.model = model_name(name, config) if function is not None else ""
        else:
            self.model = model.name if isinstance(model, Model) else model

    @property
    def said_dimension(self) -> int | None:
        """As far as it was said: nothing is asked."""
        return self._said_dimension

    @cached_property
    def dimension(self) -> int | None:
        """Of its vectors. Embeds one word when it was not said and the function is at hand.

        Raises:
            DimensionError: the function makes other vectors than was said.
            ProviderError: it fails.
        """
        if self.provider is None:
            return self._said_dimension
        found = self.provider.model.dimension
        if self._said_dimension not in (None, found):
            raise DimensionError(
                f"expected_dim is {self._said_dimension}, and the embedding function makes vectors of {found}; "
                "leave one of them out",
                expected=self._said_dimension or 0,
                found=found,
            )
        return found

    @cached_property
    def probe(self) -> Vectors | None:
        """One vector `(1, d)` by which a model that does not say what it is can be recognised."""
        return None if self.provider is None else self.provider.embed([_PROBE])


def require_sense(function: Any, dimension: Any, model: Any) -> None:
    """Raise `LightmigrateError` when what the application said of its model is nothing, or nonsense."""
    if function is None and dimension is None and not model:
        raise LightmigrateError(
            "say what the application embeds with: embedding_function=…, expected_dim=… or target_model=…"
        )
    if dimension is not None and (isinstance(dimension, bool) or not isinstance(dimension, int) or dimension < 1):
        raise LightmigrateError(f"expected_dim is {dimension!r}, which is not a number of dimensions: give 1 or more")
    if not (model is None or isinstance(model, (str, Model))):
        raise LightmigrateError(f"target_model is a {type(model).__name__}: give a model's name, or a Model")


def recorded_identity(function: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What a collection's record says of its embedding function, in the form of `Wanted.identity`."""
    if function is None:
        return None
    name, config = said_identity(function)
    return None if config is None else _as_recorded({"name": name, "config": config})


def _as_recorded(identity: Mapping[str, Any]) -> Mapping[str, Any]:
    """As it comes back from a file."""
    return dict(json.loads(json.dumps(identity, default=str)))


def recorded_model(function: Mapping[str, Any] | None) -> str:
    """Name of the model of a recorded embedding function; empty when none is recorded."""
    identity = recorded_identity(function)
    return "" if identity is None else model_name(identity["name"], identity["config"])
