"""The table of all providers. To add a provider, write its class in a new file and list it here."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from lightmigrate.errors import ProviderError
from lightmigrate.providers.base import Provider
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.providers.onnx import OnnxProvider
from lightmigrate.providers.openai import OpenAIProvider
from lightmigrate.providers.prices import PRICES
from lightmigrate.providers.sentence_transformers import SentenceTransformersProvider

PROVIDERS: Mapping[str, type[Provider]] = {
    cls.provider: cls for cls in (SentenceTransformersProvider, OpenAIProvider, OnnxProvider, ChromaProvider)
}


def provider_known_for(model: str) -> str:
    """The provider that has a model of this name and no other has; empty when only the default one may have it."""
    return OpenAIProvider.provider if model in PRICES else ""


def takes(provider: str, option: str) -> bool:
    """Whether a provider has an option of that name."""
    return provider in PROVIDERS and option in inspect.signature(PROVIDERS[provider]).parameters


def open_provider(provider: str, model: str, **options: Any) -> Provider:
    """The provider called `provider`, for `model`. Loads nothing and calls nothing yet.

    Args:
        provider: a name in `PROVIDERS`.
        model: what that provider calls the model.
        options: as the provider's class takes them; those that are `None` or empty are left out.

    Raises:
        ProviderError: no such provider, or an option it does not take.
    """
    if provider not in PROVIDERS:
        raise ProviderError(f"no provider {provider!r}; there are: {', '.join(PROVIDERS)}")
    given = {name: value for name, value in options.items() if value not in (None, "")}
    _, *taken = inspect.signature(PROVIDERS[provider]).parameters  # without the model
    if unknown := given.keys() - set(taken):
        raise ProviderError(f"{provider} has no option {', '.join(sorted(unknown))}; it has: {', '.join(taken) or '-'}")
    return PROVIDERS[provider](model, **given)
