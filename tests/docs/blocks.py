"""The blocks of code in README and documentation, and the pages they are in."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# A block that is not executed here says why, in a comment before it: `<!-- not run: reason -->`.
_BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>.+?) -->\n+)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        language: as stated: `sh`, `python`, `text`, …; empty for none.
        code: its lines.
        not_run: why it is not executed; empty if it is.
    """

    language: str
    code: str
    not_run: str

    def commands(self) -> list[list[str]]:
        """The words of each line of a shell block, without comments."""
        return [words for line in self.code.splitlines() if (words := shlex.split(line, comments=True))]


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page, in order."""
    found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(one["language"], one["code"], one["reason"] or "") for one in found]


def name_of(page: Path) -> str:
    """Path within the repository."""
    return page.relative_to(ROOT).as_posix()
