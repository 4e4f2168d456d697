"""Units are converted by workers, with one progress over all of them; those that fail are named, the others go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from lightmigrate.errors import FailedError
from lightmigrate.progress import Report
from lightmigrate.scale.executor import Executor
from lightmigrate.scale.manifest import Done, DonePart, Failed, Stopped

# Units that a message names.
_NAMED = 3


class _OfUnit(Protocol):
    @property
    def unit(self) -> str: ...


_Task = TypeVar("_Task", bound=_OfUnit)


def convert_all(
    executor: Executor,
    work: Callable[[_Task], Done | DonePart | Failed | Stopped],
    tasks: Sequence[_Task],
    report: Report,
    *,
    finished: int,
    rows: int,
    units: int,
    what: str,
) -> int:
    """Convert units; returns how many. Writes, by `work`.

    Args:
        executor: the workers.
        work: converts the unit of a task.
        tasks: one for each unit that is not converted yet.
        report: receives the vectors that are done.
        finished: vectors of units that are converted already.
        rows: of all units.
        units: how many there are, converted ones included.
        what: they are, such as `files`.

    Raises:
        FailedError: some could not be converted; those that were only written to meanwhile do not count.
        CostError: a limit of cost was reached; the units that were begun were ended.
        ProviderError: the new model fails, likewise.
    """
    converted, failed, stopped = 0, list[Failed](), list[Stopped]()
    report("project", finished, rows)
    for task, result in executor.run(work, tasks, lambda: bool(stopped)):
        if isinstance(result, (Done, DonePart)):
            finished, converted = finished + result.vectors, converted + 1
            report("project", min(finished, rows), rows)
        elif isinstance(result, Stopped):
            stopped.append(result)
        elif not isinstance(result, Failed):
            failed.append(Failed(task.unit, f"{type(result).__name__}: {result}"))
        elif not result.changed:  # what was written to is seen again in the next pass
            failed.append(result)
    if stopped:
        raise stopped[0].error()
    if failed:
        raise FailedError(_failure(failed, units, what))
    return converted


def _failure(failed: Sequence[Failed], total: int, what: str) -> str:
    first = "; ".join(f"{each.unit}: {each.reason}" for each in failed[:_NAMED])
    more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    return (
        f"{len(failed)} of {total} {what} were not converted, the others were, and nothing was put in place: "
        f"{first}{more}; mend them, and run the same command again for these {what} alone"
    )
