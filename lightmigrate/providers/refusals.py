"""What a model says when it refuses a text: the reason in one line, and how long a text may be."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence

from lightmigrate.errors import TextsRefusedError

# A request that was refused for what is in it: bad request, too large, unprocessable.
_REFUSING = {400, 413, 422}

# A status of 429 mostly says that too much was asked for in a minute, or for the money. That one request alone is too
# large is said with the same status.
_REQUEST_TOO_LARGE = re.compile(r"too (large|long|big)|must be reduced", re.IGNORECASE)

# A status of 500 that servers give to a text that they cannot embed, by what the message says.
_ABOUT_INPUT = re.compile(
    r"too (large|long|many)|exceed|context (length|size|window)|maximum|unsupported value|batch size|nan\b",
    re.IGNORECASE,
)

# Words of the same that speak of the server's state: the same request may be accepted a moment later.
_ABOUT_SERVER = re.compile(
    r"deadline|timed? ?-?out|rate.?limit|quota|too many (requests|open|connections)|connection|overloaded|retries",
    re.IGNORECASE,
)

# Words of a refusal for what a text says, not for its length.
_POLICY = re.compile(r"polic|content.?filter|moderat|safety|flagged|harmful|prohibited|inappropriate", re.IGNORECASE)

# Words of a refusal for length.
_LENGTH = re.compile(r"token|length|too (large|long|big)|exceed|context|maximum|limit|reduce|size", re.IGNORECASE)

# Words of a refusal of a whole request, of which each text alone may be accepted.
_REQUEST = re.compile(
    r"per request|per batch|in (the|your|one|a) batch|batch (is|size)|array too long|inputs? array", re.IGNORECASE
)

# Words of a refusal for the number of texts in a request.
_NUMBER_OF_TEXTS = re.compile(
    r"array|batch size|number of (inputs|texts|items)|\d+ (inputs|texts|items)", re.IGNORECASE
)

# The most tokens of a text, as servers say it: OpenAI, vLLM, TEI, Voyage, Ollama, Cohere.
_NUMBER = r"(\d[\d,_]*)"
_LIMITS = (
    rf"max(?:imum)?\.? (?:input|context|sequence|allowed)?[ _]?(?:length|tokens?|size)[^\d]{{0,20}}{_NUMBER}",
    rf"(?:less|fewer|shorter|more|longer|at most|up to) (?:than )?{_NUMBER} tokens",
    rf"limit(?: of| is|:)? {_NUMBER}",
    rf"context (?:length|size|window)[^\d]{{0,20}}{_NUMBER}",
    rf"{_NUMBER}[- ]token (?:limit|context)",
    rf"physical batch size[^\d]{{0,30}}{_NUMBER}",
)
_GIVEN = (
    rf"(?:requested|given|got|has|have|contains?|provided|input of|resulted in)[:\s]*{_NUMBER}(?: tokens)?",
    rf"\({_NUMBER} tokens\)",
)
_PLACE = re.compile(r"input\W{0,2}\[(\d+)\]")

# What OpenAI says when a limit of a minute is reached, and others after it: "try again in 1m20.5s", "after 350ms".
_AGAIN = re.compile(
    r"(?:again|retry)\s+(?:in|after)\s+(?:(\d+)\s*m(?:in\w*)?)?\s*(?:(\d+(?:\.\d+)?)\s*(ms|milli\w*|s|sec\w*))?\b",
    re.IGNORECASE,
)

_SECRET = re.compile(r"\b(sk|pk|key|tok)-[\w-]{6,}|Bearer \S+", re.IGNORECASE)

# As much of a server's reason as a message quotes, and the fewest words in a row that count as a piece of a text.
MOST_CHARACTERS = 200
_PIECE = 4


def reason_of(error: Exception, texts: Sequence[str]) -> str:
    """What a server says, in one line, without the texts and without keys.

    A library may put anything into its exceptions, texts and keys included. So of one that does not carry a server's
    answer only the type is named, and the limit if it states one.
    """
    body = getattr(error, "body", None)
    message = _message_in(body) or getattr(error, "message", None) or str(error)
    if not isinstance(_status(error), int):
        limit = _first(_LIMITS, str(message))
        return type(error).__name__ + (f": at most {limit} tokens" if limit is not None else "")
    words = str(message).split()
    sent = " ".join(" ".join(texts).split())
    quoted = [False] * len(words)
    for start in range(len(words)):
        run = words[start : start + _PIECE]
        if " ".join(run) in sent and (len(run) == _PIECE or len(run[0]) > 20):
            quoted[start : start + len(run)] = [True] * len(run)
    for text in {" ".join(text.split()) for text in texts}:
        length = len(text.split())
        if len(text) > 3 and length < _PIECE:
            for start in range(len(words)):
                if text in " ".join(words[start : start + length]):
                    quoted[start : start + length] = [True] * len(words[start : start + length])
    kept = [word for word, hidden in zip(words, quoted, strict=True) if not hidden]
    reason = _SECRET.sub("…", " ".join(kept))
    key = os.environ.get("OPENAI_API_KEY", "")
    if len(key) > 3:
        reason = reason.replace(key, "…")
    return reason if len(reason) <= MOST_CHARACTERS else reason[: MOST_CHARACTERS - 1] + "…"


def is_about_texts(error: Exception) -> bool:
    """Whether an exception of a server or a library may be about the texts, and not about the connection or the key."""
    status = _status(error)
    if isinstance(status, int):
        return refuses_texts(status, str(error))
    unrelated = (ConnectionError, TimeoutError, ImportError, OSError)
    names = {parent.__name__ for parent in type(error).__mro__}
    return not isinstance(error, unrelated) and not names & {"APIConnectionError", "TransportError", "RequestException"}


def refuses_texts(status: int, message: str) -> bool:
    """Whether an answer that is no success may be about the texts, so that the same texts are refused again."""
    if status == 500:
        return _ABOUT_INPUT.search(message) is not None and _ABOUT_SERVER.search(message) is None
    return status in _REFUSING or (status == 429 and _REQUEST_TOO_LARGE.search(message) is not None)


def is_busy(error: Exception) -> bool:
    """Whether a server says that it is asked too often, or that a quota is used up."""
    return _status(error) == 429


def seconds_to_wait(error: Exception) -> float | None:
    """The seconds after which a server that refused a call wants to be asked again; `None` where it does not say."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    try:
        seconds = float(headers["retry-after"]) if headers is not None else math.nan
    except (KeyError, TypeError, ValueError):  # a date, or nothing
        seconds = math.nan
    if seconds >= 0:
        return seconds
    said = _AGAIN.search(str(error))
    if said is None or not (said[1] or said[2]):
        return None
    thousandth = 1000.0 if (said[3] or "").lower().startswith("m") else 1.0
    return 60.0 * int(said[1] or 0) + float(said[2] or 0) / thousandth


