"""Templates with named places, filled in without `str.format`, which would look into objects."""

from __future__ import annotations

import string
from collections.abc import Callable

from lightmigrate.errors import LightmigrateError


def places_of(template: str) -> list[str]:
    """The names of the places of a template, in order.

    Raises:
        LightmigrateError: the template cannot be read; the message does not hold it.
    """
    return [name for _, name in _parts(template) if name is not None]


def filled(template: str, value_of: Callable[[str], str]) -> str:
    """The template with the value of each place: `{name}`; `{{` and `}}` are braces.

    Raises:
        LightmigrateError: the template cannot be read; the message does not hold it.
    """
    return "".join(literal + ("" if name is None else value_of(name)) for literal, name in _parts(template))


def _parts(template: str) -> list[tuple[str, str | None]]:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise LightmigrateError(
            f"the template of texts cannot be read ({error}); write a brace as {{{{ or }}}}"
        ) from None
    if any(spec or conversion or name == "" for _, name, spec, conversion in parts):
        raise LightmigrateError(
            "the template of texts has a place that is not just a name; write {document} or {NAME_OF_A_FIELD}"
        )
    return [(literal, name) for literal, name, _, _ in parts]
