"""The best projection for the vectors at hand is the one that is measured to be, on real vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import Library, Model, Projection
from lightmigrate.registry.library import Candidate
from lightmigrate.registry.ranking import Ranked, rank
from lightmigrate.registry.registry import Registry
from tests.registry.folders import CORPUS, HELD_OUT, MINILM, POTION, SHORT, VECTORS, fitted

STORED, NEW = VECTORS[POTION][HELD_OUT:700], VECTORS[MINILM][HELD_OUT:700]
TEXTS: list[str | None] = [*CORPUS.documents[HELD_OUT:700]]


def stating(projection: Projection, retention: float) -> Projection:
    return projection.with_facts(quality={"retention": {"value": retention, "low": 0.0, "high": 1.0}})


def turned(projection: Projection) -> Projection:
    """The same, for vectors that were turned: of the right dimension, and of another space."""
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(256, 256)))
    first = VECTORS[POTION][:HELD_OUT] @ rotation
    return projection.with_spaces(first, VECTORS[MINILM][:HELD_OUT])


@pytest.fixture
def candidates(tmp_path: Path) -> list[Candidate]:
    """A good one that promises little, a bad one that promises much, and one for other vectors that promises most."""
    registry = Registry(tmp_path / "registry")
    registry.add(stating(fitted(POTION, MINILM), 0.3), "good.npz")
    registry.add(stating(fitted(POTION, MINILM, 60), 0.8), "bad.npz")
    registry.add(stating(turned(fitted(POTION, MINILM)), 0.95), "stranger.npz")
    return Library([registry.folder]).find(source_dim=256, target_dim=384, source=POTION.name, target=MINILM.name)


def names(ranked: list[Ranked]) -> list[str]:
    return [one.candidate.entries[0].file.removesuffix(".npz") for one in ranked]


def true_overlap(mapped: Any, true: Any) -> float:
    """Counted anew, by sorting whole matrices."""
    shares = []
    for row in range(len(true)):
        orders = []
        for held in (true, mapped):
            likeness = held @ true[row] / np.linalg.norm(held, axis=1)
            likeness[row] = -np.inf
            orders.append(set(np.argsort(-likeness)[:10].tolist()))
        shares.append(len(orders[0] & orders[1]) / 10)
    return float(np.mean(shares))


def test_what_is_measured_wins_over_what_is_promised(candidates: list[Candidate]) -> None:
    assert [one.entries[0].file for one in candidates] == ["stranger.npz", "bad.npz", "good.npz"]
    ranked = rank(candidates, STORED, TEXTS, NEW)
    assert names(ranked) == ["good", "bad", "stranger"]
    assert [one.fits for one in ranked] == [True, True, False]
    good, bad, stranger = ranked
    assert good.overlap is not None
    assert bad.overlap is not None
    assert stranger.overlap is not None
    assert good.overlap.value == pytest.approx(true_overlap(good.projection.apply(STORED), NEW), abs=0.002)
    assert 0 < good.overlap.low < good.overlap.value < good.overlap.high < 1
    assert good.overlap.low > bad.overlap.high, "more pairs make a better projection"
    assert stranger.overlap.value > bad.overlap.value, "it comes last because it does not fit"
    assert good.likeness is not None
    assert stranger.likeness is not None
    assert good.likeness > 1.3 > stranger.likeness


@pytest.mark.parametrize("rows", [29, 30])
def test_few_documents_measure_nothing(rows: int, candidates: list[Candidate]) -> None:
    ranked = rank(candidates, STORED[:rows], TEXTS[:rows], NEW[:rows])
    assert [one.overlap is None for one in ranked] == [rows < 30] * 3


def test_without_new_vectors_what_is_promised_decides_among_those_that_fit(candidates: list[Candidate]) -> None:
    ranked = rank(candidates, STORED, TEXTS, None)
    assert names(ranked) == ["bad", "good", "stranger"]
    assert [one.overlap for one in ranked] == [None] * 3
    assert names(rank(candidates, STORED[:5], [], None)) == ["stranger", "bad", "good"], "too few to tell"


def test_the_kind_of_match_decides_before_the_promise(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.add(stating(fitted(POTION, MINILM), 0.2), "direct.npz")
    registry.add(stating(fitted(MINILM, SHORT), 0.9), "link.npz")
    registry.add(fitted(POTION, SHORT), "short.npz")
    stranger = stating(fitted(POTION, SHORT), 0.99)
    other = Model("another", 128, normalised=False)
    alike = Projection(
        stranger.steps,
        type(stranger.info)(stranger.info.source, other, {}, stranger.info.quality),
        None,
        stranger.spaces,
    )
    registry.add(alike, "alike.npz")
    found = Library([tmp_path]).find(source_dim=256, target_dim=128, source=POTION.name, target=SHORT.name)
    ranked = rank(found[::-1], STORED, [], None)
    assert [one.candidate.by for one in ranked] == ["pair", "chain", "dimension"]
    chain = ranked[1]
    assert len(chain.candidate.entries) == 2
    measured = rank(found, STORED, [], VECTORS[SHORT][HELD_OUT:700])
    by_kind = {one.candidate.by: one for one in measured}
    assert by_kind["chain"].overlap is not None
    assert by_kind["chain"].overlap.value == pytest.approx(
        true_overlap(chain.projection.apply(STORED), VECTORS[SHORT][HELD_OUT:700]), abs=0.002
    )
    values = [one.overlap.value for one in measured if one.overlap is not None]
    assert values == sorted(values, reverse=True)


def test_what_cannot_be_loaded_or_used_is_left_out(
    candidates: list[Candidate], caplog: pytest.LogCaptureFixture
) -> None:
    folder = candidates[0].folders[0]
    (folder / "good.npz").write_bytes(b"x" * 100)
    (folder / "bad.npz").unlink()
    assert names(rank(candidates, STORED, [], None)) == ["stranger"]
    assert len(caplog.records) == 2
    assert rank(candidates, VECTORS[SHORT][:50], [], None) == []
    assert rank(candidates, STORED, [], VECTORS[SHORT][HELD_OUT:700]) == []
    assert rank([], STORED, [], NEW) == []
    assert "it gives 384 dimensions, the new model 128" in caplog.text


def test_records_that_mean_nothing_do_not_count(candidates: list[Candidate]) -> None:
    stored, new = STORED.copy(), NEW.copy()
    stored[0], stored[1], new[2] = np.nan, 0, np.inf
    ranked = rank(candidates, stored, TEXTS, new)
    assert ranked[0].overlap == rank(candidates, STORED[3:], TEXTS[3:], NEW[3:])[0].overlap
    assert ranked[0].fits
    nothing = rank(candidates, np.zeros_like(STORED), TEXTS, None)
    assert [one.likeness for one in nothing] == [None] * 3


def test_a_file_without_a_sketch_does_not_tell(tmp_path: Path) -> None:
    Registry(tmp_path).add(Projection(fitted(POTION, MINILM).steps, fitted(POTION, MINILM).info), "plain.npz")
    found = Library([tmp_path]).find(source_dim=256, target_dim=None, target=MINILM.name)
    [ranked] = rank(found, STORED, [None] * len(STORED), NEW)
    assert (ranked.fits, ranked.likeness) == (None, None)
    assert ranked.overlap is not None
    said = json.loads(json.dumps(ranked.to_json()))
    assert said["projection"]["target"]["name"] == MINILM.name
    assert said["candidate"]["by"] == "target"


def test_rows_that_do_not_belong_together_are_refused(candidates: list[Candidate]) -> None:
    with pytest.raises(ValueError, match="of the same documents"):
        rank(candidates, STORED, TEXTS[1:], None)
    with pytest.raises(ValueError, match="of the same documents"):
        rank(candidates, STORED, TEXTS, NEW[1:])
