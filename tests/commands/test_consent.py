"""A run asks before it has spent more than a little, or anything of unknown price, that nobody agreed to."""

from __future__ import annotations

import pytest

from lightmigrate.commands.consent import LITTLE_DOLLARS, AskBeforePaying
from lightmigrate.commands.conversation import Conversation, Question
from lightmigrate.errors import RefusedError
from lightmigrate.providers.base import Bill


def test_a_question_comes_before_more_than_a_little_in_all() -> None:
    asked: list[str] = []

    def agree(question: Question) -> bool:
        asked.append(question.text)
        return True

    ask = AskBeforePaying(Conversation(agree), "a-model")
    for cents in (3, 2):
        ask(Bill(1000, cents / 100), "to look")
    assert asked == []
    ask(Bill(1200, 0.01), "to measure")
    assert asked == ["Embed up to 1,200 tokens with a-model (about $0.01) to measure?"]
    ask(Bill(1000, LITTLE_DOLLARS), "to look again")
    ask(Bill(10**9, 0.0), "for nothing")
    assert len(asked) == 1, "what was agreed to does not count any more"
    ask(Bill(5, None), "to look")
    assert asked[1:] == ["Embed up to 5 tokens with a-model (of unknown price) to look?"]


def test_a_no_ends_it() -> None:
    ask = AskBeforePaying(Conversation(lambda question: False), "a-model")
    with pytest.raises(RefusedError, match="nothing was changed"):
        ask(Bill(10, 1.0), "to look")
