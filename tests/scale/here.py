"""Units worked on in this process: for tests of anything but the workers, which new processes would take most of."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from lightmigrate.providers.cache_file import CacheFile, VectorFile
from lightmigrate.scale.executor import Returned, Task, never

# Of a test: the commands that it runs work in this process, too.
in_this_process = pytest.mark.usefixtures("without_workers")


class Here:
    """See `executor.Executor`: one unit after the other; tasks and results are pickled, as on their way to a worker."""

    workers = 1

    def sharing(self, cache: Path) -> contextlib.AbstractContextManager[VectorFile]:
        return contextlib.nullcontext(CacheFile(cache, shared=True))

    def prepared(self, work: Callable[[Task], Returned]) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def run(
        self, work: Callable[[Task], Returned], tasks: Sequence[Task], stopped: Callable[[], bool] = never
    ) -> Iterator[tuple[Task, Returned | Exception]]:
        for task in tasks:
            if stopped():
                return
            returned: Returned | Exception
            try:
                returned = pickle.loads(pickle.dumps(work(pickle.loads(pickle.dumps(task)))))
            except Exception as error:  # as workers return it  # noqa: BLE001
                returned = error
            yield task, returned
