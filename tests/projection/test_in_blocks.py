"""However many threads compute a projection, and whoever else does: the vectors are the same."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightmigrate import Model, Projection, threads
from lightmigrate.projection import steps
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.steps import ByText, Length, Sum
from lightmigrate.projection.terms.kernel import Kernel
from lightmigrate.projection.terms.lexical import Lexical, Vocabulary
from lightmigrate.projection.terms.linear import Linear
from lightmigrate.vectors import Vectors
from tests.projection.strategies import examples, random_vectors

WORDS = ("the", "cat", "sat", "on", "two", "naïve", "dogs", "ran", "in", "Zürich", "and", "p53-dependent", "mice")
ROWS = 3 * steps.CHUNK_ROWS + 5


def texts_for(rows: int) -> list[str | None]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, 20)) if row % 11 else None for row in range(rows)]


def projection(*, normalised: bool = True, length: Length | None = None) -> Projection:
    vocabulary = Vocabulary.of(texts_for(60))
    table = random_vectors(len(vocabulary.stems), 6, seed=1)
    plain = Sum(random_vectors(1, 6)[0], (Linear(random_vectors(8, 6, seed=2)),), normalised, length)
    kernel = Kernel(random_vectors(7, 8, seed=3), random_vectors(7, 6, seed=4), 2.0)
    with_text = Sum(plain.bias, (kernel, Lexical(vocabulary, table, 8), *plain.terms), normalised, length)
    info = ProjectionInfo(Model("old", 8), Model("new", 6, normalised=normalised))
    return Projection((ByText(with_text, plain),), info)


def one_by_one(some: Projection, vectors: Vectors, texts: list[str | None]) -> Vectors:
    return np.stack([some.apply(vector, text) for vector, text in zip(vectors, texts, strict=True)])


@examples
@given(
    rows=st.integers(0, 60), block=st.integers(1, 70), count=st.integers(1, 5), normalised=st.booleans(),
    lengths=st.booleans(),
)  # fmt: skip
def test_blocks_and_threads_change_nothing(rows: int, block: int, count: int, normalised: bool, lengths: bool) -> None:
    logarithm = Sum(random_vectors(1, 1)[0], (Linear(random_vectors(8, 1)),), normalise=False)
    length = Length(0.5, 2.0, logarithm) if lengths and normalised else None
    some, vectors, texts = projection(normalised=normalised, length=length), random_vectors(rows, 8), texts_for(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "_threads", lambda: count)
        patch.setattr(steps, "CHUNK_ROWS", block)
        found = some.apply(vectors, texts)
    assert found.shape == (rows, 6)
    if rows:
        np.testing.assert_allclose(found, one_by_one(some, vectors, texts), atol=1e-5)


def test_the_bits_are_the_same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    some, vectors, texts = projection(), random_vectors(ROWS, 8), texts_for(ROWS)
    monkeypatch.setattr(threads, "_threads", lambda: 3)
    first = some.apply(vectors, texts)
    for _ in range(5):
        np.testing.assert_array_equal(some.apply(vectors, texts), first)


def test_several_threads_of_the_application_may_apply_at_once() -> None:
    some, vectors, texts = projection(), random_vectors(ROWS, 8), texts_for(ROWS)
    expected = some.apply(vectors, texts)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: projection().apply(vectors, texts), range(4)):
            np.testing.assert_allclose(found, expected, atol=1e-6)
        for found in pool.map(lambda _: some.apply(vectors, texts), range(12)):
            np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_forked_meanwhile_applies_too(monkeypatch: pytest.MonkeyPatch) -> None:
    some, vectors, texts = projection(), random_vectors(ROWS, 8), texts_for(ROWS)
    monkeypatch.setattr(threads, "_threads", lambda: 2)
    expected, done = some.apply(vectors, texts), threading.Event()

    def go_on() -> None:
        while not done.is_set():
            some.apply(vectors, texts)

    applying = threading.Thread(target=go_on)
    applying.start()
    try:
        for _ in range(5):
            if not (child := os.fork()):
                signal.alarm(60)
                same = np.allclose(some.apply(vectors, texts), expected, atol=1e-6)
                os._exit(0 if same and not threads._limits else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        done.set()
        applying.join()
