"""Asks before a model that costs money is asked for more than a little to find out what is best."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightmigrate.commands.conversation import Conversation
    from lightmigrate.providers.base import Bill

# What costs less than this in all is not asked about.
LITTLE_DOLLARS = 0.05


class AskBeforePaying:
    """Asks before a run has spent more than a little that nobody agreed to; see `training.limits.BeforePaying`.

    Args:
        conversation: with the caller.
        model: its name.
    """

    def __init__(self, conversation: Conversation, model: str) -> None:
        self._conversation, self._model = conversation, model
        self._unasked = 0.0  # dollars since the last yes

    def __call__(self, bill: Bill, purpose: str) -> None:
        """Ask if this is more than a little, or of unknown price.

        Raises:
            RefusedError: the answer is no.
        """
        self._unasked += bill.dollars or 0.0
        if bill.dollars is not None and self._unasked <= LITTLE_DOLLARS:
            return
        cost = "of unknown price" if bill.dollars is None else f"about ${bill.dollars:,.2f}"
        self._conversation.require(
            f"Embed up to {bill.tokens:,} tokens with {self._model} ({cost}) {purpose}?", "measure"
        )
        self._unasked = 0.0
