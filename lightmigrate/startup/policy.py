"""What a starting server may do about a changed model: set in code, or in the environment of a container."""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from lightmigrate.errors import LightmigrateError
from lightmigrate.results import Result
from lightmigrate.startup.report import StartupFinding
from lightmigrate.stores.base import Address, CollectionFacts
from lightmigrate.texts.source import chosen_form
from lightmigrate.vectors import METRICS, Metric

OnMismatch = Literal["migrate", "warn", "raise"]
OnVariant = Literal["warn", "migrate"]
OnFailure = Literal["continue", "raise"]
Refine = Literal["background", "off"]

PREFIX = "LIGHTMIGRATE_"


@dataclass(frozen=True)
class Policy(Result):
    """What `auto_migrate` may do. Each field can also be set by an environment variable: `LIGHTMIGRATE_` and its name.

    Attributes:
        on_mismatch: `migrate`; or `warn`, which only logs; or `raise` a `ModelMismatchError`.
        on_failure: `continue` with the old database and log the error; or `raise` it.
        min_quality: expected retention, in [0, 1], below which nothing is migrated. By default the gate decides, and a
            projection that cannot be measured on the collection is used with a warning; with a value it is refused.
        calibrate: stored documents that the new model embeds to learn a projection for all collections of one old
            model, or every text where that costs no more; 0 for none. By default every text is embedded where that is
            free, or within `max_cost`, and takes no longer than the start may; otherwise a projection is learned on
            as many texts as there is time for, or for at most a tenth of what embedding everything costs.
        max_cost: dollars that embedding may cost; needs a model whose price is known, or that is seen to run in this
            process. No limit by default.
        max_seconds: for the whole start; a migration that would take longer does not happen. Without it there is no
            limit, and every text is embedded only where that is expected to take less than a minute.
        backup: whether the old database is kept.
        collections: patterns (`*` and `?`) of the names of the collections to look at, as `name`,
            `name.vector[part]` or `tenant/database/name`; all by default. A pattern that starts with `!` excludes what
            it matches. Separated by commas in the environment.
        on_variant: what to do about vectors of the application's model with another prefix, precision or revision:
            `warn` at every start; or `migrate` them like those of another model.
        embed_again: whether a collection in a folder whose vectors cannot be read, or are of several models, is made
            anew from its stored documents, all of which the new model then embeds. By default it is only reported.
        text_field: the field of the metadata that was embedded, `document` for the stored document; by default what the
            records tell.
        text_template: what was embedded, as a template of fields of the metadata and the document.
        distance: `l2`, `cosine` or `ip`: collections that have another one get it, with a migration to another model or
            alone, when their vectors stay as they are. By default each keeps its own.
        refine: `background`: while the server serves, every projected row becomes exact, also over restarts; or `off`.
            By default in the background where the embedding function is given and costs nothing, or where `max_cost` or
            `max_cost_per_day` says what it may cost.
        max_cost_per_day: dollars that refining in the background may cost a day, in UTC, over all restarts. What it may
            cost in all is `max_cost`, which then counts over restarts, too. No limit by default.
        rows_per_second: the pace of refining in the background; by default as fast as searches leave room for.
    """

    on_mismatch: OnMismatch = "migrate"
    on_failure: OnFailure = "continue"
    min_quality: float | None = None
    calibrate: int | None = None
    max_cost: float | None = None
    max_seconds: float | None = None
    backup: bool = True
    collections: tuple[str, ...] = ()
    on_variant: OnVariant = "warn"
    embed_again: bool = False
    text_field: str = ""
    text_template: str = ""
    distance: Metric | None = None
    refine: Refine | None = None
    max_cost_per_day: float | None = None
    rows_per_second: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.collections, str):
            raise _wrong("collections", self.collections, "a list of patterns")
        object.__setattr__(self, "collections", tuple(self.collections))
        chosen_form(self.text_field, self.text_template)
        if self.distance not in (None, *METRICS):
            raise _wrong("distance", self.distance, f"one of {', '.join(METRICS)}")
        for name, kind in (("on_mismatch", OnMismatch), ("on_variant", OnVariant), ("on_failure", OnFailure)):
            choices = get_args(kind)
            if getattr(self, name) not in choices:
                raise _wrong(name, getattr(self, name), f"one of {', '.join(choices)}")
        if not (self.min_quality is None or 0 <= self.min_quality <= 1):
            raise _wrong("min_quality", self.min_quality, "between 0 and 1")
        documents = self.calibrate
        if isinstance(documents, bool) or not (documents is None or (isinstance(documents, int) and documents >= 0)):
            raise _wrong("calibrate", self.calibrate, "a number of documents, 0 for none")
        if self.refine not in (None, *get_args(Refine)):
            raise _wrong("refine", self.refine, f"one of {', '.join(get_args(Refine))}")
        if not (self.rows_per_second is None or self.rows_per_second > 0):
            raise _wrong("rows_per_second", self.rows_per_second, "more than 0")
        for name in ("max_cost", "max_cost_per_day", "max_seconds"):
            if not (getattr(self, name) is None or getattr(self, name) >= 0):  # NaN is refused too
                raise _wrong(name, getattr(self, name), "0 or more")

    @classmethod
    def of(
        cls,
        policy: Policy | None = None,
        environment: Mapping[str, str] = os.environ,
        only: Collection[str] | None = None,
        **options: Any,
    ) -> Policy:
        """A policy, overridden by the options of a call, overridden by the environment: the operator has the last word.

        Args:
            policy: the default policy when left out.
            environment: where variables are looked up.
            only: fields whose variables are looked up, all by default.
            options: fields.

        Raises:
            LightmigrateError: an invalid value; the message names the field or variable.
        """
        variables = {}
        for field in fields(cls):
            text = environment.get(PREFIX + field.name.upper())
            if text is not None and (only is None or field.name in only):
                variables[field.name] = _read(field.name, text.strip())
        unknown = options.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise LightmigrateError(f"no such option: {', '.join(sorted(unknown))}; see lightmigrate.Policy")
        return replace(policy or cls(), **{**options, **variables})

    @property
    def limits_cost(self) -> bool:
        """Whether it says what embedding may cost."""
        return self.max_cost is not None or self.max_cost_per_day is not None

    def migrates(self, finding: StartupFinding) -> bool:
        """Whether a collection of which this was found is to be migrated, if anything is."""
        return finding.mismatch or (finding.verdict == "variant" and self.on_variant == "migrate")

    def wants_distance(self, facts: CollectionFacts) -> bool:
        """Whether a collection has another distance than it is to have, or says so of itself."""
        return self.distance is not None and (facts.space != self.distance or facts.stated_space is not None)

    def includes(self, address: Address) -> bool:
        """Whether a collection is to be looked at."""
        names = (address.name, str(address), f"{address.tenant}/{address.database}/{address.name}")
        included = [pattern for pattern in self.collections if not pattern.startswith("!")]
        excluded = [pattern[1:] for pattern in self.collections if pattern.startswith("!")]

        def matches(patterns: list[str]) -> bool:
            # `[` opens a set of characters there, and encloses a part here
            literal = [pattern.replace("[", "[[]") for pattern in patterns]
            return any(fnmatchcase(name, pattern) for name in names for pattern in literal)

        return (not included or matches(included)) and not matches(excluded)


def _yes_or_no(text: str) -> bool:
    return {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}[
        text.lower()
    ]


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


_READERS: Mapping[str, Callable[[str], Any]] = types.MappingProxyType(
    {
        "on_mismatch": str.lower,
        "on_variant": str.lower,
        "on_failure": str.lower,
        "min_quality": float,
        "calibrate": int,
        "max_cost": float,
        "max_seconds": float,
        "backup": _yes_or_no,
        "collections": _patterns,
        "embed_again": _yes_or_no,
        "refine": str.lower,
        "max_cost_per_day": float,
        "rows_per_second": float,
        "text_field": str,
        "text_template": lambda text: text.replace("\\n", "\n"),
        "distance": lambda text: text.lower() or None,
    }
)


def _read(name: str, text: str) -> Any:
    try:
        return _READERS[name](text)
    except (ValueError, KeyError):
        raise _wrong(PREFIX + name.upper(), text, "a valid value") from None


def _wrong(name: str, value: object, expected: str) -> LightmigrateError:
    return LightmigrateError(f"{name} is {value!r}, which is not {expected}; see lightmigrate.Policy")
