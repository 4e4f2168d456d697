"""Lines that end between words in a terminal, where what is to be copied is never broken."""

from __future__ import annotations

import re
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group
from rich.text import Text

# A word, or a whole command: it stands after two spaces, and goes on to the end or to the next two.
_UNIT = re.compile(r"(?<=\S  )(?:lightmigrate|pip) .*?(?=  |$)|\S+")


class WrappingConsole(Console):
    """A console that wraps sentences in a terminal, and leaves lines whole everywhere else.

    Paths and commands are longer than a line at times. The terminal itself breaks them then, so that they are copied
    as one line.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as `rich` does; sentences are wrapped in a terminal."""
        shown = map(self._wrapped, objects) if self.is_terminal else objects
        super().print(*shown, **options)

    def _wrapped(self, shown: object) -> object:
        match shown:
            case Group():
                return Group(*map(self._wrapped, shown.renderables))  # type: ignore[arg-type]  # they stay renderables
            case str():
                return wrapped(self.render_str(shown), self.width)
            case Text():
                return wrapped(shown, self.width)
        return shown


def wrapped(text: Text, width: int) -> Text:
    """The text in lines of at most `width` cells, as far as its words and commands allow; indented lines stay so."""
    lines = []
    for line in text.split("\n", allow_blank=True):
        first, *others = line.divide(_breaks(line.plain, width))
        indent = " " * _indent(line.plain)
        lines += [first, *(Text.assemble(indent, part) for part in others)]
    for line in lines:
        line.rstrip()
    return Text("\n", end=text.end).join(lines)


def _breaks(line: str, width: int) -> list[int]:
    """Where the second line begins, and every further one."""
    breaks: list[int] = []
    indent = _indent(line)
    begin = indent
    for unit in _UNIT.finditer(line):
        if unit.start() > begin and indent + cell_len(line[begin : unit.end()]) > width:
            breaks.append(unit.start())
            begin = unit.start()
    return breaks


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
