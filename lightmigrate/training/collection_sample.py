"""A sample of a collection: documents and their stored vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightmigrate.errors import NotEnoughTextsError
from lightmigrate.projection.terms.extract_rule import DocumentFrequencies
from lightmigrate.projection.terms.words import count_words
from lightmigrate.results import Result
from lightmigrate.stores.joined import Readable
from lightmigrate.training.diverse_sample import MOST_ROWS, diverse_sample
from lightmigrate.training.frequent_words import FrequentWords, WordCounter
from lightmigrate.training.seen_texts import SeenTexts
from lightmigrate.training.text_digest import text_digest
from lightmigrate.vectors import Vectors, meaningful

# Records read at once, wherever a whole collection is read for its texts.
PAGE_ROWS = 1000

# Documents kept in memory to choose from, or k if that is more; of a larger collection a uniform sample.
MOST_CANDIDATES = MOST_ROWS

# Most encoders cut a text after 512 tokens, about so many English words.
LONG_WORDS = 380


@dataclass(frozen=True)
class SampleReport(Result):
    """What a collection holds to calibrate on.

    Attributes:
        records: all of them.
        usable: different texts with a valid vector.
        without_document: records without a document, or with an empty one.
        duplicates: records with the text of another record.
        invalid_vectors: records whose vector holds NaN or infinity, or only zeros.
        long_documents: usable documents that an embedding model probably truncates. They are calibrated on like all
            others, because they are migrated like all others.
        chosen: documents that were chosen.
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
        frequencies: in how many of its documents its words occur.
        report: what was counted.
        positions: the place of each document's record in a scan, int64 `(K,)`.
    """

    texts: Sequence[str]
    vectors: Vectors
    words: FrequentWords
    frequencies: DocumentFrequencies
    report: SampleReport
    positions: npt.NDArray[np.int64]


def sample_collection(
    collection: Readable,
    k: int,
    *,
    fewest: int | None = None,
    seed: int = 0,
    long_words: int = LONG_WORDS,
    progress: Callable[[int, int], None] | None = None,
) -> CalibrationSample:
    """Choose k documents that represent a collection; one pass, only reads.

    At most 20,000 documents, or k if that is more, are in memory.

    Args:
        collection: an open collection, or several as one.
        k: how many, at least 1.
        fewest: accept fewer than k documents, but at least so many; by default exactly k.
        seed: of every random choice.
        long_words: documents of more words count as long.
        progress: called with the number of records read, and of all.

    Raises:
        NotEnoughTextsError: the collection has fewer usable documents.
        ValueError: k is smaller than 1.
    """
    rng = np.random.default_rng(seed)
    texts: list[str] = []
    vectors: list[Vectors] = []
    positions: list[int] = []
    seen, different = SeenTexts(), 0
    counter = WordCounter()
    records = missing = duplicates = invalid = long = 0
    total = collection.count()
    most = max(MOST_CANDIDATES, k)
    for page in collection.scan(PAGE_ROWS):
        before = seen.among(text for text in page.texts if text and text.strip())
        new = set[bytes]()
        for text, vector, valid in zip(page.texts, page.vectors, meaningful(page.vectors), strict=True):
            records += 1
            if text is None or not text.strip():
                missing += 1
                continue
            counter.add(text)
            digest = text_digest(text)
            if digest in before or digest in new:
                duplicates += 1
                continue
            if not valid:
                invalid += 1
                continue
            new.add(digest)
            different += 1
            long += count_words(text) > long_words
            if len(texts) < most:
                texts.append(text)
                vectors.append(vector.copy())
                positions.append(records - 1)
            elif (place := int(rng.integers(different))) < most:  # reservoir sampling (Vitter 1985)
                texts[place], vectors[place], positions[place] = text, vector.copy(), records - 1
        seen.add(new)
        if progress is not None:
            progress(records, total)
    needed = k if fewest is None else min(fewest, k)
    if needed > len(texts):
        way_out = f"ask for at most that: --samples {len(texts)}" if len(texts) > 1 else "calibrate on --texts FILE"
        raise NotEnoughTextsError(
            f"{needed} calibration {'document is' if needed == 1 else 'documents are'} needed, collection "
            f"{collection.address} has {len(texts)} different "
            f"ones ({missing} records without text, {duplicates} duplicates, {invalid} invalid vectors); {way_out}",
            asked=needed,
            available=len(texts),
        )
    k = min(k, len(texts))
    candidates = np.stack(vectors) if vectors else np.empty((0, 0), dtype=np.float32)
    chosen = rng.permutation(diverse_sample(candidates, k, seed))
    report = SampleReport(records, different, missing, duplicates, invalid, long, k)
    places = np.array(positions, dtype=np.int64)[chosen]
    return CalibrationSample(
        texts=[texts[row] for row in chosen],
        vectors=candidates[chosen],
        words=counter.frequent(),
        frequencies=counter.frequencies(),
        report=report,
        positions=places,
    )
