"""Which embedding models the page calls: those it was started with, and others by name alone.

A form never names a file, an address or a key: a model with options is given on the command line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lightmigrate.commands.arguments import DEFAULT_PROVIDER, ModelChoice
from lightmigrate.errors import RefusedError

# A model's name as hubs and services write it: never a path.
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*(/[A-Za-z0-9][\w.+-]*)?")

# Providers whose models have such names.
BY_NAME = (DEFAULT_PROVIDER, "openai", "chroma")


@dataclass(frozen=True)
class Models:
    """The models that the page was started with.

    Attributes:
        target: the new model; `None` where none was named.
        source: the old model; `None` where none was named.
        cache: file that keeps embeddings; the default one when `None`.
    """

    target: ModelChoice | None = None
    source: ModelChoice | None = None
    cache: Path | None = None

    @property
    def providers(self) -> tuple[str, ...]:
        """Whose models can be named in a form."""
        return BY_NAME

    def chosen_target(self, form: Mapping[str, str]) -> ModelChoice:
        """The new model of a form.

        Raises:
            RefusedError: it names none, or one that a form may not name.
        """
        chosen = _chosen(form, "target", self.target)
        if chosen is None:
            raise RefusedError("name the new model")
        return chosen

    def chosen_source(self, form: Mapping[str, str]) -> ModelChoice | None:
        """The old model of a form; `None` where none is known.

        Raises:
            RefusedError: it names one that a form may not name.
        """
        return _chosen(form, "source", self.source)


def label_of(model: ModelChoice) -> str:
    """A model in a line."""
    return f"{short_name(model.model)} ({model.opened_by})"


def short_name(model: str) -> str:
    """A model's name; of a path its last two parts."""
    return model if _NAME.fullmatch(model) or "{" in model else "/".join(Path(model).parts[-2:])


def _chosen(form: Mapping[str, str], role: str, at_start: ModelChoice | None) -> ModelChoice | None:
    name, provider = form.get(f"{role}_model", "").strip(), form.get(f"{role}_provider", "") or DEFAULT_PROVIDER
    if not name:
        return at_start
    if provider not in BY_NAME:
        raise RefusedError(f"models of {provider} are named when the page is started: lightmigrate ui … --{role}-model")
    if not _NAME.fullmatch(name) or Path(name).exists():
        raise RefusedError(
            f"“{name}” is not the name of a model such as all-MiniLM-L6-v2; files are named when the page is started: "
            f"lightmigrate ui … --{role}-model"
        )
    return ModelChoice(name, "" if provider == DEFAULT_PROVIDER else provider)
