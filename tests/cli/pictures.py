"""What commands print, as pictures: `python -m tests.cli.pictures FOLDER` runs a whole upgrade in a terminal.

For databases of 1, 20 and 500 collections, and terminals of 80 and 140 columns: each command is a process of its own in
a pseudo-terminal, a terminal emulator (pyte) keeps what it would show, and Chromium draws that on a light and on a dark
ground. Writes `FOLDER/COLLECTIONS-COLUMNS-GROUND.png` and the same as text. Takes some minutes; needs Chromium.
"""

from __future__ import annotations

import fcntl
import html
import os
import pty
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pyte
from playwright.sync_api import sync_playwright

from tests.encoders import shared_wordllama
from tests.providers.embedding_server import KEY, running_server
from tests.startup.starts import many
from tests.web.conftest import ARGUMENTS

if TYPE_CHECKING:
    from pyte.screens import Char

COLUMNS = (80, 140)
LINES = 300  # more than any command prints, so that nothing scrolls away

# Collections, and the records of each.
DATABASES = {1: 400, 20: 40, 500: 2}

MODEL = "text-embedding-3-small"
NEW = f"--target-model {MODEL} --target-provider openai"

# What is run, in the order in which people need it.
UPGRADE = (
    "",
    "doctor chroma_data",
    f"plan chroma_data {NEW}",
    f"migrate chroma_data {NEW} --yes",
    "doctor chroma_data",
    "verify chroma_data",
    "status chroma_data",
    "status chroma_data --thresholds .3,.5",
    "clean chroma_data",
    "rollback chroma_data --yes",
)
ONE = (
    *("--help", "migrate --help", "doctor nowhere", "plan chroma_data"),
    f"plan chroma_data {NEW} --budget 40% -o plan.json",
    "migrate chroma_data --plan plan.json --yes --force",
    *("status chroma_data", "refine chroma_data --documents 60 --yes", "resume chroma_data"),
    f"train --from chroma_data --source-model minilm --source-provider openai {NEW} --output new --passing 0"
    " --failing 0 --yes",
    *("registry list", "registry find --from all-MiniLM-L6-v2 --to potion-base-8M", "registry verify"),
    "rollback chroma_data --yes",
)

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


def shown(words: Sequence[str], columns: int, environment: Mapping[str, str]) -> list[list[Char]]:
    """The lines that a terminal of so many columns shows when a command has ended."""
    screen = Dimming(columns, LINES)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    command = [sys.executable, "-m", "lightmigrate", *words]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=dict(environment))
    os.close(theirs)
    while part := _read(ours):
        stream.feed(part)
    process.wait()
    os.close(ours)
    lines = [[screen.buffer[row][column] for column in range(columns)] for row in range(LINES)]
    last = max((row for row, line in enumerate(lines) if _text(line)), default=-1)
    return lines[: last + 1]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux's way to say that nobody has the other side open
        return b""


def _text(line: Iterable[Char]) -> str:
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
        parts.append(f"<pre><b>$ lightmigrate {html.escape(command)}</b>\n{drawn}</pre>")
    return f"<!doctype html><meta charset=utf-8><style>{style}</style>{''.join(parts)}"


def _style(letter: Char) -> tuple[str, bool, bool]:
    return letter.fg, letter.bold, letter.italics


def _span(style: tuple[str, bool, bool], letters: Iterable[Char], colours: Mapping[str, str]) -> str:
    colour, bold, faint = style
    shade = colours.get(colour, f"#{colour}")
    weight = f"font-weight: {'bold' if bold else 'normal'}; opacity: {0.55 if faint else 1}"
    return f'<span style="color: {shade}; {weight}">{html.escape("".join(letter.data for letter in letters))}</span>'


def upgrade(place: Path, collections: int, columns: int, url: str) -> list[tuple[str, list[list[Char]]]]:
    """All commands on a database in this folder, and what they show."""
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "OPENAI_BASE_URL": url,
        "OPENAI_API_KEY": KEY,
        "XDG_CACHE_HOME": str(place / "cache"),
        "XDG_DATA_HOME": str(place / "data"),
        "PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry is not None),
        "PWD": str(place),
    }
    environment.pop("NO_COLOR", None)
    before = Path.cwd()
    os.chdir(place)
    try:
        commands = (*UPGRADE, *ONE) if collections == 1 else UPGRADE
        return [(command, shown(shlex.split(command), columns, environment)) for command in commands]
    finally:
        os.chdir(before)


def main(folder: Path, databases: Iterable[int]) -> None:
    """Run and draw everything."""
    folder.mkdir(parents=True, exist_ok=True)
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as made, running_server() as server, sync_playwright() as playwright:
        server.others = {MODEL: shared_wordllama().embed}
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        for collections in databases:
            template = many(Path(made) / str(collections), collections, DATABASES[collections])
            for columns in COLUMNS:
                with tempfile.TemporaryDirectory() as place:
                    shutil.copytree(template, Path(place) / "chroma_data")
                    commands = upgrade(Path(place), collections, columns, server.url)
                name = f"{collections}-{columns}"
                text = "\n\n".join("\n".join([f"$ {command}", *map(_text, lines)]) for command, lines in commands)
                (folder / f"{name}.txt").write_text(text, encoding="utf-8")
                for ground in GROUNDS:
                    drawn = browser.new_page(viewport={"width": columns * 8 + 40, "height": 600})
                    drawn.set_content(page(commands, columns, ground))
                    drawn.screenshot(path=folder / f"{name}-{ground}.png", full_page=True)
                    drawn.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(number) for number in sys.argv[2:]] or list(DATABASES))
