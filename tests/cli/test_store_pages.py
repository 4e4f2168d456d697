"""Every command in the pages of stores is one that the command line takes: its name, its options, its arguments."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from lightmigrate.cli.app import application

# The sections of every page of a store; more may follow.
SECTIONS = (
    "Install and open", "What is found", "What is promised, and what is not", "What is refused",
    "What is exchanged, and how", "The way back", "Limits",
)  # fmt: skip

PAGES = sorted((Path(__file__).parents[2] / "docs" / "stores").glob("*.md"))


def commands_of(page: Path) -> list[list[str]]:
    """The words of every command in a block of code."""
    blocks: list[str] = re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("lightmigrate ")]


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_command_line_takes_every_command_of_a_page(page: Path) -> None:
    assert "`lightmigrate doctor" in page.read_text() or commands_of(page), "a page shows how to begin"
    for name, *words in commands_of(page):
        group = typer.main.get_command(application(name))
        command = group.commands[name]  # type: ignore[attr-defined]  # it is a group
        command.make_context(name, words)


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_pages_of_stores_have_the_same_sections_in_the_same_order(page: Path) -> None:
    headings = re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE)
    if SECTIONS[0] in headings or "What is found" in headings:
        assert tuple(heading for heading in headings if heading in SECTIONS) == SECTIONS
