"""Kills a process that migrates, rolls back or refines a maker's database, and holds what it left to what must be true.

After a kill the collection is the old one or the new one, whole; the same command goes on; the way back is exact.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from lightmigrate import BudgetPlan, Migrator, Projection
from lightmigrate.budget.collection_size import CollectionSize
from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.errors import CollectionNotFoundError
from lightmigrate.stores.base import Address, Page, Payload
from lightmigrate.stores.memory import MemoryDatabase, MemoryStore
from tests.contract.makers import Maker
from tests.contract.material import assert_same, everything, filled
from tests.contract.migrating import migrator_of, projection, provider, work
from tests.contract.opening import opened
from tests.processes import context, start, was_killed

ROWS = 12
REFINED_ROWS = 160  # several batches
EXTRACT_WORDS = 12
DOCS = Address("docs")
TOLERANCE = 2e-5

What = Literal["migrate", "rollback", "refine"]


@dataclass(frozen=True)
class Moment:
    """When a process is killed: before a step, or after some seconds."""

    step: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What a kill left.

    Attributes:
        killed: whether the process was killed before it ended.
        new: whether the collection was the new one; of a refinement, whether all rows were exact.
        resumed: whether the next run found something that was interrupted.
        between: whether an exchange of several steps was interrupted between two of them.
        seconds: that the process took from its first step to its end.
        steps: that it took, where it was not killed and they were counted.
    """

    killed: bool
    new: bool
    resumed: bool
    between: bool = False
    seconds: float = 0.0
    steps: int = 0


class _Ended(NamedTuple):
    """How the process that did it ended; see `Outcome`."""

    killed: bool
    seconds: float
    steps: int


def kill(maker: Maker, what: What, moment: Moment, folder: Path) -> Outcome:
    """One kill, in an empty database of the maker."""
    return {"migrate": _migration, "rollback": _rollback, "refine": _refinement}[what](maker, moment, folder)


def _migration(maker: Maker, moment: Moment, folder: Path) -> Outcome:
    old = _filled(maker)
    new = old.with_vectors(Projection.load(projection(folder)).apply(old.vectors))
    ended = _work(maker, "migrate", moment, folder)
    found = _read(maker)
    with _migrator(maker) as migrator:
        resumed = migrator.interrupted
        migrator.recover()
    is_new = _require_whole(maker, old, new, found)
    if not is_new:
        assert ended.killed
        with _migrator(maker) as migrator:
            assert migrator.migrate_collection("docs", projection(folder)).n_migrated == ROWS
    assert _require_whole(maker, old, new, None)
    with _migrator(maker) as migrator:
        assert len(migrator.backups()) == 1
        assert migrator.unfinished is None
        assert not migrator.undo()
        migrator.rollback()
    assert not _require_whole(maker, old, new, None)
    return Outcome(ended.killed, is_new, resumed, found is None, ended.seconds, ended.steps)


def _rollback(maker: Maker, moment: Moment, folder: Path) -> Outcome:
    old = _filled(maker)
    with _migrator(maker) as migrator:
        migrator.migrate_collection("docs", projection(folder))
    new = _live(maker)
    ended = _work(maker, "rollback", moment, folder)
    found = _read(maker)
    with _migrator(maker) as migrator:
        resumed = migrator.unfinished is not None
        migrator.recover()
    is_new = _require_whole(maker, old, new, found)
    if is_new:
        assert ended.killed
        with _migrator(maker) as migrator:
            migrator.rollback()
    assert not _require_whole(maker, old, new, None)
    with _migrator(maker) as migrator:
        assert len(migrator.backups()) == 1
        migrator.rollback()
    assert _require_whole(maker, old, new, None), "what a rollback displaces is kept, whole"
    return Outcome(ended.killed, is_new, resumed, found is None, ended.seconds, ended.steps)


