"""Options that belong together: one parameter of a command function, several options of the command line."""

from __future__ import annotations

import functools
import inspect
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_args

from lightmigrate.commands.arguments import ModelChoice
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.errors import LightmigrateError

# The model in a command of a message: it stands between two spaces each.
_MODEL = re.compile(r"(\blightmigrate (?:(?!  ).)*?)--target-model MODEL")

# Options that help lists at the end, by parameter name.
LAST = ("max_cost", "cache", "yes", "as_json")


@dataclass(frozen=True)
class Group:
    """Options that make one argument.

    Attributes:
        parameters: the options, by parameter name: annotation and default, as typer reads them.
        build: makes the argument of their values.
    """

    parameters: Mapping[str, tuple[Any, Any]]
    build: Callable[..., object]


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of its groups in place of the parameters annotated `Annotated[Type, Group]`."""
    own = inspect.signature(command, eval_str=True)
    groups: dict[str, Group] = {}
    parameters: dict[str, inspect.Parameter] = {}
    for name, parameter in own.parameters.items():
        group = next((part for part in get_args(parameter.annotation) if isinstance(part, Group)), None)
        if group is None:
            parameters[name] = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        else:
            groups[name] = group
    for group in groups.values():
        for option, (annotation, default) in group.parameters.items():
            parameters[option] = inspect.Parameter(
                option, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
            )
    for name in LAST:  # what every command has comes after what it is about
        if name in parameters:
            parameters[name] = parameters.pop(name)

    @functools.wraps(command)
    def call(**values: Any) -> None:
        arguments = {
            name: group.build(**{option: values.pop(option) for option in group.parameters})
            for name, group in groups.items()
        }
        with _naming(arguments):
            command(**arguments, **values)

    call.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]  # typer reads it
    call.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    return call


@contextmanager
def _naming(arguments: Mapping[str, object]) -> Iterator[None]:
    """Name the database and the new model of a command in the commands that an error proposes.

    Elsewhere they say DATABASE and MODEL.
    """
    try:
        yield
    except LightmigrateError as error:
        from lightmigrate.stores.open import with_database

        database, target, message = arguments.get("database"), arguments.get("target"), str(error)
        if isinstance(database, DatabaseChoice) and database.words:
            message = with_database(message, shlex.join(database.words))
        if isinstance(target, ModelChoice) and target.model:
            message = _MODEL.sub(lambda found: found[1] + shlex.join(target.words), message)
        error.args = (message, *error.args[1:])
        raise
