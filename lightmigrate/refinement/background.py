"""A background refinement: while an application serves, every projected row of its database becomes exact.

It works on what the application itself has opened, gives way to its calls, and ends when the application closes it. One
process of many does it; another one takes over when that one dies. Whatever fails in it, the application never notices.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lightmigrate.errors import AnotherRunError, CollectionNotFoundError, LightmigrateError, ProviderError, loggable
from lightmigrate.progress import logger
from lightmigrate.providers.base import Provider
from lightmigrate.refinement.ahead import made_ahead
from lightmigrate.refinement.background_status import BackgroundStatus, State
from lightmigrate.refinement.ledger import Ledger
from lightmigrate.refinement.lock import elected, only_run
from lightmigrate.refinement.partly_refined import MOST_SEARCHED, PartlyRefined, Works, unfinished
from lightmigrate.refinement.provenance import Provenance
from lightmigrate.refinement.slices import StoppedError
from lightmigrate.refinement.turns import BatchSize, GivingWay
from lightmigrate.stores.base import Address, Page
from lightmigrate.stores.open import Database, argument_of, served
from lightmigrate.stores.others import OtherProcesses
from lightmigrate.stores.serving import Served
from lightmigrate.vectors import Vectors

# How often it is looked whether the application has opened the database, whether the other process has ended, whether
# other processes have the folder open, and whether it is another day.
SECONDS_TO_OPEN, SECONDS_TO_TAKE_OVER, SECONDS_TO_COUNT_USERS, SECONDS_TO_ASK_AGAIN = 0.25, 2.0, 60.0, 60.0

# A model that fails is asked again after so many seconds, before this run gives up.
RETRIES = (2.0, 30.0, 300.0)

# Between two batches a migration or `refine` that waits for the database's lock can take it.
SECONDS_BETWEEN_BATCHES = 0.02

# Each collection that is touched takes memory and open files of the application, which it may not have for thousands:
# a run takes the largest ones.
MOST_COLLECTIONS = 100

SECONDS_BETWEEN_LINES = 60.0
SECONDS_AT_EXIT = 5.0

# Why it has stopped.
CLOSED = "the application closed the database"


class BackgroundRefinement:
    """The handle of a background refinement, which `start` begins. Its methods can be called from any thread.

    Args:
        database: a database of files that the application opens itself, or the application's own client.
        place: the folder of the database's provenance file.
        addresses: the collections.
        provider_for: opens the new model; it is called in the background, and waits for its turns.
        ledger: what may be spent.
        rows_per_second: the pace; `None` for as fast as it goes.
    """

    def __init__(
        self,
        database: Database,
        place: Path,
        addresses: Sequence[Address],
        provider_for: Callable[[GivingWay], Provider],
        ledger: Ledger,
        rows_per_second: float | None = None,
    ) -> None:
        self._database, self._place, self._addresses = database, place, list(addresses)
        self._provider_for, self._ledger, self._rate = provider_for, ledger, rows_per_second
        self._turns = GivingWay()
        self._status = BackgroundStatus("waiting", sum(self._unfinished().values()), 0)
        self._handed_over: deque[str] = deque(maxlen=MOST_SEARCHED)
        self._others, self._told_of_others = OtherProcesses(database), False
        self._line_at = time.monotonic()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="lightmigrate-refine", daemon=True)

    @property
    def status(self) -> BackgroundStatus:
        """How far it is."""
        status = self._status
        if os.getpid() != self._pid:  # a thread does not survive a fork
            return BackgroundStatus("elsewhere", status.rows, status.exact, "the process that was forked does it")
        if status.state == "running" and self._turns.paused:
            return BackgroundStatus("paused", status.rows, status.exact, "it was paused")
        return status

    def to_json(self) -> dict[str, object]:
        """The status as plain values."""
        return self.status.to_json()

    def start(self) -> None:
        """Begin. It ends with the process, at the latest, and goes on at the next start."""
        atexit.register(self._at_exit)
        self._thread.start()

    def pause(self) -> None:
        """Rest after the present piece of work, which takes a fraction of a second."""
        self._turns.pause()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._turns.resume()

    def stop(self) -> None:
        """End after the present piece of work. What is done stays done; the next start goes on."""
        self._turns.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, at most so many seconds; whether it has."""
        if self._thread.ident is not None and os.getpid() == self._pid:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def searched(self, ids: Sequence[str]) -> None:
        """Refine these rows next: searches returned them, the best first.

        What searches of this process return is seen anyway; this is for searches of others.
        """
        self._handed_over.extend(ids)

    def _at_exit(self) -> None:
        self.stop()
        self.wait(SECONDS_AT_EXIT)

    def _run(self) -> None:
        """Work, and whatever happens, end with one line in the log."""
        shared: Served | None = None
        try:
            shared = self._opened()
            if shared is not None:
                self._turns.serve(shared)
                self._when_elected(shared)
        except StoppedError:
            pass
        except Exception as error:  # nothing may reach the server  # noqa: BLE001
            if shared is not None and shared.closed:
                self._end("stopped", CLOSED)
            else:
                reason = loggable(error)
                self._end("failed", reason)
                logger.warning("⚠ refining in the background has ended, and goes on at the next start: %s", reason)
        finally:
            if shared is not None:
                shared.release()
            if self._status.state in ("waiting", "elsewhere", "running", "out of budget"):
                self._end("stopped", "it was stopped")
            atexit.unregister(self._at_exit)

    def _opened(self) -> Served | None:
        """The database as the application has it open, as soon as it has; `None` if that is not to be."""
        look_at = time.monotonic() + SECONDS_TO_COUNT_USERS
        while self._turns.wait(0):
            if (shared := served(self._database)) is not None:
                return shared
            if time.monotonic() > look_at:
                self._wait_until_alone(None)
                look_at = time.monotonic() + SECONDS_TO_COUNT_USERS
            self._turns.wait(SECONDS_TO_OPEN)
        return None

    def _wait_until_alone(self, shared: Served | None) -> None:
        """Wait while another process has the files open: if two write them, that damages them.

        Raises:
            StoppedError: it was stopped meanwhile, the application closed the database, or the others wrote to it.
        """
        before, waited = self._status, False
        while reason := self._others.seen():
            waited = True
            self._end("waiting", reason)
            if not self._told_of_others:
                self._told_of_others = True
                logger.warning(
                    "⚠ %d rows stay projected for now: %s, and only one may write: they follow once it is closed "
                    "there; or serve it by a server and give auto_migrate its client, or embed them while nothing has "
                    "it open:  lightmigrate refine %s",
                    self._status.rows, reason, argument_of(self._database),
                )  # fmt: skip
            if not self._turns.wait(SECONDS_TO_COUNT_USERS):
                raise StoppedError("the refinement was stopped")
            if shared is not None and shared.closed:
                self._end("stopped", CLOSED)
                raise StoppedError(CLOSED)
        if waited and (reason := self._others.left()):
            self._end("stopped", reason)
            logger.warning("⚠ refining in the background has ended, and goes on at the next start: %s", reason)
            raise StoppedError(reason)
        self._status = replace(before, rows=self._status.rows, exact=self._status.exact)

    def _when_elected(self, shared: Served) -> None:
        """Work as the one process that does it, or wait until the one that does has ended."""
        while (lock := elected(self._place)) is None:
            self._end("elsewhere", "another process does it")
            if not self._turns.wait(SECONDS_TO_TAKE_OVER) or shared.closed:
                return
        with lock:
            self._wait_until_alone(shared)
            waiting = self._unfinished()
            if not waiting:
                self._end("exact", "every row is exact")
                return
            addresses = sorted(waiting, key=lambda address: -waiting[address])[:MOST_COLLECTIONS]
            self._status = BackgroundStatus("running", sum(waiting[address] for address in addresses), 0)
            if self._status.rows:
                logger.info(
                    "refining in the background: %s rows of %s are projected and become exact while searches are "
                    "answered", f"{self._status.rows:,}", _titled(addresses),
                )  # fmt: skip
            self._line_at = time.monotonic()
            self._refine(shared, addresses)
            if others := len(waiting) - len(addresses):
                self._end("stopped", f"{others} more collections follow at the next start")
                logger.info("refining in the background: %s", self._status.reason)

    def _refine(self, shared: Served, addresses: list[Address]) -> None:
        """Make every row of some collections exact.

        The projection is not refitted meanwhile, as `refine` does: all other rows would be written once more, which
        costs searches as much as making them exact does, minutes before they are.
        """
        started = time.monotonic()
        works = Works(addresses, self._open_work(shared), _by_id(shared, addresses))
        try:
            with made_ahead(self._embedded(shared, works)) as batches:
                try:
                    self._write_all(shared, works, batches, started)
                except BaseException:
                    self._turns.stop()  # the thread that embeds may be paused
                    raise
            self._wait_until_alone(shared)
            without = works.finish(self._alone)
        finally:
            works.close()
        if refined := [address for address in addresses if address not in works.left_out]:
            logger.info(
                "✓ every row of %s is exact now%s: %s rows were embedded in %s", _titled(refined),
                f", but {without:,} whose text is missing or refused by the model" if without else "",
                f"{self._status.exact:,}", _readable(time.monotonic() - started),
            )  # fmt: skip
        if reason := works.reason_left_out:
            self._end(
                "failed", f"{len(addresses) - len(refined)} of {len(addresses)} collections are left out: {reason}"
            )
        else:
            without_text = f"{without} rows have no text that the model takes"
            self._end("exact", without_text if without else "every row is exact")

    def _write_all(
        self, shared: Served, works: Works, batches: Iterator[tuple[PartlyRefined, Page, Vectors]], started: float
    ) -> None:
        count_at = time.monotonic() + SECONDS_TO_COUNT_USERS
        for work, page, vectors in batches:
            with works.leaving_out(work.address):
                exact = self._write(work, page, vectors)
                self._status = BackgroundStatus("running", self._status.rows, self._status.exact + exact)
            self._report(started)
            if time.monotonic() > count_at:
                self._wait_until_alone(shared)
                count_at = time.monotonic() + SECONDS_TO_COUNT_USERS
            self._turns.wait(SECONDS_BETWEEN_BATCHES)

    def _open_work(self, shared: Served) -> Callable[[Address], PartlyRefined]:
        provider = self._provider_for(self._turns)
        return lambda address: PartlyRefined(address, shared.store, self._place, provider, self._turns)

    def _embedded(self, shared: Served, works: Works) -> Iterator[tuple[PartlyRefined, Page, Vectors]]:
        """Batches of rows with their new vectors, in the order in which they are to be written. Calls the model."""
        size = BatchSize(self._rate)
        while self._turns.quiet():
            for found in shared.found():
                works.searched(found.collection, found.ids)
            while self._handed_over:
                works.searched("", [self._handed_over.popleft()])
            if (chosen := works.next(size.rows)) is None:
                return
            work, page = chosen
            if not len(page):
                continue
            self._pay(work, page)
            started, embedded = time.monotonic(), None
            with works.leaving_out(work.address):
                embedded = self._asked_model(work, page)
            if embedded is None:
                continue
            seconds, affordable = time.monotonic() - started, self._ledger.affordable(len(page), work.price(page))
            size.took(len(page), seconds, affordable)
            yield (work, *embedded)
            if self._rate is not None:
                self._turns.wait(len(page) / self._rate)
        raise StoppedError("the refinement was stopped")

    def _asked_model(self, work: PartlyRefined, page: Page) -> tuple[Page, Vectors]:
        for seconds in (*RETRIES, None):
            try:
                return work.embedded(page)
            except ProviderError as error:
                if seconds is None:
                    raise
                logger.debug("refining in the background: %s; asking again in %.0f s", error, seconds)
                if not self._turns.wait(seconds):
                    break
        raise StoppedError("the refinement was stopped")

    def _pay(self, work: PartlyRefined, page: Page) -> None:
        """Count what embedding a batch costs; wait for another day if that is more than may be spent today."""
        bill = work.provider.bill([text or "" for text in page.texts])
        if bill.dollars is None and self._ledger.limited:
            raise LightmigrateError(
                f"the price of {work.provider.name} is not known, and what may be spent is limited: leave "
                "max_cost_per_day and max_cost out, and give refine='background' (LIGHTMIGRATE_REFINE=background) with "
                "rows_per_second"
            )
        if not bill.dollars:
            return
        told = False
        while not self._ledger.count(bill.dollars):
            left = self._status.rows - self._status.exact
            if not self._ledger.fits_in_a_day(bill.dollars):
                raise LightmigrateError(
                    f"${self._ledger.spent():.2f} are spent, and the next {len(page)} rows cost ${bill.dollars:.4f}; "
                    f"{left:,} rows stay projected until max_cost or max_cost_per_day is raised"
                )
            if not told:
                told = True
                logger.info(
                    "refining in the background: the budget of today ($%.2f) is spent, %s rows are left for other days",
                    self._ledger.per_day, f"{left:,}",
                )  # fmt: skip
            self._status = BackgroundStatus(
                "out of budget", self._status.rows, self._status.exact, "the budget of today is spent"
            )
            if not self._turns.wait(SECONDS_TO_ASK_AGAIN):
                raise StoppedError("the refinement was stopped")

    def _write(self, work: PartlyRefined, page: Page, vectors: Vectors) -> int:
        """Write a batch."""
        with self._alone():
            return work.write(page, vectors)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock that a starting migration and `refine` wait for."""
        with contextlib.ExitStack() as held:
            while True:
                try:
                    held.enter_context(only_run(self._place))
                    break
                except AnotherRunError:
                    if not self._turns.wait(0.5):
                        raise StoppedError("the refinement was stopped") from None
            yield

    def _report(self, started: float) -> None:
        now = time.monotonic()
        if now - self._line_at >= SECONDS_BETWEEN_LINES:
            self._line_at = now
            rows, exact = self._status.rows, self._status.exact
            left = (now - started) / max(1, exact) * (rows - exact)
            logger.info(
                "refining in the background: %s of %s rows are exact now, about %s left",
                f"{exact:,}", f"{rows:,}", _readable(left),
            )  # fmt: skip

    def _end(self, state: State, reason: str) -> None:
        self._status = BackgroundStatus(state, self._status.rows, self._status.exact, reason)

    def _unfinished(self) -> Mapping[Address, int]:
        with Provenance.existing(self._place) as provenance:
            return unfinished(provenance, self._addresses)


def _by_id(shared: Served, addresses: Sequence[Address]) -> dict[str, Address]:
    """The collections by the store's own ids, so that what searches return is known."""
    by_id = {}
    for address in addresses:
        with contextlib.suppress(CollectionNotFoundError), shared.own():
            by_id[shared.store.collection(address).facts().id] = address
    return by_id


def _titled(addresses: Sequence[Address]) -> str:
    return str(addresses[0]) if len(addresses) == 1 else f"{len(addresses)} collections"


def _readable(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 6000 else f"{seconds / 3600:.1f} hours"
