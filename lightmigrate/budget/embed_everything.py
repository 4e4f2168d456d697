"""Every text embedded by the new model: nothing is learned, and what has no text is projected from the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from lightmigrate.budget.learned import Learned
from lightmigrate.estimators.fit import fit
from lightmigrate.migration.collection_job import EmbeddedTexts
from lightmigrate.progress import OnProgress, reporting
from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.base import FEWEST_OF_CALL
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.retention import EVERYTHING, UNKNOWN
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.training.collection_sample import PAGE_ROWS
from lightmigrate.training.model_speed import texts_in
from lightmigrate.training.request import tokens_of
from lightmigrate.training.text_digest import text_digest
from lightmigrate.training.texts import NO_TEXTS, TextsFile
from lightmigrate.vectors import finite_rows, meaningful

# Records that the projection of those without a text is fitted to; where all have one, it is for records that are
# written meanwhile, and the next refinement embeds these.
FITTED, FITTED_FOR_LATE_ONES = 2000, 100

# A server is given about so many seconds' texts at once, and at most so many times more than before. A rest that is
# hardly more than that goes along.
SECONDS_OF_PART, GROWTH, LITTLE_MORE = 2.0, 8, 1.5


def embed_everything(
    collection: JoinedCollections,
    provider: Cached,
    *,
    opened_by: Mapping[str, Any],
    source_model: Model,
    texts_file: TextsFile = NO_TEXTS,
    require: Callable[[int], None] = lambda done: None,
    on_progress: OnProgress | None = None,
) -> Learned:
    """Embed every different text of some collections of one model, once. Only reads; fills the model's cache.

    Every batch is in the cache before the next one is embedded, so that an interrupted run pays for nothing twice. 80
    bytes are in memory for every different text, and the texts of one page.

    Args:
        collection: the open collections as one, with their embedded texts.
        provider: the new model.
        opened_by: how to open the new model, for `refine`; empty if only the caller can.
        source_model: the model of the stored vectors.
        texts_file: the file with the texts that the collections do not store.
        require: called after each batch with the estimated tokens of all texts so far; raises to end it.
        on_progress: receives the number of records whose text is embedded.

    Raises:
        TextsRefusedError: the model refuses every text.
        ProviderError: the model fails.
    """
    report, total = reporting(on_progress), collection.count()

    def embedded_so_far(records: int) -> None:
        report("embed", records, total)

    accepted, refused, parts = set[bytes](), set[bytes](), _Parts(provider)
    done = without_text = tokens = 0
    for page in collection.scan(PAGE_ROWS, vectors=False):
        of_page = {text_digest(text): text for text in page.texts if text and text.strip()}
        without_text += sum(not (text and text.strip()) for text in page.texts)
        new = [text for digest, text in of_page.items() if digest not in accepted and digest not in refused]
        if new:
            # a page is embedded from its longest text to its shortest
            sums = [*accumulate(sorted((tokens_of(provider, [text]) for text in new), reverse=True), initial=tokens)]
            on_batch, before = partial(_within_page, require, embedded_so_far, sums, done, len(page), len(new)), 0
            for texts in parts.of(new):
                taken = finite_rows(provider.embed_each(texts, partial(on_batch, before)))
                before += len(texts)
                for text, finite in zip(texts, taken, strict=True):
                    (accepted if finite else refused).add(text_digest(text))
            tokens = sums[-1]
        done += len(page)
        embedded_so_far(done)
    fitted = FITTED if without_text or refused else FITTED_FOR_LATE_ONES
    projection = _for_the_others(collection, provider, source_model, fitted)
    share = 1 - without_text / max(1, collection.count())
    facts = {
        "model": provider.name,
        "provider": opened_by,
        "reads_texts": False,
        "texts_file": texts_file.to_json(),
        "dimension": projection.info.target.dimension,
        "expected": [(0.0, UNKNOWN.to_json()), (1.0, EVERYTHING.to_json())],
    }
    embedded = EmbeddedTexts(provider, accepted, accepted, facts)
    return Learned(projection, None, embedded, {}, without_text, EVERYTHING.mixed(UNKNOWN, share))


class _Parts:
    """The texts of a page, the longest first, in parts: a server shows with few of them how fast it is."""

    def __init__(self, provider: Cached) -> None:
        self._provider, self._most = provider, FEWEST_OF_CALL * provider.parallel_calls

    def of(self, texts: Sequence[str]) -> Iterator[Sequence[str]]:
        """All of them, in one part for a model that makes one call after the other: it is heard after each."""
        left = sorted(texts, key=len, reverse=True)
        while left:
            size, at_once = len(left), self._provider.parallel_calls
            if at_once > 1:  # of a slow one less than a whole call
                in_time = texts_in(self._provider, SECONDS_OF_PART)
                size = min(self._most, max(FEWEST_OF_CALL // at_once, self._most if in_time is None else in_time))
            if len(left) < LITTLE_MORE * size:
                size = len(left)
            yield left[:size]
            left = left[size:]
            self._most *= GROWTH


def _within_page(
    require: Callable[[int], None],
    report: Callable[[int], None],
    sums: Sequence[int],
    records_before: int,
    records: int,
    texts: int,
    texts_before: int,
    embedded: int,
    _of_part: int,
) -> None:
    """Require and report after a batch; records of a page are done in proportion to its texts.

    Args:
        require: called with the tokens so far.
        report: called with the records so far.
        sums: tokens when so many texts of the page are embedded.
        records_before: before the page.
        records: of the page.
        texts: of the page.
        texts_before: of the page, before the part that is embedded now.
        embedded: texts of the part so far.
    """
    require(sums[texts_before + embedded])
    report(records_before + records * (texts_before + embedded) // texts)


def _for_the_others(collection: JoinedCollections, provider: Cached, source_model: Model, fitted: int) -> Projection:
    """A projection for records without a text, fitted to so many whose text is embedded already."""
    page = collection.sample(fitted)
    old = np.asarray(page.vectors)
    usable = [
        row
        for row in np.flatnonzero(meaningful(old)).tolist()
        if (text := page.texts[row]) is not None and text.strip()
    ]
    new = provider.embed_each([page.texts[row] or "" for row in usable])
    taken = finite_rows(new)
    new, old = new[taken], old[usable][taken]
    if len(new) < 2:
        shape = old.shape[1], provider.model.dimension
        offset = new[0] if len(new) else np.zeros(shape[1], np.float32)
        return Projection.affine(np.zeros(shape, np.float32), offset, source=source_model, target=provider.model)
    return fit(old, new, method="ridge", source_model=source_model, target_model=provider.model)
