"""A better map from the rows that are exact by now, for those that are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lightmigrate.calibration.words import WordCounter
from lightmigrate.dial.census import PAGE_ROWS
from lightmigrate.dial.marks import bear_a_mark
from lightmigrate.dial.provenance import Kind, Provenance, Row, sources_of
from lightmigrate.estimators.beginnings import Beginnings, Others
from lightmigrate.estimators.choose import HeldOutSearch
from lightmigrate.estimators.fit import LANDMARKS, fit_pairs
from lightmigrate.estimators.words import WordVectors
from lightmigrate.projection.abridged import abridge
from lightmigrate.projection.projection import Projection
from lightmigrate.projection.vectors import Vectors
from lightmigrate.providers.base import Provider
from lightmigrate.stores.base import Address, Collection, Page

# A map is made anew when so many times the pairs it was made of are there: each costs a fit and rewrites all rows.
GROWTH = 1.5

# More pairs make the fit slow and hardly better.
MOST_PAIRS = 4000

# Fewer rows that the old map was not fitted to cannot say which of two maps is better.
FEWEST_JUDGES = 50


def better_map(
    address: Address, collection: Collection, provenance: Provenance, provider: Provider, seed: int
) -> tuple[Projection, list[str]] | None:
    """A map fitted to the rows that are exact by now, and their ids; `None` when it would be no better.

    Judged by rows that the present map was not fitted to: how many of their true nearest neighbours are found when half
    of them are exact, and the others are what it says to them, or what the new one says to each when it is left out.

    Args:
        address: of the collection.
        collection: it, open; only read.
        provenance: only read.
        provider: the new model, with a cache; it is asked for first words and single words that it has read before.
        seed: of every random choice.
    """
    present = provenance.maps(address)[0].reading_with(provider.embed)
    taught = present.info.training["pairs"]
    known = list(provenance.rows(address, Kind.EXACT))
    if len(known) < GROWTH * taught and taught < MOST_PAIRS:
        return None
    if taught >= MOST_PAIRS or sum(not row.taught for row in known) < FEWEST_JUDGES:
        return None
    rows, page = _pairs(collection, known, seed)
    source, target = sources_of(rows), page.vectors
    beginnings, words = None, None
    readable = [text for text in page.documents if text and text.strip()]
    reads_texts = bool(provenance.facts(address)["reads_texts"]) and len(readable) == len(rows)
    if reads_texts:
        words = _words(collection, provider)
        if present.first_words:
            beginnings = _beginnings(address, collection, provenance, provider, present.first_words, readable, seed)
    fitted = fit_pairs(
        source,
        target,
        page.documents if reads_texts else None,
        method="auto",
        words=words,
        beginnings=beginnings,
        prior=None,
        landmarks=LANDMARKS,
        seed=seed,
        source_model=present.info.source,
        target_model=present.info.target,
    )
    judges = np.flatnonzero([not row.taught for row in rows])
    searches = HeldOutSearch(target[judges], seed)
    said = present.apply(source[judges], [page.documents[row] for row in judges.tolist()])
    if searches.overlaps_beside_exact(fitted.held_out[judges]) <= searches.overlaps_beside_exact(said):
        return None
    return fitted.projection, [row.id for row in rows]


def _pairs(collection: Collection, known: Sequence[Row], seed: int) -> tuple[list[Row], Page]:
    """Some of the exact rows, and what the collection holds of them; none that the application has written over.

    Such a row's old vector is that of another text.
    """
    chosen = np.random.default_rng(seed).permutation(len(known))[:MOST_PAIRS]
    by_id = {known[row].id: known[row] for row in chosen}
    page = collection.records(list(by_id))
    rows = [by_id[one] for one in page.ids]
    own = np.flatnonzero(bear_a_mark(page.vectors, [row.marks for row in rows])).tolist()
    return [rows[row] for row in own], page.rows(own)


def _beginnings(
    address: Address,
    collection: Collection,
    provenance: Provenance,
    provider: Provider,
    words: int,
    texts: Sequence[str],
    seed: int,
) -> Beginnings:
    """The first words of the exact rows, and of those that are mapped by them."""
    own = provider.embed([abridge(text, words) for text in texts])
    mapped = list(provenance.rows(address, Kind.ABRIDGED))
    if not mapped:
        return Beginnings(words, own, provider.embed)
    rows, page = _pairs(collection, mapped, seed)
    read = provider.embed([abridge(text or "", words) for text in page.documents])
    return Beginnings(words, own, provider.embed, Others(sources_of(rows), page.documents, read))


def _words(collection: Collection, provider: Provider) -> WordVectors:
    counter = WordCounter()
    for text in _texts(collection):
        counter.add(text)
    frequent = counter.frequent()
    vectors: Vectors = provider.embed(frequent.words)
    return WordVectors(frequent.words, vectors, frequent.counts, frequent.documents)


def _texts(collection: Collection) -> Iterator[str]:
    for page in collection.pages(PAGE_ROWS):
        yield from (text for text in page.documents if text and text.strip())
