"""What a command shows in a terminal, and a picture of that.

A command is a process in a pseudo-terminal, a terminal emulator (pyte) keeps what it would show, and Chromium draws it
on a light or a dark ground.
"""

from __future__ import annotations

import contextlib
import fcntl
import html
import os
import pty
import shutil
import struct
import subprocess
import termios
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pyte
from playwright.sync_api import sync_playwright

from tests.web.conftest import ARGUMENTS

if TYPE_CHECKING:
    from pyte.screens import Char

LINES = 300  # more than any command prints, so that nothing scrolls away

# Colours by ground: of the ground, of the text, and those that terminals give the names.
GROUNDS: Mapping[str, Mapping[str, str]] = {
    "light": {
        "ground": "#ffffff", "default": "#1f2328", "black": "#1f2328", "red": "#c0182b", "green": "#1a7f37",
        "brown": "#8a6100", "blue": "#0969da", "magenta": "#8250df", "cyan": "#1b7c83", "white": "#6e7781",
    },
    "dark": {
        "ground": "#0d1117", "default": "#e6edf3", "black": "#484f58", "red": "#ff7b72", "green": "#3fb950",
        "brown": "#d29922", "blue": "#58a6ff", "magenta": "#bc8cff", "cyan": "#39c5cf", "white": "#b1bac4",
    },
}  # fmt: skip


class Dimming(pyte.Screen):
    """A screen that keeps what is faint; pyte leaves that attribute out. Nothing here is set in italics otherwise."""

    def select_graphic_rendition(self, *attributes: int, **options: bool) -> None:
        """Set colours and attributes of what comes next."""
        super().select_graphic_rendition(*(3 if number == 2 else number for number in attributes), **options)


def shown(
    command: Sequence[str], columns: int, environment: Mapping[str, str], folder: Path, answer: str = ""
) -> tuple[list[list[Char]], int]:
    """The lines that a terminal of so many columns shows when a command has ended, and its exit status.

    Args:
        command: program and arguments.
        columns: of the terminal.
        environment: of the program.
        folder: where it runs.
        answer: what a person types when it asks, `yes` or `no`.
    """
    screen = Dimming(columns, LINES)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=dict(environment), cwd=folder, start_new_session=True
    )
    os.close(theirs)
    while part := _read(ours):
        stream.feed(part)
        if answer and part.rstrip().endswith(b"[y/N]:"):
            os.write(ours, answer[:1].encode() + b"\n")
    status = process.wait()
    os.close(ours)
    lines = [[screen.buffer[row][column] for column in range(columns)] for row in range(LINES)]
    last = max((row for row, line in enumerate(lines) if text_of(line)), default=-1)
    return lines[: last + 1], status


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux's way to say that nobody has the other side open
        return b""


def text_of(line: Iterable[Char]) -> str:
    """The letters of a line."""
    return "".join(letter.data for letter in line).rstrip()


def page(shown_commands: Sequence[tuple[str, list[list[Char]]]], columns: int, ground: str) -> str:
    """Commands and what they show, as HTML."""
    colours = GROUNDS[ground]
    style = (
        f"body {{ margin: 12px; background: {colours['ground']}; color: {colours['default']} }}"
        f" pre {{ font: 13px/17px 'DejaVu Sans Mono', monospace; width: {columns}ch; margin: 0 0 22px;"
        f" border-right: 1px dotted {colours['white']} }}"
    )
    parts = []
    for command, lines in shown_commands:
        drawn = "\n".join(
            "".join(_span(style, group, colours) for style, group in groupby(line, _style)) for line in lines
        )
        parts.append(f"<pre><b>$ {html.escape(command)}</b>\n{drawn}</pre>")
    return f"<!doctype html><meta charset=utf-8><style>{style}</style>{''.join(parts)}"


def _style(letter: Char) -> tuple[str, bool, bool]:
    return letter.fg, letter.bold, letter.italics


def _span(style: tuple[str, bool, bool], letters: Iterable[Char], colours: Mapping[str, str]) -> str:
    colour, bold, faint = style
    shade = colours.get(colour, f"#{colour}")
    weight = f"font-weight: {'bold' if bold else 'normal'}; opacity: {0.55 if faint else 1}"
    return f'<span style="color: {shade}; {weight}">{html.escape("".join(letter.data for letter in letters))}</span>'


@contextlib.contextmanager
def painter() -> Iterator[Callable[[str, int, Path], None]]:
    """A function that draws a page of so many columns into a file, with Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)

        def draw(content: str, columns: int, file: Path) -> None:
            drawn = browser.new_page(viewport={"width": columns * 8 + 40, "height": 600})
            drawn.set_content(content)
            drawn.screenshot(path=file, full_page=True)
            drawn.close()

        yield draw
        browser.close()