def _refinement(maker: Maker, moment: Moment, folder: Path) -> Outcome:
    from tests.budget.collections import CORPUS, NEW  # loads an encoder

    address = maker.create("docs", CORPUS.old_documents.shape[1], "cosine")
    maker.client().collection(address).add(_abstracts([maker.payload_of(row) for row in range(REFINED_ROWS)]))
    old = _live(maker)
    model = provider(folder)
    with opened(maker.locator) as store:  # what the plan is for has other payloads
        plan = replace(_plan(), size=CollectionSize.of(store.collection(DOCS), model, (EXTRACT_WORDS,)))
    with _migrator(maker) as migrator:
        migrator.migrate_by_plan(plan, model, force=True)
    model.close()
    wanted = np.asarray(NEW.embed(list(old.texts)), np.float32)  # type: ignore[arg-type]  # each has one
    ended = _work(maker, "refine", moment, folder)
    left = _live(maker)
    assert_same(left, old, with_vectors=False)
    assert np.isfinite(left.vectors).all()
    exact = np.abs(left.vectors - wanted).max(axis=1) < TOLERANCE
    with _migrator(maker) as migrator:
        (status,) = migrator.status()
        assert status.exact <= exact.sum(), "nothing is taken for exact that is not"
        model = provider(folder)
        assert migrator.refine("docs", model).status.share_exact == 1.0
        model.close()
    done = _live(maker)
    assert_same(done, old, with_vectors=False)
    np.testing.assert_allclose(done.vectors, wanted, atol=TOLERANCE)
    with _migrator(maker) as migrator:
        migrator.rollback()
    assert_same(_live(maker), old, maker.tolerance("cosine"))
    some = bool(exact.any() and not exact.all())
    return Outcome(ended.killed, bool(exact.all()), some, seconds=ended.seconds, steps=ended.steps)


@functools.cache
def _plan() -> BudgetPlan:
    """The plan of every refinement, which takes longer than the rest; made once, from the same records in memory."""
    database = MemoryDatabase()
    records = _abstracts([None] * REFINED_ROWS)
    database.create_collection(DOCS, records.vectors.shape[1], "cosine", {}, None)
    store = MemoryStore(database)
    store.collection(DOCS).add(records)
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(provider(Path(folder))) as model:
        drawn = Migrator(store).cost_quality_curve("docs", model, samples=40, lengths=(EXTRACT_WORDS,))
        return BudgetPlan.of(DOCS, drawn, drawn.option(BudgetSetting(True, 0, drawn.calibration)))


def _abstracts(payloads: Sequence[Payload | None]) -> Page:
    """Records with texts, as the old model embedded them."""
    from tests.budget.collections import CORPUS, texts  # loads an encoder

    rows = len(payloads)
    vectors = np.asarray(CORPUS.old_documents[:rows], np.float32)
    return Page([f"id-{row:04d}" for row in range(rows)], vectors, texts(rows), payloads)


def _filled(maker: Maker) -> Page:
    filled(maker, "docs", ROWS)
    return _live(maker)


def _live(maker: Maker) -> Page:
    """All records, as a new client reads them."""
    maker.let_go()
    with opened(maker.locator) as store:
        return everything(store.collection(DOCS))


def _read(maker: Maker) -> Page | None:
    """What a client finds that repairs nothing; `None` between two steps of an exchange that has several."""
    maker.let_go()
    with opened(maker.locator) as store:
        try:
            found = everything(store.collection(DOCS))
        except CollectionNotFoundError:
            found = None
        if not found:  # an empty one is left by a client that is killed while it deletes a collection
            assert not store.capabilities.atomic_exchange
            assert store.interrupted_exchange()
            assert found is None or store.capabilities.one_client, "only a client of a folder deletes so"
            return None
        return found


def _require_whole(maker: Maker, old: Page, new: Page, before: Page | None) -> bool:
    """Check that the collection is the old one, to the bit, or the new one, and what was found `before` likewise."""
    live = _live(maker)
    for found in (live, *([] if before is None else [before])):
        is_new = found.vectors.shape[1] == new.vectors.shape[1]
        expected = new if is_new else old
        assert_same(found, expected, with_vectors=False)
        if is_new:
            np.testing.assert_allclose(found.vectors, new.vectors, atol=TOLERANCE)
        else:
            assert_same(found, old, maker.tolerance("l2"))
    return bool(live.vectors.shape[1] == new.vectors.shape[1])


def _is_aside(maker: Maker) -> bool:
    return bool(getattr(maker, "aside", False))


def _migrator(maker: Maker) -> contextlib.AbstractContextManager[Migrator]:
    maker.let_go()
    return migrator_of(maker.locator, aside=_is_aside(maker))


def _work(maker: Maker, what: What, moment: Moment, folder: Path) -> _Ended:
    """Let another process do it, which is killed."""
    maker.let_go()
    ready, sender = context().Pipe(duplex=False)
    process = start(work, maker.locator, _is_aside(maker), what, folder, maker.failpoints, moment.step, sender)
    sender.close()
    assert ready.recv() == "go"
    begun = time.monotonic()
    if moment.seconds is not None:
        process.join(moment.seconds)
        process.kill()
    killed, seconds = was_killed(process), time.monotonic() - begun
    return _Ended(killed, seconds, 0 if killed or moment.step is None else int(ready.recv()))
