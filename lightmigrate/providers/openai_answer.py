"""What servers with OpenAI's API answer, in the forms that they give it: not all keep to it in every detail."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import TextsRefusedError


class Row(Protocol):
    """One vector of an answer.

    Attributes:
        index: the position of its text in the request; some servers leave it out, or say 0 for each.
        embedding: numbers, `None` for those that JSON cannot hold; or little-endian float32 in base64, which some
            servers send whatever was asked for.
    """

    index: int | None
    embedding: Sequence[float | None] | str | None


def vectors_in(rows: Sequence[Row], texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
    """The vectors of an answer in the order of the texts, as many as it has; NaN for what is missing in them.

    Raises:
        TextsRefusedError: there is no vector; or as many as texts, but which is of which is not said, so that requests
            of one text are needed.
        TypeError, ValueError: it holds something else.
    """
    vectors = [_numbers_in(row.embedding) for row in _in_order(rows, texts)]
    width = max((len(vector) for vector in vectors if vector is not None), default=0)
    if rows and not width:
        raise TextsRefusedError("the answer holds no vector", texts=texts, reason="the answer holds no vector")
    return [np.full(width, np.nan, np.float32) if vector is None else vector for vector in vectors]


def _in_order(rows: Sequence[Row], texts: Sequence[str]) -> Sequence[Row]:
    if len(rows) != len(texts) or len(rows) == 1:
        return rows
    if sorted(row.index for row in rows if row.index is not None) != list(range(len(rows))):
        reason = f"which vector is of which of {len(texts)} texts in one batch is not said"
        raise TextsRefusedError(f"the answer cannot be used: {reason}", texts=texts, reason=reason)
    return sorted(rows, key=lambda row: row.index or 0)


def _numbers_in(embedding: Sequence[float | None] | str | None) -> npt.NDArray[np.float32] | None:
    """The numbers of a vector, float32 `(d,)`, NaN for those that are missing; `None` where there are none."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    if not embedding:
        return None
    return np.array([np.nan if number is None else number for number in embedding], np.float32)
