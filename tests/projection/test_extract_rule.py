"""Which words of a text are its extract."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate import Extracts, Projection, fit
from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import ProjectionFileError
from lightmigrate.projection.steps import ByText
from lightmigrate.projection.terms.extract import Extract
from lightmigrate.projection.terms.extract_rule import (
    EXTRACT_KINDS,
    DocumentFrequencies,
    ExtractKind,
    ExtractRule,
    extract_kind,
)
from lightmigrate.training.frequent_words import WordCounter
from tests.encoders import shared_wordllama

# The, of, flow, wing, shock: from the most frequent to the rarest; unknown words are rarer still.
COUNTS = {"flow": 40, "of": 900, "shock": 5, "the": 990, "wing": 20}
FREQUENCIES = DocumentFrequencies(tuple(COUNTS), tuple(COUNTS.values()), 1000)
TEXT = "The flow of the wing:\nthe shock, (buffeting) of the wing - the flow!"


def rule(kind: ExtractKind, words: int, frequencies: DocumentFrequencies = FREQUENCIES) -> ExtractRule:
    return ExtractRule(words, kind, None if kind == "first" else frequencies)


@pytest.mark.parametrize(
    ("kind", "words", "extract"),
    [
        ("first", 4, "The flow of the"),
        ("rarest", 1, "(buffeting)"),
        ("rarest", 2, "shock, (buffeting)"),
        ("rarest", 3, "wing:\n shock, (buffeting)"),
        ("rarest", 4, "flow wing:\n shock, (buffeting)"),
        ("rarest", 13, "The flow of wing:\n shock, (buffeting)"),
        ("content", 1, "flow"),
        ("content", 4, "flow wing: shock, (buffeting)"),
        ("content", 6, "flow wing: shock, (buffeting) wing flow!"),
        ("content", 13, "flow wing: shock, (buffeting) wing flow!"),
        ("first", 14, TEXT),
        ("rarest", 14, TEXT),
        ("content", 14, TEXT),
    ],
)
def test_an_extract_holds_these_words_in_their_order(kind: ExtractKind, words: int, extract: str) -> None:
    assert rule(kind, words).of(TEXT).split() == extract.split()


def test_neighbours_stay_as_they_stood() -> None:
    assert rule("rarest", 2).of("of the\twing  shock of") == "wing  shock"


@pytest.mark.parametrize("kind", EXTRACT_KINDS)
@given(text=st.text(), words=st.integers(1, 20))
def test_an_extract_of_an_extract_is_itself(kind: ExtractKind, text: str, words: int) -> None:
    made = rule(kind, words)
    extract = made.of(text)
    assert made.of(extract) == extract
    assert len(extract) <= len(text)
    assert set(extract.split()) <= set(text.split()) or not text.isascii()


def test_rare_words_of_a_text_without_any_are_its_first() -> None:
    """In Japanese two letters count as a word, and nobody counted these."""
    assert rule("rarest", 4).of("日本語の文章です。次の文") == "日本語の文章です"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ExtractRule(0),
        lambda: ExtractRule(3, "rarest"),
        lambda: ExtractRule(3, "first", FREQUENCIES),
        lambda: ExtractRule(3, extract_kind("longest"), FREQUENCIES),
        lambda: DocumentFrequencies(("a", "b"), (1,), 3),
        lambda: DocumentFrequencies(("a",), (0,), 3),
    ],
)
def test_impossible_rules_are_refused(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(ValueError, match=r"do not fit|there are: first, content, rarest"):
        wrong()


def test_a_counter_knows_how_rare_words_are() -> None:
    counter = WordCounter()
    for text in ("the flow", "the flowing wing", "the shock"):
        counter.add(text)
    assert counter.frequencies() == DocumentFrequencies(("the",), (3,), 3)
    assert counter.frequencies(most=0).stems == ()


@pytest.mark.parametrize("kind", EXTRACT_KINDS)
def test_a_file_keeps_the_rule(kind: ExtractKind, tmp_path: Path) -> None:
    corpus, encoder = load_corpus(), shared_wordllama(128)
    texts, old = list(corpus.documents[:120]), corpus.old_documents[:120]
    counter = WordCounter()
    for text in texts:
        counter.add(text)
    made = rule(kind, 12, counter.frequencies())

    def embed(some: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return np.asarray(encoder.embed(list(some)), dtype=np.float32)  # type: ignore[call-overload]

    extracts = Extracts(made, embed([made.of(text) for text in texts]), embed)
    fitted = fit(old, embed(texts), texts, method="extract", extracts=extracts)
    loaded = Projection.load(fitted.save(tmp_path / "p.npz")).reading_with(embed)
    assert loaded.extract_rule == made
    assert fitted.info.training["extract_kind"] == kind
    np.testing.assert_array_equal(loaded.apply(old, texts), fitted.apply(old, texts))
    (step,) = fitted.steps
    assert isinstance(step, ByText)
    from_origin = ByText(replace(step.with_text, centre=None), replace(step.plain, centre=None))
    for one, least in ((fitted, 4), (Projection((from_origin,), fitted.info), 1 if kind == "first" else 3)):
        with np.load(one.save(tmp_path / "p.npz")) as archive:
            header = json.loads(archive["header"].tobytes())
        assert header["format"] == least  # an earlier lightmigrate would read first words


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", np.frombuffer(b"longest", dtype=np.uint8)),
        ("stems", np.frombuffer(b"one\ntwo", dtype=np.uint8)),
        ("stems", np.frombuffer(b"\xff", dtype=np.uint8)),
        ("counts", np.array([])),
        ("documents", np.array([])),
        ("words", np.array([0])),
    ],
)
def test_a_damaged_rule_is_refused(name: str, value: object) -> None:
    arrays = dict(Extract(np.eye(3, dtype=np.float32), rule("rarest", 3), 3).arrays())
    assert Extract.from_arrays(arrays).rule == rule("rarest", 3)
    with pytest.raises(ProjectionFileError, match="the extract term is inconsistent"):
        Extract.from_arrays({**arrays, name: value})
