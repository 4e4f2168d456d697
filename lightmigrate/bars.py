"""Progress bars on stderr, one for each step."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lightmigrate.console.terminal import messages

if TYPE_CHECKING:
    from lightmigrate.migration.progress import Progress as MigrationProgress

AnyBars = TypeVar("AnyBars", bound="_Bars")


class _Bars:
    """What all bars have in common; a context manager that shows them."""

    def __init__(self) -> None:
        self.shown = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=messages,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self: AnyBars) -> AnyBars:
        self.shown.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shown.stop()

    def draw(self, step: str, done: int, total: int, note: str = "") -> None:
        """Move the bar of a step, which is made when it is first heard of."""
        if step not in self._tasks:
            self._tasks[step] = self.shown.add_task(step, total=total, note=note)
        self.shown.update(self._tasks[step], completed=done, note=note)

    def speed(self, step: str) -> float | None:
        """Of a step, in units a second."""
        task = self.shown.tasks[self._tasks[step]] if step in self._tasks else None
        return None if task is None else task.finished_speed or task.speed


class TrainingBars(_Bars):
    """How far embedding and fitting are, and how fast."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Draw one report."""
        step = f"{step:<24}"
        speed = self.speed(step)
        self.draw(step, done, total, f"{speed:,.0f}/s" if speed and total > 1 else "")


_STEPS = {"copy": "copying the database", "project": "projecting", "write": "writing", "verify": "verifying"}


class MigrationBars(_Bars):
    """How far a migration is: megabytes of the copy, records of the rest."""

    def __call__(self, progress: MigrationProgress) -> None:
        """Draw one report."""
        unit, scale = ("MiB", 2**20) if progress.step == "copy" else ("records", 1)
        total = max(1, progress.total // scale)
        done = total if progress.done >= progress.total else progress.done // scale
        self.draw(f"{_STEPS[progress.step]} {progress.collection}".strip(), done, total, unit)