def is_policy(refusal: TextsRefusedError) -> bool:
    """Whether a text was refused for what it says, so that a part of it is not what was meant to be embedded."""
    return bool(_POLICY.search(refusal.reason))


def is_length(refusal: TextsRefusedError) -> bool:
    """Whether a text was refused for its length."""
    return bool(_LENGTH.search(refusal.reason))


def is_whole_request(refusal: TextsRefusedError) -> bool:
    """Whether the request as a whole was too large."""
    return bool(_REQUEST.search(refusal.reason))


def is_number_of_texts(refusal: TextsRefusedError) -> bool:
    """Whether the request had too many texts, and not too many tokens."""
    return bool(_NUMBER_OF_TEXTS.search(refusal.reason))


def place_of(refusal: TextsRefusedError) -> int | None:
    """The position, in the request, of the text that was refused; `None` where the reason does not say it."""
    found = _PLACE.search(refusal.reason)
    return None if found is None else int(found[1])


def token_limit(refusal: TextsRefusedError) -> int | None:
    """The most tokens of a text, as the reason says it; `None` where it does not."""
    return _first(_LIMITS, refusal.reason)


def tokens_given(refusal: TextsRefusedError) -> int | None:
    """The tokens of the refused text, as the reason says it; `None` where it does not."""
    limit, given = token_limit(refusal), _first(_GIVEN, refusal.reason)
    return given if given is not None and limit is not None and given > limit else None


def _status(error: Exception) -> object:
    """The HTTP status that an exception of a client library carries, if any."""
    return getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)


def _first(patterns: Sequence[str], reason: str) -> int | None:
    for pattern in patterns:
        found = re.search(pattern, reason, re.IGNORECASE)
        if found is not None:
            return int(re.sub(r"[,_]", "", found[1])) or None
    return None


def _message_in(body: object) -> str:
    """The message in the body of an answer, whichever of the usual forms it has."""
    if isinstance(body, dict):
        for name in ("message", "error", "detail", "msg"):
            if name in body and (message := _message_in(body[name])):
                return message
    if isinstance(body, list) and body:
        return _message_in(body[0])
    return body if isinstance(body, str) else ""
