"""The model embeds more texts while a projection is fitted: that takes one core, and the model would rest.

Measured on two cores, a fit to 1,000 documents (`benchmarks/fit_beside.py`): 5.5 seconds alone, and as many beside a
model that embedded meanwhile what takes it 2.7 seconds alone. With two threads for the fit 4.1 seconds, and 14.5 beside
the model.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from lightmigrate.errors import loggable
from lightmigrate.progress import OnProgress, Progress, logger
from lightmigrate.threads import one_core


@contextlib.contextmanager
def while_fitting(embed_some: Callable[[], int], on_progress: OnProgress) -> Iterator[OnProgress]:
    """For a block: calls `embed_some` in a thread while a projection is fitted. No call runs after the block.

    A failure of the model ends the calls and is left to whoever asks it next.

    Args:
        embed_some: embeds texts for a fraction of a second; returns how many, 0 when none is left.
        on_progress: receives the progress of what is learned.

    Returns:
        What is to receive the progress instead: it tells when a fit begins and ends.
    """
    fitting = contextlib.ExitStack()

    def listen(progress: Progress) -> None:
        if progress.step == "fit":
            fitting.close()
            if progress.done < progress.total:
                fitting.enter_context(one_core())
                fitting.enter_context(_calling(embed_some))
        on_progress(progress)

    with fitting:
        yield listen


@contextlib.contextmanager
def _calling(act: Callable[[], int]) -> Iterator[None]:
    """Call `act` in a thread until the block ends, or it returns 0."""
    ended = threading.Event()

    def run() -> None:
        try:
            while not ended.is_set() and act():
                pass
        except Exception as error:  # whatever a model raises  # noqa: BLE001
            logger.debug("embedding while a projection is fitted has ended: %s", loggable(error))

    thread = threading.Thread(target=run, name="lightmigrate-meanwhile", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
