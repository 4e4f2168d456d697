"""Every command in the pages of stores is one that the command line takes: its name, its options, its arguments."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from lightmigrate.cli.app import application

PAGES = sorted((Path(__file__).parents[2] / "docs" / "stores").glob("*.md"))


def commands_of(page: Path) -> list[list[str]]:
    """The words of every command in a block of code."""
    blocks: list[str] = re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("lightmigrate ")]


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_command_line_takes_every_command_of_a_page(page: Path) -> None:
    commands = commands_of(page)
    assert commands or page.stem == "add-a-store", "a page shows how to begin"
    for name, *words in commands:
        group = typer.main.get_command(application(name))
        command = group.commands[name]  # type: ignore[attr-defined]  # it is a group
        command.make_context(name, words)
