"""What a command tells its caller while it works, and what it asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lightmigrate.errors import RefusedError
from lightmigrate.progress import OnProgress
from lightmigrate.results import Result


@dataclass(frozen=True)
class Notice(Result):
    """Something that a user should know.

    Attributes:
        text: in one sentence, with the command that deals with it.
    """

    text: str


@dataclass(frozen=True)
class Question(Result):
    """What a command asks before it goes on.

    Attributes:
        text: to be answered with yes or no.
        purpose: what happens after a yes, in a word or two.
    """

    text: str
    purpose: str


@dataclass(frozen=True)
class Conversation:
    """How a command talks to its caller.

    Attributes:
        confirm: answers a question; the command ends with `RefusedError` after a no.
        show: receives intermediate results (a `Plan`, an `Estimate`, a `Training`, a `Notice`), in order.
        on_progress: receives the progress of long steps.
    """

    confirm: Callable[[Question], bool]
    show: Callable[[Result], None] = lambda result: None
    on_progress: OnProgress | None = None

    def require(self, text: str, purpose: str) -> None:
        """Ask, and raise `RefusedError` after a no."""
        if not self.confirm(Question(text, purpose)):
            raise RefusedError("not confirmed: nothing was changed")


# For a caller that has decided already.
AGREED = Conversation(confirm=lambda question: True)
