"""How help looks: commands by what they are for, options by what they are about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup


class GroupedOptions(TyperCommand):
    """A command whose options are listed under the titles of their panels; those without one come first."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write them."""
        arguments, own, panels = [], [], dict[str, list[tuple[str, str]]]()
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            panel = getattr(parameter, "rich_help_panel", None)
            if row is None:
                continue
            if parameter.param_type_name == "argument":
                arguments.append(row)
            elif panel is None:
                own.append(row)
            else:
                panels.setdefault(panel, []).append(row)
        _write(formatter, [("Arguments", arguments), ("Options", own), *panels.items()])


class GroupedCommands(TyperGroup):
    """The commands under titles, in the order in which people need them.

    Attributes:
        sections: titles, and names of commands.
    """

    sections: Mapping[str, Iterable[str]] = {}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write them."""
        rows = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None:
                rows[name] = (name, command.get_short_help_str(formatter.width))
        _write(formatter, [(title, [rows[name] for name in names]) for title, names in self.sections.items()])


def _write(formatter: Any, sections: Iterable[tuple[str, Sequence[tuple[str, str]]]]) -> None:
    """The sections that hold something, their descriptions in one column."""
    filled = [(title, rows) for title, rows in sections if rows]
    for title, rows in filled:
        with formatter.section(title):
            formatter.write_dl(rows)
