"""Whether one model answers all of a run: another one can begin to answer under its name at any moment.

A short fixed text goes along with the texts of a request, as the last of them. Whatever answers the request answers it,
too; so an answer is taken only with the vector that the model gave the fixed text when it was first asked for it. That
makes no request, nothing of another model is kept, and one that takes the place of the model for a moment is seen.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import numpy as np

from lightmigrate.errors import CostError, ModelExchangedError, ProviderError, TextsRefusedError
from lightmigrate.vectors import Vectors, finite_rows

# Every model is asked for it: does it still give the vector that it gave before?
PROBE = "lightmigrate asks: which embedding model are you?"

# One model gives one text vectors of at least this cosine on two days; two models never do.
SAME_PROBE = 0.999

# And beside other texts, which change the numbers of some models of 8 bits.
SAME_BESIDE_OTHERS = 0.98


class SameModel:
    """The model that a provider began with. Its methods can be called from several threads.

    Args:
        name: of the model, for messages.
        ask: gives the model's vector `(1, d)` of the fixed text, in a request of its own.
    """

    def __init__(self, name: str, ask: Callable[[], Vectors]) -> None:
        self._name, self._ask = name, ask
        self._lock = threading.RLock()
        self._first: Vectors | None = None
        self._beside: dict[bool, Vectors] = {}  # as a document and as a query, in the first answer that shows it
        self._failed = self._refused = False

    @property
    def asked(self) -> bool:
        """Whether the vector of the fixed text is known."""
        return self._first is not None

    def first(self) -> Vectors:
        """The vector `(1, d)` that the model gave the fixed text when it was first asked for it.

        Raises:
            ModelExchangedError: another model answered before.
            ProviderError, CostError: as `ask`.
        """
        with self._lock:
            if self._first is None:
                try:
                    asked = self._ask()
                except (ProviderError, CostError) as error:
                    self._failed, self._refused = True, isinstance(error, TextsRefusedError)
                    raise
                if (beside := self._beside.get(False)) is not None and cosine(beside, asked[0]) < SAME_BESIDE_OTHERS:
                    raise self._exchanged(beside, asked[0])
                self._first = asked
            return self._first

    def expect(self, vector: Vectors | None) -> None:
        """Begin anew, with the vector `(1, d)` that is to be given; `None` for that of whatever answers next."""
        with self._lock:
            self._first, self._failed, self._refused = vector, False, False
            self._beside.clear()

    def can_be_asked(self) -> bool:
        """Whether the fixed text can go along. Where it was asked for by itself in vain, it is once more."""
        if self._first is None and self._failed and not self._refused:
            with contextlib.suppress(ProviderError, CostError):
                self.first()
        return self._first is not None or not self._failed

    def require(self, beside: Vectors, *, queries: bool) -> None:
        """Raise `ModelExchangedError` where an answer is of another model than the first.

        Where its vector does not tell, the fixed text is asked for by itself, because some models embed queries in
        another way, or depend on what is embedded beside.

        Args:
            beside: the vector `(d,)` of the fixed text in the answer; NaN where there is none.
            queries: whether it was embedded as a query.

        Raises:
            ModelExchangedError: another model gave it.
            ProviderError, CostError: it does not tell, and the model cannot be asked.
        """
        with self._lock:
            alone = [] if self._first is None else [self._first[0]]
            known = alone + [self._beside[kind] for kind in (False, queries) if kind in self._beside]
            if any(same_probe(vector, beside) for vector in known):
                return
            if known:
                now = self._ask()[0]
                if cosine(known[0], now) < (SAME_PROBE if alone else SAME_BESIDE_OTHERS):
                    raise self._exchanged(known[0], now)
                of_its_kind = not queries or queries in self._beside
                if of_its_kind and cosine(known[-1], beside) < SAME_BESIDE_OTHERS:
                    raise self._exchanged(known[-1], beside)
            if finite_rows(beside[None])[0]:
                self._beside.setdefault(queries, beside)

    def _exchanged(self, before: Vectors, now: Vectors) -> ModelExchangedError:
        if before.shape != now.shape:
            return exchanged(self._name, f"vectors of {len(now)} dimensions, before it was {len(before)}")
        return exchanged(self._name, f"other vectors than before (of cosine {cosine(before, now):.2f})")


def exchanged(name: str, seen: str) -> ModelExchangedError:
    """The error for another model that answers under the same name.

    Args:
        name: of the model.
        seen: what it gives now.
    """
    return ModelExchangedError(
        f"{name} gave {seen} in the middle of the run; was the model exchanged? nothing of the other one was kept: do "
        "the same again when only one of them answers; a collection that has vectors of the former one already is "
        "planned again:  lightmigrate plan DATABASE --target-model MODEL"
    )


def cosine(before: Vectors, now: Vectors) -> float:
    """The cosine of two vectors `(d,)`; 0 where there is none, as for those of different dimensions."""
    lengths = float(np.linalg.norm(before) * np.linalg.norm(now)) if before.shape == now.shape else 0.0
    return float(np.vdot(before, now)) / lengths if lengths > 0 else 0.0


def same_probe(before: Vectors, now: Vectors) -> bool:
    """Whether two vectors `(d,)` of one text are of one model."""
    return cosine(before, now) >= SAME_PROBE
