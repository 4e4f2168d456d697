"""Calibration data from a collection, from a file of texts, or from the packaged corpus."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightmigrate.progress import OnProgress, reporting
from lightmigrate.stores.base import Collection
from lightmigrate.stores.distance import space_of
from lightmigrate.stores.joined import JoinedCollections, Readable
from lightmigrate.texts.chosen import stated_form, with_texts
from lightmigrate.texts.source import Texts, by_id
from lightmigrate.training.calibration_data import CalibrationData
from lightmigrate.training.collection_sample import sample_collection
from lightmigrate.training.corpus import draw, packaged_corpus
from lightmigrate.training.frequent_words import WordCounter
from lightmigrate.training.texts import read_texts
from lightmigrate.vectors import Metric

# With fewer documents a projection is useless, whatever the gate says.
FEWEST_DOCUMENTS = 50


def data_from_collection(
    collection: Collection,
    documents: int,
    *,
    fewest: int | None = None,
    texts: Texts = None,
    reads_texts: bool | None = None,
    queries: Sequence[str] = (),
    distance: Metric | None = None,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> CalibrationData:
    """Sample documents of a collection and their stored vectors: the old model is not needed. One pass, only reads.

    Args:
        collection: an open collection.
        documents: how many to sample, at least 1.
        fewest: accept a collection with fewer documents, but at least so many; by default only exactly `documents`.
        texts: where the embedded texts come from, or texts by id for records that store none; by default what the
            records tell (`chosen_texts`).
        reads_texts: whether the projection may read texts. By default only if none are given by id: what the
            collection does not store, a migration reads only if it is given the same texts.
        queries: queries of users, for the gate.
        distance: to judge by, where the migration changes it; `None` for that of the collection.
        seed: of every random choice.
        on_progress: receives the number of records read.

    Raises:
        NotEnoughTextsError: the collection has fewer usable documents.
        AmbiguousTextsError: it is not known which texts were embedded.
    """
    embedded = with_texts(collection, texts)
    return data_from_readable(
        JoinedCollections([embedded], distance),
        documents,
        fewest=fewest,
        reads_texts=not by_id(texts) if reads_texts is None else reads_texts,
        queries=queries,
        about=stated_form([embedded], texts),
        seed=seed,
        on_progress=on_progress,
    )


def data_from_readable(
    collection: Readable,
    documents: int,
    *,
    fewest: int | None = None,
    reads_texts: bool = True,
    queries: Sequence[str] = (),
    about: Mapping[str, Any] = types.MappingProxyType({}),
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> CalibrationData:
    """`data_from_collection` for a collection, or several as one, whose texts are complete. One pass, only reads.

    The documents are sampled over all collections, so that each gives as many as its size and variety deserve.
    """
    report = reporting(on_progress, collection.address.name)
    sample = sample_collection(
        collection,
        documents,
        fewest=fewest,
        seed=seed,
        progress=lambda done, total: report("read", done, total),
    )
    return CalibrationData(
        texts=sample.texts,
        vectors=sample.vectors,
        words=sample.words if reads_texts else None,
        collection_size=sample.report.usable,
        about={
            "corpus": f"collection {collection.address}",
            **sample.report.to_json(),
            **about,
        },
        queries=queries,
        metric=collection.metric if isinstance(collection, JoinedCollections) else space_of(collection),
        positions=sample.positions,
        frequencies=sample.frequencies if reads_texts else None,
    )


def data_from_file(
    path: Path | None,
    documents: int,
    *,
    text_key: str = "text",
    reads_texts: bool | None = None,
    seed: int = 0,
) -> CalibrationData:
    """Draw documents from a file of texts, or from the packaged corpus. Both models have to embed them. Only reads.

    Args:
        path: see `read_texts`; `None` for the packaged corpus.
        documents: how many to draw.
        text_key: field or column of the texts.
        reads_texts: whether the projection may read texts. By default only those of a file: the words of the packaged
            corpus are not those of any collection.
        seed: of the draw.

    Raises:
        NotEnoughTextsError: there are fewer texts.
        LightmigrateError: what `read_texts` raises.
    """
    texts = packaged_corpus() if path is None else read_texts(path, text_key)
    words = frequencies = None
    if reads_texts is None:
        reads_texts = path is not None
    if reads_texts:
        counter = WordCounter()
        for text in texts:
            counter.add(text)
        words, frequencies = counter.frequent(), counter.frequencies()
    return CalibrationData(
        texts=draw(texts, documents, seed),
        vectors=None,
        words=words,
        collection_size=len(texts),
        about={"corpus": "WordNet 3.0 (packaged)" if path is None else path.name, "records": len(texts)},
        frequencies=frequencies,
    )
