"""What a server that starts may do about a changed model: said in code, or in the environment of a container."""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from lightmigrate.errors import LightmigrateError
from lightmigrate.results import Result
from lightmigrate.stores.base import Address

OnMismatch = Literal["migrate", "warn", "raise"]
OnFailure = Literal["continue", "raise"]

PREFIX = "LIGHTMIGRATE_"


@dataclass(frozen=True)
class Policy(Result):
    """What `auto_migrate` may do. Every field can also be set by `LIGHTMIGRATE_` and its name in capitals.

    Attributes:
        on_mismatch: `migrate`; or `warn`, which only logs; or `raise` a `ModelMismatchError`.
        on_failure: `continue` with the old database, having logged the error; or `raise` it.
        min_quality: expected retention (0 to 1) below which nothing is migrated. Left out, the gate decides, and a map
            that cannot be measured on the collection is used with a warning; given, such a map is refused.
        calibrate: stored documents that the new model may be asked to embed to learn the map; 0 for none.
        max_cost: dollars that may cost; needs a model whose price is known. Left out, there is no limit.
        max_seconds: that all of it may take; what is not done by then is not done. Left out, there is no limit.
        backup: whether the old database is kept.
        collections: patterns of names (`*` and `?`; a name, or `tenant/database/name`) of the collections to look at,
            all when left out; one that begins with `!` leaves out what it matches. In the environment with commas.
    """

    on_mismatch: OnMismatch = "migrate"
    on_failure: OnFailure = "continue"
    min_quality: float | None = None
    calibrate: int = 500
    max_cost: float | None = None
    max_seconds: float | None = None
    backup: bool = True
    collections: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.collections, str):
            raise _wrong("collections", self.collections, "a list of patterns")
        object.__setattr__(self, "collections", tuple(self.collections))
        for name, choices in (("on_mismatch", get_args(OnMismatch)), ("on_failure", get_args(OnFailure))):
            if getattr(self, name) not in choices:
                raise _wrong(name, getattr(self, name), f"one of {', '.join(choices)}")
        if not (self.min_quality is None or 0 <= self.min_quality <= 1):
            raise _wrong("min_quality", self.min_quality, "between 0 and 1")
        if isinstance(self.calibrate, bool) or not isinstance(self.calibrate, int) or self.calibrate < 0:
            raise _wrong("calibrate", self.calibrate, "a number of documents, 0 for none")
        for name in ("max_cost", "max_seconds"):
            if not (getattr(self, name) is None or getattr(self, name) >= 0):  # NaN is not either
                raise _wrong(name, getattr(self, name), "0 or more")

    @classmethod
    def of(
        cls,
        policy: Policy | None = None,
        environment: Mapping[str, str] = os.environ,
        only: Collection[str] | None = None,
        **said: Any,
    ) -> Policy:
        """A policy, over it what was said in the call, and over both the environment: who runs it has the last word.

        Args:
            policy: the usual one when left out.
            environment: where variables are looked up.
            only: fields whose variables are, all when left out.
            said: fields.

        Raises:
            LightmigrateError: a value that makes no sense, with the name of the field or variable it is in.
        """
        found = {}
        for field in fields(cls):
            text = environment.get(PREFIX + field.name.upper())
            if text is not None and (only is None or field.name in only):
                found[field.name] = _read(field.name, text.strip())
        unknown = said.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise LightmigrateError(f"no such option: {', '.join(sorted(unknown))}; see lightmigrate.Policy")
        return replace(policy or cls(), **{**said, **found})

    def includes(self, address: Address) -> bool:
        """Whether a collection is to be looked at."""
        names = (address.name, f"{address.tenant}/{address.database}/{address.name}")
        wanted = [pattern for pattern in self.collections if not pattern.startswith("!")]
        unwanted = [pattern[1:] for pattern in self.collections if pattern.startswith("!")]

        def matches(patterns: list[str]) -> bool:
            return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)

        return (not wanted or matches(wanted)) and not matches(unwanted)


def _yes_or_no(text: str) -> bool:
    return {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}[
        text.lower()
    ]


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


_READERS: Mapping[str, Callable[[str], Any]] = types.MappingProxyType(
    {
        "on_mismatch": str.lower,
        "on_failure": str.lower,
        "min_quality": float,
        "calibrate": int,
        "max_cost": float,
        "max_seconds": float,
        "backup": _yes_or_no,
        "collections": _patterns,
    }
)


def _read(name: str, text: str) -> Any:
    try:
        return _READERS[name](text)
    except (ValueError, KeyError):
        raise _wrong(PREFIX + name.upper(), text, "a value it can have") from None


def _wrong(name: str, value: object, expected: str) -> LightmigrateError:
    return LightmigrateError(f"{name} is {value!r}, which is not {expected}; see lightmigrate.Policy")
