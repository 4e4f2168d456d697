"""What can be wrong with a folder of projections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lightmigrate.results import Result

Kind = Literal[
    "list",  # registry.json itself cannot be used
    "missing",
    "outside",  # a link, or not a file
    "altered",
    "unreadable",
    "contradicting",  # the file says other things than the list
    "unfinished",  # whole, but not under its own name yet
    "unlisted",
    "leftover",  # half a file that a crash left
]


@dataclass(frozen=True)
class Problem(Result):
    """Something `Registry.verify` found.

    Attributes:
        file: its name within the folder.
        kind: what is wrong.
        message: in one line, with the way out.
    """

    file: str
    kind: Kind
    message: str
