"""`refine`: projected rows become exact, a few at a time, while the application reads and writes.

At every instant each row holds a vector in the new space. The fingerprint of a new vector is stored before it is
written, and that the row is exact afterwards: a run that was killed between the two is simply repeated.
"""

from __future__ import annotations

import contextlib
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.errors import LightmigrateError, ModelMismatchError, RefusedError
from lightmigrate.progress import OnProgress, reporting
from lightmigrate.providers.base import Provider
from lightmigrate.providers.careful import NONE_SHORTENED, Shortened
from lightmigrate.refinement.estimate import Limits, MissingTokens, RefinementEstimate
from lightmigrate.refinement.order import BATCH, ORDERS, WITHOUT_MODEL, Order, ProjectedRows
from lightmigrate.refinement.provenance import NOT_EXACT, Provenance, VectorOrigin, old_vectors_of
from lightmigrate.refinement.reachable import embed_left_texts, write_unreached
from lightmigrate.refinement.recorded_model import require_recorded
from lightmigrate.refinement.refit import refit_projection, texts_of_projection, texts_of_refit
from lightmigrate.refinement.status import LEFT, RefinementStatus, refinement_status
from lightmigrate.refinement.turns import ROWS_AT_ONCE, AtOnce, Turns
from lightmigrate.refinement.vector_fingerprint import fingerprints_of, matches
from lightmigrate.refinement.writer import RowState, VectorWriter
from lightmigrate.results import Result
from lightmigrate.stores.base import Address, Collection, Page
from lightmigrate.stores.page import in_batches
from lightmigrate.training.text_digest import text_digest
from lightmigrate.vectors import Vectors, finite_rows

# If no fingerprint matches any more, the model embeds this many texts, and a stored vector of at least this cosine is
# its own: half precision and another batch change a cosine by less than a thousandth.
COMPARED_ROWS = 5
SAME = 0.99

# Among the facts of a collection whose vectors were replaced: how many rows the last look at all of them found that no
# search reached, and whether that is settled. Chroma builds the part of an index that is not in its file yet anew when
# it is opened, from the last vector of each row: what was written twice is written once then. So it is settled when a
# later process finds hardly more than were left.
REACHED, MORE = "reached", 1.1

# Among the same facts: the rows that were written again last, with digests of their texts and fingerprints of their
# vectors. One that holds this vector and another text by now was written by the application in the same instant.
WRITING = "writing"


@dataclass(frozen=True)
class Refinement(Result):
    """What a run of `refine` did.

    Attributes:
        collection_name: the collection.
        embedded: rows that this run made exact.
        tokens: estimated tokens that the new model read for that, including queries that put the rows in order, texts
            embedded to check that the collection is still the migrated one, and words and extracts for a refit; nothing
            that was in the cache.
        written_by_application: rows that the application wrote meanwhile, and that were left alone.
        reprojected: rows that took vectors of a refitted projection.
        status: of the collection afterwards.
        seconds: duration.
        shortened: the texts that the model did not take whole.
    """

    collection_name: str
    embedded: int
    tokens: int
    written_by_application: int
    reprojected: int
    status: RefinementStatus
    seconds: float
    shortened: Shortened = NONE_SHORTENED


