"""Progress bars on stderr, one for each step."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from lightmigrate.progress import Progress

_STEPS = {
    "copy": "copying the database",
    "project": "projecting",
    "write": "writing",
    "verify": "verifying",
    "refine": "refining",
}


class ProgressBars:
    """A bar for every step that reports. Shown from the first report on; a context manager that stops at its end."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> ProgressBars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Leave the bars as they are, and begin new ones with the next report."""
        if self._bars is not None:
            self._bars.stop()
        self._bars, self._tasks = None, {}

    def __call__(self, progress: Progress) -> None:
        """Draw one report: megabytes of a copy, otherwise units and how many a second."""
        if self._bars is None:
            self._bars = _new_bars()
            self._bars.start()
        name = f"{_STEPS.get(progress.step, progress.step)} {progress.collection}".strip()
        scale = 2**20 if progress.step == "copy" else 1
        total = max(1, progress.total // scale)
        done = total if progress.done >= progress.total else progress.done // scale
        speed = self._speed(self._bars, name)
        note = "MiB" if progress.step == "copy" else f"{speed:,.0f}/s" if speed and total > 1 else ""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(f"{name:<24}", total=total, note=note)
        self._bars.update(self._tasks[name], completed=done, note=note)

    def _speed(self, bars: Bars, name: str) -> float | None:
        """Units a second of a step."""
        task = bars.tasks[self._tasks[name]] if name in self._tasks else None
        return None if task is None else task.finished_speed or task.speed


def _new_bars() -> Bars:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from lightmigrate.cli.show.terminal import messages

    return Progress(
        TextColumn("  {task.description}", markup=False),  # names may hold brackets
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=messages,
    )
