"""Refits the projection on the rows that are exact by now, for the rows that are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lightmigrate.estimators.choose import HeldOutSearch
from lightmigrate.estimators.extracts import Extracts
from lightmigrate.estimators.fit import LANDMARKS, fit_pairs
from lightmigrate.estimators.word_vectors import WordVectors
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.providers.base import Provider
from lightmigrate.refinement.provenance import Provenance, Row, VectorOrigin, old_vectors_of
from lightmigrate.refinement.vector_fingerprint import matches
from lightmigrate.stores.base import Address, Collection, Page
from lightmigrate.stores.distance import space_of
from lightmigrate.stores.page import in_batches
from lightmigrate.training.collection_sample import PAGE_ROWS
from lightmigrate.training.embedded import embed_extracts, embed_words
from lightmigrate.training.frequent_words import FrequentWords, WordCounter

# The projection is refitted when the pairs have grown by this factor: each time costs a fit and rewrites all rows.
GROWTH = 1.5

# More pairs make the fit slow and hardly better.
MOST_PAIRS = 4000

# With fewer rows that the present projection was not fitted to, nobody can tell which of two projections is better.
FEWEST_JUDGES = 50


def refit_projection(
    address: Address, collection: Collection, provenance: Provenance, provider: Provider, seed: int
) -> tuple[Projection, list[str]] | None:
    """A projection fitted to the exact rows, and their ids; `None` if it is not better than the present one.

    Both are judged by exact rows that the present projection was not fitted to: half of them take their true vectors,
    the others those of the present projection, or those of the new one, each left out of its fit; the share of true
    nearest neighbours that searches find is compared. Calls the model, for texts that are in its cache.

    Args:
        address: of the collection.
        collection: an open collection; only read.
        provenance: of its database; only read.
        provider: the new model, with a cache that holds the extracts and words that the migration embedded.
        seed: of every random choice.
    """
    present = provenance.projections(address)[0].reading_with(provider.embed_each)
    exact = provenance.counts(address)[VectorOrigin.EXACT]
    if not _grown(present, exact, provenance.not_fitted(address)):
        return None
    rows, page = _pairs(address, collection, provenance, VectorOrigin.EXACT, seed)
    source, target = old_vectors_of(rows), page.vectors
    extracts, words = None, None
    texts = [text for text in page.texts if text and text.strip()]
    reads_texts = bool(provenance.facts(address)["reads_texts"]) and len(texts) == len(rows)
    if reads_texts:
        words = _word_vectors(collection, provider)
        if present.extract_rule is not None:
            extracts = _extracts(address, collection, provenance, provider, present.extract_rule, texts, seed)
    fitted = fit_pairs(
        source,
        target,
        page.texts if reads_texts else None,
        method="auto",
        words=words,
        extracts=extracts,
        prior=None,
        landmarks=LANDMARKS,
        seed=seed,
        source_model=present.info.source,
        target_model=present.info.target,
    )
    judges = np.flatnonzero([not row.fitted for row in rows])
    searches = HeldOutSearch(target[judges], seed, space_of(collection))
    projected = present.apply(source[judges], [page.texts[row] for row in judges.tolist()])
    if searches.overlaps_beside_exact(fitted.held_out[judges]) <= searches.overlaps_beside_exact(projected):
        return None
    return fitted.projection, [row.id for row in rows]


def texts_of_refit(address: Address, collection: Collection, provenance: Provenance, more: int) -> Iterator[str]:
    """What a refit would ask the model for, when so many more rows are exact; only reads.

    The migration embedded it before, so that it is in the cache, unless the cache was deleted or the texts changed.

    Args:
        address: of the collection.
        collection: an open collection.
        provenance: of its database.
        more: rows that will be exact then and are not now.
    """
    present = provenance.projections(address)[0]
    exact = provenance.counts(address)[VectorOrigin.EXACT]
    if not _grown(present, exact + more, provenance.not_fitted(address) + more):
        return
    if provenance.facts(address)["reads_texts"]:
        yield from _frequent_words(collection).words
    yield from texts_of_projection(address, collection, provenance, list(VectorOrigin))


def texts_of_projection(
    address: Address, collection: Collection, provenance: Provenance, origins: Sequence[VectorOrigin]
) -> Iterator[str]:
    """The extracts that the present projection asks the model for, of all rows of some origins; only reads."""
    rule = provenance.projections(address)[0].extract_rule
    if rule is None:
        return
    for ids in in_batches(provenance.ids(address, *origins), PAGE_ROWS):
        page = collection.records(ids)
        yield from (rule.of(text) for text in page.texts if text and text.strip())


def _grown(present: Projection, exact: int, not_fitted: int) -> bool:
    """Whether there are enough exact rows to refit a projection, and enough that it was not fitted to, to judge it."""
    pairs = int(present.info.training.get("pairs", 0))  # not every projection was fitted to pairs
    return exact >= GROWTH * pairs and pairs < MOST_PAIRS and not_fitted >= FEWEST_JUDGES


def _pairs(
    address: Address, collection: Collection, provenance: Provenance, origin: VectorOrigin, seed: int
) -> tuple[list[Row], Page]:
    """Some of the rows of an origin and their records, without rows that the application wrote since.

    The old vector of such a row belongs to another text.
    """
    by_id = provenance.rows_by_id(address, provenance.sample(address, MOST_PAIRS, seed, origin))
    page = collection.records(list(by_id))
    rows = [by_id[row_id] for row_id in page.ids]
    own = np.flatnonzero(matches(page.vectors, [row.fingerprints for row in rows])).tolist()
    return [rows[row] for row in own], page.rows(own)


def _extracts(
    address: Address,
    collection: Collection,
    provenance: Provenance,
    provider: Provider,
    rule: ExtractRule,
    texts: Sequence[str],
    seed: int,
) -> Extracts:
    """The extracts of the exact rows, and of the rows that are projected with an extract."""
    if not provenance.counts(address)[VectorOrigin.EXTRACT]:
        return embed_extracts(texts, rule, provider)
    rows, page = _pairs(address, collection, provenance, VectorOrigin.EXTRACT, seed)
    more_texts = [text or "" for text in page.texts]
    return embed_extracts(texts, rule, provider, more_texts, old_vectors_of(rows))


def _word_vectors(collection: Collection, provider: Provider) -> WordVectors:
    return embed_words(_frequent_words(collection), provider)


def _frequent_words(collection: Collection) -> FrequentWords:
    counter = WordCounter()
    for text in _texts(collection):
        counter.add(text)
    return counter.frequent()


def _texts(collection: Collection) -> Iterator[str]:
    for page in collection.scan(PAGE_ROWS):
        yield from (text for text in page.texts if text and text.strip())
