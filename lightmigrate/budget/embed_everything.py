"""Every text embedded by the new model: nothing is learned, and what has no text is projected from the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.retention import EVERYTHING, UNKNOWN
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.training.collection_sample import PAGE_ROWS
from lightmigrate.training.request import tokens_of
from lightmigrate.training.text_digest import text_digest
from lightmigrate.training.texts import NO_TEXTS, TextsFile
from lightmigrate.vectors import finite_rows, meaningful

# Records that the projection of those without a text is fitted to; where all have one, it is for records that are
# written meanwhile, and the next refinement embeds these.
FITTED, FITTED_FOR_LATE_ONES = 2000, 100


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

    accepted, refused = set[bytes](), set[bytes]()
    done = without_text = tokens = 0
    for page in collection.scan(PAGE_ROWS, vectors=False):
        texts = {text_digest(text): text for text in page.texts if text and text.strip()}
        without_text += sum(not (text and text.strip()) for text in page.texts)
        new = [digest for digest in texts if digest not in accepted and digest not in refused]
        if new:
            missing = [texts[digest] for digest in new]
            # a page is embedded from its longest text to its shortest
            sums = [
                *accumulate(sorted((tokens_of(provider, [text]) for text in missing), reverse=True), initial=tokens)
            ]
            on_batch = partial(_within_page, require, embedded_so_far, sums, done, len(page))
            taken = finite_rows(provider.embed_each(missing, on_batch))
            tokens = sums[-1]
            accepted.update(digest for digest, finite in zip(new, taken, strict=True) if finite)
            refused.update(digest for digest, finite in zip(new, taken, strict=True) if not finite)
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


def _within_page(
    require: Callable[[int], None],
    report: Callable[[int], None],
    sums: Sequence[int],
    before: int,
    records: int,
    embedded: int,
    texts: int,
) -> None:
    """Require and report after a batch; records of a page are done in proportion to its texts.

    Args:
        require: called with the tokens so far.
        report: called with the records so far.
        sums: tokens when so many texts of the page are embedded.
        before: records before the page.
        records: of the page.
        embedded: texts of the page so far.
        texts: of the page.
    """
    require(sums[embedded])
    report(before + records * embedded // texts)


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
