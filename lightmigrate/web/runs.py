"""Runs: commands that work in this process, whoever looks. Closing a page stops none."""

from __future__ import annotations

import copy
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Literal

from lightmigrate.commands.conversation import Conversation, Question
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.errors import LightmigrateError, RefusedError
from lightmigrate.progress import Progress, logger
from lightmigrate.web.databases import PageDatabase

RunState = Literal["waiting", "working", "asking", "finished", "refused", "failed", "stopped"]

# The states in which nothing happens any more.
ENDED = ("finished", "refused", "failed", "stopped")

# A command of this room's caller: works on the opened database, and returns its result.
Work = Callable[[DatabaseChoice, Conversation], object]

# Runs that are remembered; those that ended first are forgotten first.
REMEMBERED = 100


class _Stop(KeyboardInterrupt):
    """Ends a command as Ctrl+C does: no command takes it for a failure."""


@dataclass
class StepProgress:
    """How far one step of a run is.

    Attributes:
        name: of the step.
        collection: at work, where it is one.
        done: units finished: bytes for `copy`, records or texts otherwise.
        total: units there are.
        began: seconds of the monotonic clock.
        seconds: from its beginning to its last report.
    """

    name: str
    collection: str
    done: int
    total: int
    began: float
    seconds: float = 0.0

    @property
    def per_second(self) -> float | None:
        """Units a second; `None` before there is something to tell it by."""
        return self.done / self.seconds if self.done and self.seconds > 0.2 else None

    @property
    def seconds_left(self) -> float | None:
        """Until it is finished at this rate; `None` where that is not known."""
        rate = self.per_second
        return None if rate is None or self.done >= self.total else (self.total - self.done) / rate


