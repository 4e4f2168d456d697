"""Rows that no search reaches any more, after vectors were replaced one by one in a graph, are written once more.

An index of this kind connects each row with its neighbours. When a vector is replaced, its row gets new connections,
but those that led to other rows through it are lost. Measured with Chroma 1.5.9 on 16,000 rows that were all replaced
(`benchmarks/replaced.py`): of a static model, searches for a row's own vector missed 6,575 of them, and searches that
are like the rows found .69 of the 10 nearest, those of people .89; in a new index 801, .91, and .96. After the rows
that were missed had been written again, in two passes, 228 were missed, and .90 and .93 were found. But each row was
connected while most others still had another vector. After all had been written once more, and then those that were
missed, 340 were missed, and .92 and .94 found; after a quarter or half of all .94 and .95 of people's. Of
all-MiniLM-L6-v2 9 were missed from the beginning, and people's searches found as much as in a new index. That would be
another collection: clients of a server that hold the old one would go on with that.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable

import numpy as np

from lightmigrate.refinement.order import Waiting
from lightmigrate.refinement.slices import StoppedError
from lightmigrate.refinement.turns import ROWS_AT_ONCE, AtOnce, Turns
from lightmigrate.stores.base import Collection, Metric, Page
from lightmigrate.stores.distance import space_of
from lightmigrate.stores.page import in_batches
from lightmigrate.vectors import Vectors, finite_rows, meaningful

# Passes over all rows: after two, searches miss no more than in a new index. A third costs as many searches again.
PASSES = 2

# Of so many rows searches have to miss such a share for all to be written once more: a new index of 16,000 misses none
# to .05 of them, by the model, and one in which every vector was replaced none to .40.
SAMPLED, LOOSENED = 200, 0.12

# Where they miss fewer, writing rows once more may take such a share of the time that replacing all took, the model's
# time included: beside a slow model that is enough for all.
SHARE_OF_TIME = 1 / 40

# A search takes a fraction of the time of a write, and hardly a row is written after the first pass.
SEARCHED_FOR_EACH_WRITTEN = 2

# A row is reached when a search for its vector returns something as near to it as itself, such as a copy.
SAME_DISTANCE = 1e-5


def write_unreached(
    collection: Collection,
    embed: Callable[[Page], Vectors],
    turns: Turns | None = None,
    alone: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    note: Callable[[Page], None] = lambda page: None,
    took: float = 0.0,
) -> list[int]:
    """Write every row again that a search for its own vector does not return, with the vector that it holds. Writes.

    Before that all are written once where many are missed, and otherwise as many as there is time for.

    The application may write meanwhile. A row is written only if it still holds what was read milliseconds before; a
    text that it writes in that window is noticed, and embedded.

    Args:
        collection: an open collection, with the texts that were embedded.
        embed: the new model's vectors `(n, d)` of a page; NaN for a text that it refuses.
        turns: when the next rows may be looked at, and how many at once.
        alone: held around each of these pieces of work.
        note: called with the rows that are written next, for `embed_left_texts` after an interruption.
        took: seconds that replacing vectors took; 0 where none was replaced.

    Returns:
        The number of rows that were missed in each pass over all of them.

    Raises:
        StoppedError: the turns ended.
    """
    turns, written = turns or AtOnce(), list[int]()
    with alone(), turns.own():
        count = collection.count()
        metric = space_of(collection) if count else "cosine"
        sample = collection.sample(SAMPLED)
        loosened = len(unreached(collection, sample, metric)) > LOOSENED * len(sample)
    if loosened or took:
        _write_in_pieces(collection, None, embed, turns, alone, note, math.inf if loosened else SHARE_OF_TIME * took)
    while len(written) < PASSES:
        written.append(_write_in_pieces(collection, metric, embed, turns, alone, note))
        if not written[-1]:
            break
    return written


def _write_in_pieces(
    collection: Collection,
    metric: Metric | None,
    embed: Callable[[Page], Vectors],
    turns: Turns,
    alone: Callable[[], contextlib.AbstractContextManager[None]],
    note: Callable[[Page], None],
    seconds: float = math.inf,
) -> int:
    """One pass over all rows, for so long; the number of rows written. Without a distance all are."""
    listed, written, searched = Waiting(), 0, 0
    with turns.own():
        for some in in_batches(enumerate(collection.ids()), ROWS_AT_ONCE):
            listed.add({row_id: f"{place:016x}" for place, row_id in some})
    ids, end = iter(listed), time.monotonic() + seconds
    while searched < len(listed) and time.monotonic() < end:
        rows = turns.next() * (SEARCHED_FOR_EACH_WRITTEN if metric else 1)
        if not rows:
            raise StoppedError("the refinement was stopped")
        with alone(), turns.own():
            page = collection.records(list(itertools.islice(ids, rows)))
            page = unreached(collection, page, metric) if metric else page.rows(_usable(page))
            started = time.monotonic()
            if len(page):
                _write_again(collection, page, embed, note)
            turns.took(len(page), time.monotonic() - started)
        written, searched = written + len(page), searched + rows
    return written


def unreached(collection: Collection, page: Page, metric: Metric) -> Page:
    """Those of some records that a search for their own vector does not return. Only reads."""
    usable = _usable(page)
    if not usable:
        return page.rows([])
    answers, distances = collection.nearest(page.vectors[usable], 1)
    lengths = np.einsum("nd,nd->n", page.vectors, page.vectors, dtype=np.float64)
    missed = []
    for row, ids, nearest in zip(usable, answers, distances, strict=True):
        own = 1 - float(lengths[row]) if metric == "ip" else 0.0
        allowed = own + SAME_DISTANCE * (1.0 if metric == "cosine" else max(1e-30, float(lengths[row])))
        if not ids or (ids[0] != page.ids[row] and nearest[0] > allowed):
            missed.append(row)
    return page.rows(missed)


def _usable(page: Page) -> list[int]:
    """The rows whose vectors can be searched for."""
    return np.flatnonzero(meaningful(page.vectors)).tolist() if len(page) else []


def _write_again(
    collection: Collection, page: Page, embed: Callable[[Page], Vectors], note: Callable[[Page], None]
) -> None:
    note(page)  # before it is read for the last time: that and the write are to lie close together
    now = collection.records(page.ids)
    read = {record: row for row, record in enumerate(page.ids)}
    same = [
        row
        for row, record in enumerate(now.ids)
        if now.texts[row] == page.texts[read[record]] and np.array_equal(now.vectors[row], page.vectors[read[record]])
    ]
    _write_noted(collection, now.rows(same), embed, note)


def _write_noted(
    collection: Collection, page: Page, embed: Callable[[Page], Vectors], note: Callable[[Page], None]
) -> None:
    while len(page):
        collection.replace_vectors(page.ids, page.vectors)
        page = _with_new_vectors(_with_other_texts(collection.records(page.ids), page), embed)
        if len(page):  # a process that ends before another text is embedded leaves it with the vector of the one before
            note(page)


def embed_left_texts(
    collection: Collection, page: Page, embed: Callable[[Page], Vectors], note: Callable[[Page], None]
) -> None:
    """Give rows that an interrupted `write_unreached` left with the vector of another text their own. Writes.

    Args:
        collection: the collection.
        page: the rows.
        embed: see `write_unreached`.
        note: see `write_unreached`.
    """
    page = _with_new_vectors(page, embed)
    note(page)
    _write_noted(collection, page, embed, note)


def _with_other_texts(now: Page, before: Page) -> Page:
    """The records that have another text than before: the application has written them."""
    texts = dict(zip(before.ids, before.texts, strict=True))
    return now.rows([row for row, record in enumerate(now.ids) if now.texts[row] != texts[record]])


def _with_new_vectors(page: Page, embed: Callable[[Page], Vectors]) -> Page:
    page = page.rows([row for row, text in enumerate(page.texts) if text and text.strip()])
    if not len(page):
        return page
    vectors = embed(page)
    taken = np.flatnonzero(finite_rows(vectors)).tolist()
    return page.rows(taken).with_vectors(vectors[taken])
