"""Arguments that several commands take: an embedding model, texts, queries, a budget."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightmigrate.errors import LightmigrateError, MissingExtraError, ProviderError
from lightmigrate.providers.prices import PRICES

if TYPE_CHECKING:
    from lightmigrate.budget.curve import CostQualityCurve
    from lightmigrate.budget.settings import CurvePoint
    from lightmigrate.providers.base import Provider
    from lightmigrate.providers.cache import Cached
    from lightmigrate.texts.source import Texts
    from lightmigrate.training.texts import TextsFile

DEFAULT_PROVIDER = "sentence-transformers"

# Of a longer list of queries so many are drawn: more cost more and hardly narrow the interval.
MOST_QUERIES = 1000

# Providers that need a library, by the extra that installs it.
_EXTRAS = {
    "sentence-transformers": ("sentence_transformers", "sentence-transformers", "train"),
    "openai": ("openai", "openai", "openai"),
    "onnx": ("onnxruntime", "onnxruntime", "onnx"),
    "chroma": ("chromadb", "chromadb", "chroma"),
}


# Options of a model that the command line calls otherwise than `--target-NAME`.
_OPTION_NAMES = {"base_url": "--target-url", "price": "--price"}


@dataclass(frozen=True)
class ModelChoice:
    """An embedding model, as its provider calls it; no secrets, they come from the environment.

    Attributes:
        model: the model's name.
        provider: who computes it; empty for sentence-transformers, or for a model that is only named.
        options: what else the provider takes, such as `base_url`, `prefix`, `revision`, `tokenizer`, `price`; those
            that are `None` or empty are left out.
    """

    model: str
    provider: str = ""
    options: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def from_json(cls, options: Mapping[str, Any]) -> ModelChoice:
        """From what a plan or a provenance file says.

        Raises:
            LightmigrateError: it names no model.
        """
        if not {"provider", "model"} <= options.keys():
            raise LightmigrateError(
                "the plan was made from Python and names no provider: continue from Python, with the same provider"
            )
        more = {name: value for name, value in options.items() if name not in ("provider", "model")}
        return cls(str(options["model"]), str(options["provider"]), more)

    @property
    def opened_by(self) -> str:
        """The provider that opens it."""
        return self.provider or DEFAULT_PROVIDER

    def to_json(self) -> dict[str, object]:
        """As a plan keeps it."""
        options = {name: value for name, value in self.options.items() if value not in (None, "")}
        return {"provider": self.opened_by, "model": self.model, **options}

    @property
    def words(self) -> tuple[str, ...]:
        """As options of a command that take it as the new model."""
        provider = ("--target-provider", self.provider) if self.provider else ()
        more: list[str] = []
        for name, value in self.options.items():
            if value not in (None, ""):
                more += [_OPTION_NAMES.get(name, f"--target-{name.replace('_', '-')}"), str(value)]
        return (*provider, "--target-model", self.model, *more)

    def require_installed(self) -> None:
        """Raise `MissingExtraError` when the library of the provider is not installed; loads nothing.

        Raises:
            ProviderError: the model is not one of the default provider, but of another.
        """
        if self.opened_by == DEFAULT_PROVIDER and self.model in PRICES:
            raise ProviderError(
                f"{self.model} is a model of OpenAI, which is asked only if it is named: add --target-provider openai "
                "(--source-provider openai for the old model)"
            )
        module, library, extra = _EXTRAS.get(self.opened_by, ("", "", ""))
        if module and importlib.util.find_spec(module) is None:
            raise MissingExtraError(library, extra)

    def open(self, cache: Path | None = None, **more: object) -> Cached:
        """The provider with a cache; loads no model yet.

        Args:
            cache: file that keeps embeddings; the default one when `None`.
            more: options beside `options`.

        Raises:
            MissingExtraError: the library of the provider is not installed.
            ProviderError: no such provider, an option that it does not take, or a model that another provider has.
        """
        from lightmigrate.providers.cache import Cached
        from lightmigrate.providers.open import open_provider

        self.require_installed()
        return Cached(open_provider(self.opened_by, self.model, **{**self.options, **more}), cache)

    def takes(self, option: str) -> bool:
        """Whether its provider has an option."""
        from lightmigrate.providers.open import takes

        return takes(self.opened_by, option)

    def limited(self, max_cost: float | None) -> dict[str, object]:
        """The options by which its provider spends so many dollars at most; none for a provider that costs nothing."""
        return {"max_cost": max_cost} if max_cost is not None and self.takes("max_cost") else {}


@dataclass(frozen=True)
class Budget:
    """A limit of cost, or a quality to reach; at most one of these.

    Attributes:
        share: of the tokens of re-embedding everything, in (0, 1].
        tokens: number of tokens.
        dollars: amount of dollars.
        quality: expected quality to reach, as a share of re-embedding everything, in (0, 1].
    """

    share: float | None = None
    tokens: int | None = None
    dollars: float | None = None
    quality: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.share, self.tokens, self.dollars, self.quality) if value is not None]
        if len(given) > 1:
            raise LightmigrateError("give one of --budget, --budget-tokens, --max-cost and --quality, not several")
        if self.share is not None and not 0 < self.share <= 1:
            raise LightmigrateError(f"a budget of {self.share} is not a share of all tokens between 0 and 1")
        if self.dollars is not None and not 0 <= self.dollars < math.inf:
            raise LightmigrateError(f"--max-cost {self.dollars} is no amount of dollars: 0 or more, such as 1.50")
        if self.quality is not None and not 0 < self.quality <= 1:
            raise LightmigrateError(
                f"--quality {self.quality} is not a share of re-embedding between 0 and 1, such as .95"
            )

    @staticmethod
    def share_of(text: str) -> float | None:
        """A share such as `10%` or `0.1`; `None` for an empty text.

        Raises:
            LightmigrateError: it is neither.
        """
        if not text:
            return None
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = math.nan
        if not 0 < share <= 1:
            raise LightmigrateError(
                f"--budget {text} is neither a share such as 0.1 nor a percentage such as 10%, 100% at most"
            )
        return share

    @property
    def is_given(self) -> bool:
        """Whether anything was chosen."""
        return self != NO_BUDGET

    def tokens_allowed(self, provider: Provider) -> float | None:
        """Tokens that may be embedded; `None` without a limit in tokens or dollars.

        Raises:
            LightmigrateError: a limit in dollars, and the price of the model is not known.
        """
        if self.dollars is None:
            return self.tokens
        million = provider.priced(1_000_000).dollars
        if million is None:
            raise LightmigrateError(
                f"the price of {provider.name} is not known, so that --max-cost cannot be kept: add --price"
            )
        return math.inf if not million else self.dollars / million * 1_000_000

    def choose(self, curve: CostQualityCurve, provider: Provider) -> CurvePoint | None:
        """The point of the curve that it pays for, or that reaches the quality; `None` when nothing was chosen."""
        if self.quality is not None:
            return curve.reaching(self.quality)
        tokens = self.tokens_allowed(provider)
        if self.share is not None:
            tokens = self.share * curve.size.tokens
        return None if tokens is None else curve.within(tokens)


NO_BUDGET = Budget()


@dataclass(frozen=True)
class TextsChoice:
    """Where a collection's embedded texts come from, as the caller says; found where nothing is said.

    Attributes:
        path: a `.jsonl` file of texts by id, for records that store none; `None` for no file.
        text_key: field of the texts in it.
        id_key: field of the ids in it.
        field: a field of the metadata; `document` for the stored document.
        template: a template of the metadata and the document, such as `{title}: {document}`.
    """

    path: Path | None = None
    text_key: str = "text"
    id_key: str = "id"
    field: str = ""
    template: str = ""

    def __post_init__(self) -> None:
        if self.field and self.template:
            raise LightmigrateError("give --text-field NAME or --text-template TEMPLATE, not both")

    @property
    def file(self) -> TextsFile:
        """The file of texts by id, or none."""
        from lightmigrate.training.texts import TextsFile

        return TextsFile.at(self.path, self.text_key, self.id_key)

    @property
    def words(self) -> tuple[str, ...]:
        """As options of a command."""
        named = {"--texts": self.path, "--text-field": self.field, "--text-template": self.template}
        return tuple(str(word) for option, value in named.items() if value for word in (option, value))

    def read(self) -> Texts:
        """The texts by id, and where the others come from if the caller said so; reads the file.

        Raises:
            LightmigrateError: the file or the template cannot be read.
        """
        from lightmigrate.texts.source import TextSource, chosen_form

        by_id = self.file.read()
        form = chosen_form(self.field, self.template)
        return by_id if form is None else TextSource(form, by_id)


FOUND_TEXTS = TextsChoice()


def read_queries(path: Path | None, seed: int, text_key: str = "text") -> Sequence[str]:
    """The queries of users in a file, a random part of a longer one; none without a file. Only reads."""
    if path is None:
        return ()
    from lightmigrate.training.corpus import draw
    from lightmigrate.training.texts import read_texts

    queries = read_texts(path, text_key)
    return queries if len(queries) <= MOST_QUERIES else draw(queries, MOST_QUERIES, seed)


def function_record(name: str | None, config: str) -> dict[str, Any] | None:
    """The embedding function to record on a collection; `None` without a name.

    Raises:
        LightmigrateError: the configuration is not a JSON object.
    """
    if name is None:
        return None
    try:
        return {"name": name, "config": dict(json.loads(config))}
    except (ValueError, TypeError):
        raise LightmigrateError(f"--embedding-config is not a JSON object: {config}") from None