@dataclass
class Run:
    """One command, its conversation and its result. Threads change it; pages read it.

    Attributes:
        key: its name in the addresses of the page.
        database: that it works on.
        kind: the command.
        title: what it does, in a few words.
        command: the same as a command line.
        about: key of the collection that it is about; empty for the database.
        started: when it was started.
        state: what it is doing.
        shown: what the command has shown so far, and at last its result: objects of any kind of result.
        steps: the steps that reported.
        question: what it asks; `None` unless it is `asking`.
        message: why it ended, if it did not finish.
        stopping: whether it ends as soon as it reports or asks.
        version: grows with every change.
    """

    key: str
    database: PageDatabase
    kind: str
    title: str
    command: str
    about: str = ""
    started: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    state: RunState = "waiting"
    shown: list[object] = field(default_factory=list)
    steps: list[StepProgress] = field(default_factory=list)
    question: Question | None = None
    message: str = ""
    stopping: bool = False
    version: int = 0
    _changing: threading.Condition = field(default_factory=threading.Condition, repr=False)
    _answer: bool | None = field(default=None, repr=False)

    @property
    def ended(self) -> bool:
        """Whether nothing happens any more."""
        return self.state in ENDED

    @property
    def result(self) -> object | None:
        """What the command returned; `None` unless it finished."""
        return self.shown[-1] if self.state == "finished" and self.shown else None

    def snapshot(self) -> Run:
        """A copy that does not change: all that a page shows is of one moment."""
        with self._changing:
            copied = copy.copy(self)
            copied.shown, copied.steps = list(self.shown), [copy.copy(step) for step in self.steps]
        return copied

    def wait(self, seconds: float) -> Run:
        """Wait until it asks something or has ended, or so long at most; itself."""
        with self._changing:
            self._changing.wait_for(lambda: self.ended or (self.question is not None and self._answer is None), seconds)
        return self

    def answer(self, question: str, agreed: bool) -> bool:
        """Answer what it asks.

        Args:
            question: its text: another one, asked meanwhile in another tab, is not answered.
            agreed: yes or no.

        Returns:
            Whether it asked that.
        """
        with self._changing:
            if self.question is None or self.question.text != question or self._answer is not None:
                return False
            self._answer = agreed
            self._changing.notify_all()
            return True

    def stop(self) -> None:
        """End it at its next report or question, as Ctrl+C ends the command; nothing is lost by that."""
        with self._changing:
            self.stopping = True
            self.version += 1
            self._changing.notify_all()

    def work(self, work: Work) -> None:
        """Do the work, in the thread that calls this; whatever comes of it is noted here, and nothing is raised."""
        try:
            with self.database.opened() as choice:
                self._change("working")
                try:
                    result = work(choice, Conversation(self._ask, self._show, self._report))
                finally:
                    self.database.forget()  # it may have written
            self._show(result)
            self._change("finished")
        except _Stop:
            self.message = "it was stopped; what it left, if anything, is offered on the page of its database"
            self._change("stopped")
        except RefusedError as error:
            self._end("refused", error)
        except Exception as error:  # noqa: BLE001  # the outermost place of this thread
            if not isinstance(error, LightmigrateError):
                logger.exception("%s failed", self.kind)
            self._end("failed", error)

    def _end(self, state: RunState, error: Exception) -> None:
        told = str(error) if isinstance(error, LightmigrateError) else f"{type(error).__name__}: {error}"
        self.message = " ".join(told.split())
        self._change(state)

    def _change(self, state: RunState) -> None:
        with self._changing:
            self.state = state
            self.version += 1
            self._changing.notify_all()

    def _show(self, result: object) -> None:
        with self._changing:
            self.shown.append(result)
            self.version += 1

    def _report(self, progress: Progress) -> None:
        now = time.monotonic()
        with self._changing:
            step = next((s for s in self.steps if (s.name, s.collection) == (progress.step, progress.collection)), None)
            if step is None or progress.done < step.done:  # a step that begins again is another one
                step = StepProgress(progress.step, progress.collection, 0, progress.total, now)
                self.steps = [s for s in self.steps if (s.name, s.collection) != (step.name, step.collection)]
                self.steps.append(step)
            step.done, step.total, step.seconds = progress.done, progress.total, now - step.began
            self.version += 1
            if self.stopping:
                raise _Stop

    def _ask(self, question: Question) -> bool:
        """Wait for the answer of whoever looks, however long it takes."""
        with self._changing:
            self.question, self._answer, self.state = question, None, "asking"
            self.version += 1
            self._changing.notify_all()
            while self._answer is None and not self.stopping:
                self._changing.wait()
            if self.stopping or self._answer is None:
                self.question = None
                raise _Stop
            agreed = self._answer
            self.question, self._answer, self.state = None, None, "working"
            self.version += 1
            return agreed


class Runs:
    """All runs of this process, the newest first."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._numbers = itertools.count(1)
        self._starting = threading.Lock()

    def newest(self, database: PageDatabase | None = None) -> list[Run]:
        """The runs of a database, or all, the newest first."""
        chosen = [run for run in self._runs.values() if database is None or run.database is database]
        return chosen[::-1]

    def working(self, database: PageDatabase | None = None) -> list[Run]:
        """Those that have not ended."""
        return [run for run in self.newest(database) if not run.ended]

    def get(self, key: str) -> Run | None:
        """The run with a key."""
        return self._runs.get(key)

    def start(self, database: PageDatabase, work: Work, *, kind: str, title: str, command: str, about: str = "") -> Run:
        """Start a command in a thread of its own, which ends with this process.

        Raises:
            RefusedError: a run works on the database already.
        """
        with self._starting:
            if busy := self.working(database):
                raise RefusedError(f"“{busy[0].title}” is working on {database.place}: wait until it has ended")
            run = Run(str(next(self._numbers)), database, kind, title, command, about)
            self._runs[run.key] = run
            for old in [run for run in self._runs.values() if run.ended][:-REMEMBERED]:
                del self._runs[old.key]
        threading.Thread(target=run.work, args=(work,), name=f"run {run.key}", daemon=True).start()
        return run
