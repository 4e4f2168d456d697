"""The pages of the reference, generated from the code: every command and option, every public name, every error."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import lightmigrate
from lightmigrate import errors
from lightmigrate.cli.app import COMMANDS, application

STUB = Path(lightmigrate.__file__).with_suffix(".pyi")
PLACEHOLDER = re.compile(r"(?<![`\w])(/\S+/\.(cache|local)\b)")  # folders of the user who builds


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add both pages."""
    for name, content in {"cli": command_line(), "api": api()}.items():
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files


def command_line() -> str:
    """Every command: what it does, how it is called, its options."""
    parts = ["# Command line", "[What holds for all commands](index.md#what-holds-for-all-commands)."]
    for name in COMMANDS:
        group: Any = typer.main.get_command(application(name))
        parts += _command(group.commands[name], f"lightmigrate {name}")
    return PLACEHOLDER.sub(lambda found: f"~/.{found[2]}", "\n\n".join(parts) + "\n")


def _command(command: Any, title: str) -> Iterator[str]:
    """A command, or a group with its commands."""
    yield f"## {title}"
    yield _escaped(inspect.cleandoc(command.help or ""))
    context = typer.Context(command, info_name=title)
    yield f"```text\n{' '.join(command.get_usage(context).split()).removeprefix('Usage: ')}\n```"
    rows = [row for parameter in command.params if (row := parameter.get_help_record(context))]
    if rows:
        lines = [f"| `{_cell(names)}` | {_escaped(_cell(help))} |" for names, help in rows]
        yield "\n".join(["| option | meaning |", "|---|---|", *lines])
    for name, inner in getattr(command, "commands", {}).items():
        yield from _command(inner, f"{title} {name}")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Without what Markdown would read as markup."""
    return re.sub(r"[<>{}\[\]*_]", lambda found: f"&#{ord(found[0])};", text)


def api() -> str:
    """Every public name and every error, as mkdocstrings renders their docstrings."""
    parts = ["# Python", "```python\nimport lightmigrate\n```"]
    parts += [f"::: {path}" for path in public_names().values()]
    parts.append("## Errors")
    parts += [f"::: lightmigrate.errors.{name}" for name in error_names()]
    return "\n\n".join(parts) + "\n"


def public_names() -> dict[str, str]:
    """Where each public name is defined."""
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    return {
        name.asname or name.name: f"{statement.module}.{name.name}"
        for statement in tree.body
        if isinstance(statement, ast.ImportFrom)
        for name in statement.names
    }


def error_names() -> list[str]:
    """The classes of `lightmigrate.errors`, the root first."""
    return [name for name, cls in vars(errors).items() if inspect.isclass(cls) and issubclass(cls, Exception)]