class Refiner:
    """Refines one collection.

    Args:
        address: of the collection.
        collection: an open collection; the application may have it open too, through the same client or server.
        provenance: of its database.
        provider: the new model, with a cache.
        queries: queries of users, for the order `retrieved`.
        seed: of every random choice.
        turns: when the next rows may be written, and how many at once; by default as fast as it goes.

    Raises:
        ModelMismatchError: it was migrated to another model.
        LightmigrateError: it was not migrated by a plan.
    """

    def __init__(
        self,
        address: Address,
        collection: Collection,
        provenance: Provenance,
        provider: Provider,
        *,
        queries: Sequence[str] = (),
        seed: int = 0,
        turns: Turns | None = None,
    ) -> None:
        self._address, self._collection, self._provenance = address, collection, provenance
        self._provider, self._seed = provider, seed
        self._rows = ProjectedRows(address, collection, provenance, provider, queries, seed)
        model = provenance.facts(address)["model"]
        if provider.name != model:
            raise ModelMismatchError(
                f"collection {address} was migrated to {model}, not to {provider.name}: use {model}"
            )
        self._turns, self._replacing_since, self._reprojected = turns or AtOnce(), 0.0, 0
        self._writer = VectorWriter(address, collection, provenance, provider, self._turns)

    def run(
        self,
        limits: Limits,
        order: Order = "random",
        *,
        refit: bool = True,
        stop: Callable[[], bool] = lambda: False,
        on_progress: OnProgress | None = None,
    ) -> Refinement:
        """Embed rows until a limit is reached, all are exact, or `stop` says so. Writes vectors and the provenance.

        Args:
            limits: see `Limits`.
            order: which rows are embedded first.
            refit: whether the projection is refitted on the exact rows and applied to the others, if there are any
                that the model did not refuse; only in the order `random`.
            stop: called before every batch; `True` ends the run.
            on_progress: receives the number of rows embedded, and of rows that were projected at the start.

        Raises:
            RefusedError: it is not the collection that was migrated, or the queries take more tokens than are allowed.
        """
        if order not in ORDERS:
            raise LightmigrateError(f"no order {order!r}; there are: {', '.join(ORDERS)}")
        report = reporting(on_progress, self._address.name)
        started, embedded, refused, tokens = time.monotonic(), 0, 0, self._query_tokens(order)
        if not limits.allow(0, tokens, 0.0):
            raise RefusedError(
                f"{limits.tokens:,.0f} tokens are allowed, embedding the queries alone takes {tokens:,}: allow more, "
                "give fewer queries, or choose another order (--order random)"
            )
        require_recorded(self._address, self._provenance.facts(self._address), self._provider)
        tokens += self.require_migrated()
        if len(self._provenance.projections(self._address)) > 1:
            self._reproject()  # an earlier run was interrupted
        waiting = ORDERS[order](self._rows) if self._collection.count() else ()
        total = len(waiting)
        limit_reached, missing = False, MissingTokens(self._provider)
        for number, batch in enumerate(in_batches(waiting, ROWS_AT_ONCE)):
            # However long it took to begin, one batch is embedded: runs that are ended early come to an end, too.
            elapsed = time.monotonic() - started if number else 0.0
            if limit_reached or stop() or not limits.allow(embedded, tokens, elapsed):
                break
            page = self._writer.refresh(batch).page
            chosen: list[int] = []
            for row, text in enumerate(page.texts):
                if text and text.strip():
                    needed = tokens + missing.add([text])
                    if not limits.allow(embedded + len(chosen) + 1, needed, 0.0):
                        limit_reached = True
                        break
                    chosen.append(row)
                    tokens = needed
            if chosen:
                taken, vectors = self.embedded(page.rows(chosen))
                embedded, refused = embedded + self.write(taken, vectors), refused + len(chosen) - len(taken)
            report("refine", embedded, total)
        else:
            if not limit_reached:
                self._provenance.note(self._address, {LEFT: self._projected()})
        # Rows that were not chosen at random do not represent the others: a projection refitted on the most uncertain
        # tenth of Cranfield kept .76 where the one before had kept .89, and such rows judged it to be the better one
        # (benchmarks/refine_orders.py).
        if refit and embedded and order == "random" and self._projected() > refused:
            asked = missing.add(texts_of_refit(self._address, self._collection, self._provenance, 0))
            if limits.allow(embedded, tokens + asked, 0.0):
                tokens += asked
                self._refit()
        if embedded or self._reprojected or is_loosened(self._provenance, self._address):
            self.reach_all()
        return Refinement(
            collection_name=self._address.name,
            embedded=embedded,
            tokens=tokens,
            written_by_application=self._writer.written_by_application,
            reprojected=self._reprojected,
            status=refinement_status(self._address, self._collection.ids(), self._provenance),
            seconds=time.monotonic() - started,
            shortened=self._provider.shortened,
        )

    def estimate(self, limits: Limits, order: Order = "random", *, refit: bool = True) -> RefinementEstimate:
        """What `run` would pay for at most with the same arguments. Calls no model; only reads.

        Which rows come first in the orders `retrieved` and `uncertain` is known only when the model was called; so the
        rows that cost most are counted. A limit of seconds is not.
        """
        missing, tokens = MissingTokens(self._provider), self._query_tokens(order)
        if tokens:
            missing.add_queries(self._rows.queries)
        page = self._page_to_check()
        tokens += missing.add(text for text in page.texts if text)
        chosen_by_model = order not in WITHOUT_MODEL
        waiting = ORDERS["random" if chosen_by_model else order](self._rows) if self._collection.count() else ()
        documents, costs, stay, limit_reached = 0, array("q"), False, False
        for batch in in_batches(waiting, BATCH):
            if limit_reached:
                break
            for text in self._writer.look(batch).page.texts:
                if not text or not text.strip():
                    stay = True
                    continue
                tokens += (cost := missing.add([text]))
                if not chosen_by_model and not limits.allow(documents + 1, tokens, 0.0):
                    missing.tokens -= cost
                    limit_reached = stay = True
                    break
                documents += 1
                costs.append(cost)
        if chosen_by_model and limits.documents is not None and limits.documents < documents:
            documents = limits.documents
            missing.tokens -= sum(sorted(costs)[: len(costs) - documents])
        if limits.tokens is not None:
            missing.tokens = min(missing.tokens, int(limits.tokens))
        if refit and order == "random" and documents > 0 and stay:  # a row stays projected
            missing.add(texts_of_refit(self._address, self._collection, self._provenance, documents))
        if order == "uncertain" or len(self._provenance.projections(self._address)) > 1:
            missing.add(texts_of_projection(self._address, self._collection, self._provenance, NOT_EXACT))
        dollars = self._provider.priced(missing.tokens).dollars
        return RefinementEstimate(self._provider.name, documents, missing.tokens, dollars)

    def _query_tokens(self, order: Order) -> int:
        """Tokens that putting the rows in order takes."""
        if order != "retrieved" or not self._collection.count():
            return 0
        return self._provider.bill([], self._rows.queries).tokens

    def require_migrated(self, rows: int = BATCH) -> int:
        """Refuse a collection that is no longer the migrated one. Returns the tokens that finding this out took.

        Args:
            rows: that are looked at, at random.
        """
        state = self._sampled(rows)
        if not state.written or len(state.page):
            return 0
        page = self._page_to_check(rows)
        tokens = MissingTokens(self._provider).add(text for text in page.texts if text)
        if not len(page) or not self._is_exact(page):
            raise RefusedError(
                f"collection {self._address}: 0 of {len(state.written)} vectors looked at are those that its migration "
                "gave it: it was rolled back, migrated or embedded again since; plan again:  "
                "lightmigrate plan DATABASE --target-model MODEL"
            )
        return tokens

    def _page_to_check(self, rows: int = BATCH) -> Page:
        """The records by whose texts the model tells whether this is still the migrated collection; mostly none.

        They are needed when none of its vectors matches its fingerprint. That is also so if the application wrote every
        row since: then the vectors are those of the new model.
        """
        state = self._sampled(rows)
        page = self._collection.records([] if len(state.page) else state.written[:COMPARED_ROWS])
        return page.rows([row for row, text in enumerate(page.texts) if text and text.strip()])

    def _sampled(self, rows: int) -> RowState:
        """The state of so many random rows."""
        return self._writer.look(self._provenance.sample(self._address, rows, self._seed, *VectorOrigin))

    def _is_exact(self, page: Page) -> bool:
        """Whether these records hold the new model's vectors of their texts."""
        exact = self._writer.embedded(page)
        if exact.shape != page.vectors.shape:
            return False
        taken = finite_rows(exact)
        if not taken.any():
            return False
        exact, stored = exact[taken], page.vectors[taken]
        lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(stored, axis=1)
        return bool(np.all(np.sum(exact * stored, axis=1) >= SAME * lengths))

    def waiting(self, ids: Sequence[str]) -> Page:
        """The records among some ids that are still projected and have a text. Forgets those that are not ours."""
        page = self._writer.refresh(ids).page
        return page.rows([row for row, text in enumerate(page.texts) if text and text.strip()])

    def embedded(self, page: Page) -> tuple[Page, Vectors]:
        """The documents of a page as the new model embeds them, without those that it refuses. Calls the model."""
        vectors = self._writer.embedded(page)
        taken = np.flatnonzero(finite_rows(vectors)).tolist()
        return page.rows(taken), vectors[taken]

    def write(self, page: Page, vectors: Vectors) -> int:
        """Write the model's own vectors of records as they were read. Writes.

        Returns:
            The number of rows that hold them now.
        """
        self._note_replacing()
        written, changed = self._writer.give(page, vectors)
        self._provenance.mark_exact(self._address, list(written), list(written.values()))
        self._writer.repair(changed)
        return len(written)

    def _note_replacing(self) -> None:
        """Before the first vector is replaced, so that a process that is killed leaves a note of it."""
        if not self._replacing_since:
            self._provenance.note(self._address, {REACHED: {"missed": None, "settled": False}})
            self._replacing_since = time.monotonic()

    def reach_all(self, alone: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext) -> None:
        """Make every row reachable by searches again, and note that; see `write_unreached`. Writes.

        Args:
            alone: held around each piece of work.
        """
        self._finish_writing(alone)
        before = (self._provenance.facts(self._address).get(REACHED) or {}).get("missed")
        embed, note = self._writer.embedded, self._note_writing
        took = time.monotonic() - self._replacing_since if self._replacing_since else 0.0
        self._replacing_since = 0.0
        written = write_unreached(self._collection, embed, self._turns, alone, note, took)
        settled = before is not None and written[0] <= MORE * before
        self._provenance.note(self._address, {REACHED: {"missed": written[-1], "settled": settled}, WRITING: {}})

    def _note_writing(self, page: Page) -> None:
        """Before rows are written again, so that what the application writes then is known after an interruption."""
        digests = [text_digest(text or "").hex() for text in page.texts]
        fingerprints = [fingerprint.hex() for fingerprint in fingerprints_of(page.vectors)]
        rows = zip(page.ids, zip(digests, fingerprints, strict=True), strict=True)
        self._provenance.note(self._address, {WRITING: dict(rows)})

    def _finish_writing(self, alone: Callable[[], contextlib.AbstractContextManager[None]]) -> None:
        """Embed the texts that the application wrote while rows were written again by a run that was interrupted."""
        noted = self._provenance.facts(self._address).get(WRITING)
        if not noted:
            return
        with alone(), self._turns.own():
            page = self._collection.records(list(noted))
            texts, fingerprints = zip(*(noted[row_id] for row_id in page.ids), strict=True) if len(page) else ((), ())
            other = [text_digest(text or "").hex() != known for text, known in zip(page.texts, texts, strict=True)]
            held = matches(page.vectors, [bytes.fromhex(fingerprint) for fingerprint in fingerprints])
            left = page.rows([row for row in range(len(page)) if other[row] and held[row]])
            embed_left_texts(self._collection, left, self._writer.embedded, self._note_writing)

    def _projected(self) -> int:
        """How many rows a refitted projection would be applied to."""
        return self._provenance.not_exact().get(self._address, 0)

    def _refit(self) -> None:
        refitted = refit_projection(self._address, self._collection, self._provenance, self._provider, self._seed)
        if refitted is not None:
            self._provenance.add_projection(self._address, *refitted)
            self._reproject()

    def _reproject(self) -> None:
        """Apply the newest projection to every row that is not exact. If interrupted, the next run goes on with it."""
        newest = self._provenance.projections(self._address)[0].reading_with(self._provider.embed_each)
        for ids in in_batches(self._provenance.ids(self._address, *NOT_EXACT), BATCH):
            state = self._writer.refresh(ids)
            if state.rows:
                self._note_replacing()
                vectors = newest.apply(old_vectors_of(state.rows), state.page.texts)
                written, changed = self._writer.give(state.page, vectors)
                self._provenance.set_fingerprints(self._address, list(written), list(written.values()))
                self._writer.repair(changed)
                self._reprojected += len(written)
        self._provenance.drop_older_projections(self._address)


def is_loosened(provenance: Provenance, address: Address) -> bool:
    """Whether vectors of a collection were replaced, and searches may not reach every row. Only reads."""
    reached = provenance.facts(address).get(REACHED)
    return reached is not None and not reached["settled"]
