"""Calibration documents from a collection: their old vectors are stored, so the old model is not needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lightmigrate.calibration.sample import MOST_ROWS, diverse_sample
from lightmigrate.calibration.words import FrequentWords, WordCounter
from lightmigrate.errors import NotEnoughTextsError
from lightmigrate.projection.vectors import Vectors
from lightmigrate.results import Result
from lightmigrate.stores.base import Collection

PAGE_ROWS = 1000

# Documents that stay in memory to choose from, or k where that is more; a uniform sample of a larger collection.
MOST_CANDIDATES = MOST_ROWS

# Most encoders cut a text after 512 tokens, about so many English words.
LONG_WORDS = 380


@dataclass(frozen=True)
class SampleReport(Result):
    """What a collection has to calibrate on.

    Attributes:
        records: all of them.
        usable: different texts with a vector.
        without_document: records without a document, or with an empty one.
        duplicates: records whose text another record has too.
        invalid_vectors: records whose vector holds NaN or infinity or is all zero.
        long_documents: usable ones so long that an embedding model probably sees only their beginning. They
            are calibrated on like all others, because they will be migrated like all others.
        chosen: how many were chosen.
    """

    records: int
    usable: int
    without_document: int
    duplicates: int
    invalid_vectors: int
    long_documents: int
    chosen: int


@dataclass(frozen=True)
class CalibrationSample:
    """Documents of a collection to calibrate on, in random order.

    Attributes:
        texts: K different documents.
        vectors: their stored vectors, float32 `(K, d_in)`.
        words: the frequent words of the whole collection.
        report: what was found and left out.
    """

    texts: Sequence[str]
    vectors: Vectors
    words: FrequentWords
    report: SampleReport


def sample_collection(
    collection: Collection,
    k: int,
    *,
    seed: int = 0,
    long_words: int = LONG_WORDS,
    progress: Callable[[int, int], None] | None = None,
) -> CalibrationSample:
    """Choose k documents of a collection that stand for the others; one pass, only reads.

    At most 20,000 documents, or k where that is more, are in memory, and 80 bytes for every different text.

    Args:
        collection: an open collection.
        k: how many, at least 1.
        seed: of every random choice.
        long_words: documents of more words count as long.
        progress: called with the number of records read and of all.

    Raises:
        NotEnoughTextsError: the collection has fewer than k usable documents.
        ValueError: k is smaller than 1.
    """
    rng = np.random.default_rng(seed)
    texts: list[str] = []
    vectors: list[Vectors] = []
    seen: set[bytes] = set()
    counter = WordCounter()
    records = missing = duplicates = invalid = long = 0
    total = collection.count()
    most = max(MOST_CANDIDATES, k)
    for page in collection.pages(PAGE_ROWS):
        fine = np.asarray(np.isfinite(page.vectors).all(axis=1) & page.vectors.any(axis=1))
        for text, vector, usable in zip(page.documents, page.vectors, fine, strict=True):
            records += 1
            if text is None or not text.strip():
                missing += 1
                continue
            counter.add(text)
            digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            if digest in seen:
                duplicates += 1
                continue
            if not usable:
                invalid += 1
                continue
            seen.add(digest)
            long += len(text.split()) > long_words
            if len(texts) < most:
                texts.append(text)
                vectors.append(vector.copy())
            elif (place := int(rng.integers(len(seen)))) < most:  # reservoir sampling (Vitter 1985)
                texts[place], vectors[place] = text, vector.copy()
        if progress is not None:
            progress(records, total)
    if k > len(texts):
        way_out = f"ask for at most that: --samples {len(texts)}" if len(texts) > 1 else "calibrate on --texts FILE"
        raise NotEnoughTextsError(
            f"{k} calibration documents asked for, the collection {collection.address} has {len(texts)} different ones "
            f"({missing} records without text, {duplicates} duplicates, {invalid} invalid vectors); {way_out}",
            asked=k,
            available=len(texts),
        )
    candidates = np.stack(vectors) if vectors else np.empty((0, 0), dtype=np.float32)
    chosen = rng.permutation(diverse_sample(candidates, k, seed))
    report = SampleReport(records, len(seen), missing, duplicates, invalid, long, k)
    return CalibrationSample([texts[row] for row in chosen], candidates[chosen], counter.frequent(), report)
