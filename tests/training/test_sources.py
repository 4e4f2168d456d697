"""Calibration data from collections and from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lightmigrate.errors import NotEnoughTextsError
from lightmigrate.progress import Progress
from lightmigrate.training.collection_sample import sample_collection
from lightmigrate.training.sources import data_from_collection, data_from_file
from tests.training.collections import CORPUS, open_notes

TEXTS = list(CORPUS.documents[:120])


def test_stored_documents_with_their_own_vectors(tmp_path: Path) -> None:
    events: list[Progress] = []
    with open_notes(tmp_path, TEXTS) as notes:
        data = data_from_collection(notes, 100, queries=["what?"], seed=1, on_progress=events.append)
        sample = sample_collection(notes, 100, seed=1)
    assert (list(data.texts), data.words, data.collection_size) == (list(sample.texts), sample.words, 120)
    assert data.vectors is not None
    for text, vector in zip(data.texts, data.vectors, strict=True):
        np.testing.assert_array_equal(vector, CORPUS.old_documents[CORPUS.documents.index(text)])
    assert (data.about["corpus"], data.about["records"], data.about["chosen"]) == ("collection notes", 120, 100)
    assert list(data.queries) == ["what?"]
    assert events == [Progress("read", 120, 120, "notes")]


def test_fewer_documents_are_accepted_down_to_the_fewest(tmp_path: Path) -> None:
    with open_notes(tmp_path, TEXTS) as notes:
        assert len(data_from_collection(notes, 500, fewest=50).texts) == 120
        assert len(data_from_collection(notes, 60, fewest=50).texts) == 60
        with pytest.raises(NotEnoughTextsError, match="130 calibration documents are needed") as caught:
            data_from_collection(notes, 500, fewest=130)
    assert (caught.value.asked, caught.value.available) == (130, 120)


def test_texts_by_id_are_read_by_the_projection_only_if_asked_for(tmp_path: Path) -> None:
    texts = {f"n{row}": text for row, text in enumerate(TEXTS)}
    with open_notes(tmp_path, [None] * len(TEXTS)) as notes:
        with pytest.raises(NotEnoughTextsError, match="120 records without text"):
            data_from_collection(notes, 50)
        assert data_from_collection(notes, 50, texts=texts).words is None
        assert data_from_collection(notes, 50, texts=texts, reads_texts=True).words is not None


def test_the_first_documents_calibrate_and_some_of_the_next_give_extracts(tmp_path: Path) -> None:
    with open_notes(tmp_path, TEXTS) as notes:
        data = data_from_collection(notes, 100)
    part = data.first(60, 30).with_words(7)
    assert list(part.texts) == list(data.texts[:60])
    others = [data.texts.index(text) for text in part.extract_texts]
    assert len(set(others)) == 30
    assert min(others) == 60
    assert max(others) > 95, "from all of the next"
    assert data.vectors is not None
    assert part.vectors is not None
    assert part.extract_vectors is not None
    np.testing.assert_array_equal(part.vectors, data.vectors[:60])
    np.testing.assert_array_equal(part.extract_vectors, data.vectors[others])
    assert part.words is not None
    assert data.words is not None
    assert part.words.words == data.words.words[:7]
    assert (part.about["chosen"], part.collection_size) == (60, 120)
    assert part.without_texts().words is None


def test_documents_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(" ".join(text.split()) for text in TEXTS))
    data = data_from_file(file, 50, seed=3)
    assert len(set(data.texts)) == 50
    assert (data.vectors, data.collection_size, data.about) == (None, 120, {"corpus": "texts.txt", "records": 120})
    assert data.words is not None
    assert data.words.documents == 120
    assert data_from_file(file, 50, reads_texts=False).words is None


def test_the_packaged_corpus_teaches_no_words() -> None:
    data = data_from_file(None, 50)
    assert (data.words, data.collection_size, data.about["corpus"]) == (None, 16_000, "WordNet 3.0 (packaged)")
