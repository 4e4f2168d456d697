"""The extract term, and projections that embed extracts with the new model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate import Extracts, Projection, fit
from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import ProjectionError
from lightmigrate.estimators.extracts import OtherExtracts
from lightmigrate.projection.terms.extract import Extract
from lightmigrate.projection.terms.extract_rule import ExtractRule
from lightmigrate.quality.metrics import ranking_overlap, search
from lightmigrate.vectors import Vectors
from tests.encoders import shared_wordllama

CORPUS = load_corpus()
TRAIN, REST = slice(0, 250), slice(250, 500)
TEXTS = list(CORPUS.documents)
OLD = CORPUS.old_documents
NEW = shared_wordllama(128).embed(TEXTS[:500])


def embed(texts: Sequence[str]) -> Vectors:
    return np.asarray(shared_wordllama(128).embed(texts), dtype=np.float32)


def embedded_extracts(words: int = 24) -> Extracts:
    return Extracts(ExtractRule(words), embed([ExtractRule(words).of(text) for text in TEXTS[TRAIN]]), embed)


@pytest.fixture(scope="module")
def fitted() -> Projection:
    return fit(OLD[TRAIN], NEW[TRAIN], TEXTS[TRAIN], method="lexical", extracts=embedded_extracts())


def test_the_beginning_stands_as_it_stood() -> None:
    assert ExtractRule(3).of("  One,  two\nthree four") == "  One,  two\nthree"
    assert ExtractRule(3).of("One two") == "One two"
    assert ExtractRule(4).of("日本語の文章です。次の文") == "日本語の文章です"
    assert ExtractRule(2).of("") == ""


@given(st.text(), st.integers(1, 20))
def test_a_beginning_is_one_and_abridging_it_again_changes_nothing(text: str, words: int) -> None:
    extract = ExtractRule(words).of(text)
    assert text.startswith(extract)
    assert ExtractRule(words).of(extract) == extract
    assert ExtractRule(words + 1).of(text).startswith(extract)


def test_embedding_extracts_helps(fitted: Projection) -> None:
    without = fit(OLD[TRAIN], NEW[TRAIN], TEXTS[TRAIN], method="lexical")
    cosines = [np.sum(p.apply(OLD[REST], TEXTS[REST]) * NEW[REST], axis=1).mean() for p in (fitted, without)]
    assert cosines[0] > cosines[1] + 0.02
    assert fitted.extract_rule == ExtractRule(24)
    assert without.extract_rule is None


def test_other_extracts_improve_the_regression() -> None:
    """With forty whole documents, and eight words of the others, which the projection reads anyway."""
    short = embed([ExtractRule(8).of(text) for text in TEXTS[:500]])
    few, others = slice(0, 40), slice(40, 500)
    extracts = [
        Extracts(ExtractRule(8), short[few], embed, more)
        for more in (None, OtherExtracts(OLD[others], TEXTS[others], short[others]))
    ]
    maps = [fit(OLD[few], NEW[few], TEXTS[few], method="extract", extracts=one) for one in extracts]
    expected = search(NEW, NEW[40:], 10)
    found = [one.apply(OLD[others], TEXTS[others]) for one in maps]
    overlap = [ranking_overlap(expected, search(NEW, vectors, 10)) for vectors in (short[others], *found)]
    assert overlap[0] < overlap[1] < overlap[2]
    assert overlap[2] > overlap[0] + 0.05


def test_other_extracts_must_fit_the_pairs() -> None:
    with pytest.raises(ProjectionError, match=r"\(3, 64\) for 3 documents with 3 texts, those of the pairs have 128"):
        Extracts(ExtractRule(3), NEW[:5], None, OtherExtracts(OLD[:3], TEXTS[:3], NEW[:3, :64]))
    extract = Extracts(ExtractRule(3), NEW[:60], embed, OtherExtracts(OLD[:3, :7], TEXTS[:3], NEW[:3]))
    with pytest.raises(ProjectionError, match="source vectors of 7 dimensions, the pairs of 256"):
        fit(OLD[:60], NEW[:60], TEXTS[:60], method="extract", extracts=extract)


def test_a_file_keeps_it_and_asks_for_the_model(fitted: Projection, tmp_path: Path) -> None:
    loaded = Projection.load(fitted.save(tmp_path / "map.npz"))
    with pytest.raises(ProjectionError, match=r"first 24 words\) of every text.*reading_with"):
        loaded.apply(OLD[REST], TEXTS[REST])
    expected = fitted.apply(OLD[REST], TEXTS[REST])
    np.testing.assert_array_equal(loaded.reading_with(embed).apply(OLD[REST], TEXTS[REST]), expected)
    # records without a text need no model
    np.testing.assert_array_equal(loaded.apply(OLD[REST]), fitted.apply(OLD[REST]))


def test_another_model_is_refused_with_both_numbers(fitted: Projection) -> None:
    other = fitted.reading_with(lambda texts: np.zeros((len(texts), 64), dtype=np.float32))
    with pytest.raises(ProjectionError, match=r"\(250, 64\) for 250 texts, .* model of 128 dimensions"):
        other.apply(OLD[REST], TEXTS[REST])


def test_auto_uses_it_and_held_out_predictions_know_it() -> None:
    found = fit(OLD[TRAIN], NEW[TRAIN], TEXTS[TRAIN], extracts=embedded_extracts())
    assert found.info.training["method"] in ("lexical", "averaged", "corrected_extract")
    assert found.extract_rule == ExtractRule(24)
    assert found.uncertainty(OLD[REST], TEXTS[REST]).shape == (250,)


def test_records_without_a_text_are_not_asked_for() -> None:
    asked: list[str] = []

    def counting(texts: Sequence[str]) -> Vectors:
        asked.extend(texts)
        return embed(texts)

    term = Extract(np.eye(128, dtype=np.float32), ExtractRule(3), 256, counting)
    said = term.apply(OLD[:3], [None, "one two three four", "  "])
    assert asked == ["one two three"]
    np.testing.assert_array_equal(said[[0, 2]], np.zeros((2, 128), dtype=np.float32))
    np.testing.assert_array_equal(term.apply(OLD[:3], None), np.zeros((3, 128), dtype=np.float32))


@pytest.mark.parametrize(
    "vectors",
    [np.ones(128), np.full((250, 128), np.nan)],
)
def test_invalid_extracts_are_refused(vectors: Vectors) -> None:
    with pytest.raises(ProjectionError, match="cannot be used"):
        Extracts(ExtractRule(3), vectors)


def test_extracts_need_texts_and_a_method_that_uses_them() -> None:
    for texts, method in ((None, "auto"), (TEXTS[TRAIN], "ridge")):
        with pytest.raises(
            ProjectionError, match="extracts are only used by lexical, averaged, extract, corrected_extract"
        ):
            fit(OLD[TRAIN], NEW[TRAIN], texts, method=method, extracts=embedded_extracts())  # type: ignore[arg-type]
    with pytest.raises(ProjectionError, match=r"\(3, 128\), the pairs need \(250, 128\)"):
        fit(OLD[TRAIN], NEW[TRAIN], TEXTS[TRAIN], extracts=Extracts(ExtractRule(3), NEW[:3]))
