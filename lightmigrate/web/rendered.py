"""What the command line prints, as HTML: the page says the same in the same words."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import datetime

from markupsafe import Markup, escape
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lightmigrate.cli.show.terminal import readable_time

# The classes of the style sheet for what a terminal shows in colours.
_CLASSES = {"green": "ok", "yellow": "warn", "red": "bad", "dim": "dim", "bold": "strong", "cyan": "code"}


def as_html(rendered: RenderableType | None) -> Markup:
    """A text, a table or a group of these, as paragraphs and tables; everything in it escaped.

    Raises:
        TypeError: it is something else.
    """
    match rendered:
        case None:
            return Markup("")
        case Group():
            return Markup("").join(map(as_html, rendered.renderables))
        case Table():
            return _table(rendered)
        case str() | Text():
            lines = _text(rendered).split("\n")
            return Markup("").join(Markup("<p>{}</p>").format(_line(line)) for line in lines if line.plain.strip())
    raise TypeError(f"{type(rendered).__name__} is neither a text, a table nor a group")


def as_time(at: str | datetime) -> Markup:
    """A time as all pages show it, for people and for programs; a text that is no ISO 8601 stays as it is."""
    text = at if isinstance(at, str) else at.isoformat(timespec="seconds")
    shown = readable_time(text)
    return Markup('<time datetime="{}">{}</time>').format(text, shown) if shown != text else escape(text)


def in_line(rendered: RenderableType) -> Markup:
    """A text as a part of a line."""
    return _line(_text(rendered))


def _text(rendered: RenderableType) -> Text:
    return rendered if isinstance(rendered, Text) else Text.from_markup(str(rendered))


def _line(text: Text) -> Markup:
    """A line: each stretch of one style in an element of its own."""
    ends = sorted({0, len(text), *(end for span in text.spans for end in (span.start, span.end))})
    stretches = itertools.pairwise(ends)
    return Markup("").join(_stretch(text, start, end) for start, end in stretches if end <= len(text))


def _stretch(text: Text, start: int, end: int) -> Markup:
    styles = [str(text.style), *(str(span.style) for span in text.spans if span.start <= start and span.end >= end)]
    classes = {_CLASSES[word] for style in styles for word in style.split() if word in _CLASSES}
    content = escape(text.plain[start:end])
    return Markup('<span class="{}">{}</span>').format(" ".join(sorted(classes)), content) if classes else content


def _table(table: Table) -> Markup:
    numbers = [column.justify == "right" for column in table.columns]
    head = _cells([column.header for column in table.columns], numbers, _HEAD)
    rows = zip(*(column.cells for column in table.columns), strict=True)
    body = Markup("").join(Markup("<tr>{}</tr>").format(_cells(row, numbers, _CELL)) for row in rows)
    first = Markup("<thead><tr>{}</tr></thead>").format(head) if table.show_header else ""
    return Markup(
        '<div class="scroll" tabindex="0" role="group" aria-label="table"><table>{}<tbody>{}</tbody></table></div>'
    ).format(first, body)


# A cell, and one of numbers.
_HEAD = (Markup('<th scope="col">{}</th>'), Markup('<th scope="col" class="n">{}</th>'))
_CELL = (Markup("<td>{}</td>"), Markup('<td class="n">{}</td>'))


def _cells(cells: Iterable[RenderableType], numbers: list[bool], forms: tuple[Markup, Markup]) -> Markup:
    return Markup("").join(forms[number].format(in_line(cell)) for cell, number in zip(cells, numbers, strict=True))
