"""Embeds texts in slices of a fraction of a second, so that a model on this machine leaves room for searches."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from lightmigrate.errors import LightmigrateError, ProviderError
from lightmigrate.providers.call_size import CallSize
from lightmigrate.refinement.processors import Processors

# A slice takes at most about so long while searches have to be answered, and while they have not; longer only where
# that makes a text much cheaper, as for a model on a server or a GPU.
SECONDS, SECONDS_UNCALLED = 0.1, 1.0


class StoppedError(LightmigrateError):
    """The refinement was stopped before a text was embedded."""


class Slices:
    """Calls a model with a few texts at a time.

    Args:
        quiet: waits until the next slice may begin; `False` to stop.
        called: whether searches have to be answered meanwhile.
        processors: lets either the model or the database work, where both need the same.
    """

    def __init__(
        self,
        quiet: Callable[[], bool],
        called: Callable[[], bool] = lambda: True,
        processors: Processors | None = None,
    ) -> None:
        self._quiet, self._called, self._processors = quiet, called, processors or Processors()
        self._call_size = CallSize()

    def encode(self, model: Callable[[Sequence[str]], Any], texts: Sequence[str]) -> list[Any]:
        """The vectors of some texts, in order. Calls the model.

        Raises:
            StoppedError: it was stopped.
            ProviderError: the model answered with fewer or more vectors.
        """
        vectors: list[Any] = []
        while len(vectors) < len(texts):
            if not self._quiet():
                raise StoppedError("the refinement was stopped")
            start = len(vectors)
            size = self._call_size.texts(len(texts[start]), SECONDS if self._called() else SECONDS_UNCALLED)
            part = texts[start : start + size]
            with self._processors.taken():
                started, used = time.monotonic(), time.process_time()
                answer = list(model(part))
                seconds, used = time.monotonic() - started, time.process_time() - used
            self._processors.learn(seconds, used)
            if len(answer) != len(part):  # the next slice would be of other texts
                raise ProviderError(
                    f"the model gave {len(answer)} vectors for {len(part)} texts: the answer was cut short; try again"
                )
            vectors.extend(answer)
            self._call_size.learn(part, seconds)
        return vectors
