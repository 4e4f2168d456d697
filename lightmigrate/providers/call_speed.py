"""How fast a server embeds, from the calls that were made: of a call, of its tokens, and of several calls at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# So many calls tell, the newest ones and the first, which is small: a server may have become slower meanwhile.
NEWEST = 64


@dataclass(frozen=True)
class TimedCall:
    """One call of a model.

    Attributes:
        texts: that it embedded.
        tokens: of them, estimated; at least 1.
        seconds: that it took.
        started: when, on the monotonic clock, in seconds.
    """

    texts: int
    tokens: int
    seconds: float
    started: float

    @property
    def ended(self) -> float:
        """When the answer was there, on the same clock."""
        return self.started + self.seconds


@dataclass(frozen=True)
class CallSpeed:
    """What a call of a server takes that is made alone, and how many of them are answered in the time of one.

    Attributes:
        of_call: seconds of a call, however little it holds.
        of_token: seconds for each estimated token.
        at_once: calls that are answered in the time of one, when as many as allowed are made at the same time; `None`
            where none were. A server may have one processor.
    """

    of_call: float
    of_token: float
    at_once: float | None

    @classmethod
    def of(cls, calls: Sequence[TimedCall], most: int) -> CallSpeed | None:
        """From calls of different size; `None` where there are none.

        Where all were made at the same time as others, they tell less well what a call takes.

        Args:
            calls: in the order in which they were made.
            most: calls that are made at the same time.
        """
        groups = _at_the_same_time(calls if len(calls) <= NEWEST else [calls[0], *calls[-NEWEST:]])
        alone = [group[0] for group in groups if len(group) == 1]
        later = _line([call for call in alone if call is not calls[0]])  # the first one waits for its client, too
        of_call, of_token = later or _line(alone) or _line([call for group in groups for call in group]) or (0.0, 0.0)
        if not of_call and not of_token:
            return None
        together = max((group for group in groups if len(group) > 1), key=_tokens, default=None)
        if together is None:
            return cls(of_call, of_token, None)
        one_by_one = sum(of_call + of_token * call.tokens for call in together)
        took = max(call.ended for call in together) - min(call.started for call in together)
        made = min(most, len(together))
        gained = max(0.0, min(one_by_one / max(took, 1e-9), made) - 1) / max(1, made - 1)
        return cls(of_call, of_token, 1 + (most - 1) * gained)


def _at_the_same_time(calls: Sequence[TimedCall]) -> list[list[TimedCall]]:
    """The calls in groups: each was under way together with another one of its group."""
    groups: list[list[TimedCall]] = []
    until = float("-inf")
    for call in sorted(calls, key=lambda call: call.started):
        if call.started >= until:
            groups.append([])
        groups[-1].append(call)
        until = max(until, call.ended)
    return groups


def _tokens(group: Sequence[TimedCall]) -> int:
    return sum(call.tokens for call in group)


def _line(calls: Sequence[TimedCall]) -> tuple[float, float] | None:
    """Seconds of a call and of a token, through the smallest and the largest one; `None` where these are equal.

    Where the smallest took longer, something else held it up: all that the largest took is counted for its tokens.
    """
    ordered = sorted(calls, key=lambda call: (call.texts, call.tokens))
    if not ordered or ordered[0].texts == ordered[-1].texts:
        return None
    small, large = ordered[0], ordered[-1]
    if small.seconds > large.seconds:
        return 0.0, large.seconds / large.tokens
    of_token = (large.seconds - small.seconds) / max(1, large.tokens - small.tokens)
    return max(0.0, large.seconds - of_token * large.tokens), of_token
