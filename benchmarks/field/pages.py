"""HTML pages as text with their headings beside it: `read_page(name, html, ends)`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_BLOCKS = {"p", "div", "li", "dt", "dd", "pre", "tr", "table", "ul", "ol", "dl", "section", "blockquote", "br"}
_HIDDEN = {"script", "style", "noscript"}
_SPACES = re.compile(r"[ \t\r\f\v\xa0]*\n(?:[ \t\r\f\v\xa0]*\n)*")


@dataclass(frozen=True)
class Part:
    """What stands below a heading, down to the next one.

    Attributes:
        question: the heading, which is not in the text.
        start: where it begins in the text, in characters.
        end: where it ends.
    """

    question: str
    start: int
    end: int


@dataclass(frozen=True)
class Page:
    """A document whose parts answer questions.

    Attributes:
        name: of the document.
        text: all of it, without the questions.
        parts: in the order of the text.
    """

    name: str
    text: str
    parts: tuple[Part, ...]


def read_page(name: str, html: str, ends: Sequence[str]) -> Page:
    """A page from its first heading on, up to the first of the strings `ends`; empty where there is no heading."""
    begins = html.find("<h1")
    stop = min((at for at in (html.find(end, begins) for end in ends) if at >= 0), default=len(html))
    parser = _Parser()
    parser.feed(html[begins:stop] if begins >= 0 else "")
    parser.close()
    return join_parts(name, parser.sections())


def join_parts(name: str, sections: list[tuple[str, str]]) -> Page:
    """A page of headings with what stands below each; parts are separated by a blank line."""
    text, parts = "", []
    for heading, below in sections:
        if below.strip():
            text += "\n\n" if text else ""
            parts.append(Part(heading, len(text), len(text) + len(below.strip())))
            text += below.strip()
    return Page(name, text, tuple(parts))


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self._headings: list[str] = []
        self._pieces: list[list[str]] = []  # below each heading
        self._hidden = self._code = 0
        self._heading: list[str] | None = None

    def sections(self) -> list[tuple[str, str]]:
        """Each heading with what stands below it; lines that hold nothing are what is left of nested blocks."""
        return [
            (heading, _SPACES.sub("\n", "".join(pieces)))
            for heading, pieces in zip(self._headings, self._pieces, strict=True)
        ]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag in _HEADINGS:
            self._heading = []
        elif tag == "pre":
            self._code += 1
        if tag in _BLOCKS:
            self._add("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden -= 1
        elif tag in _HEADINGS and self._heading is not None:
            self._headings.append(" ".join("".join(self._heading).replace("¶", "").split()))
            self._pieces.append([])
            self._heading = None
        elif tag == "pre":
            self._code -= 1
        if tag in _BLOCKS:
            self._add("\n")

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if not self._code and self._heading is None:
            data = re.sub(r"\s+", " ", data)
            if self._pieces and self._pieces[-1][-1:] == ["\n"]:
                data = data.lstrip()
        self._add(data)

    def _add(self, text: str) -> None:
        if self._heading is not None:
            self._heading.append(text)
        elif self._pieces:
            self._pieces[-1].append(text)
