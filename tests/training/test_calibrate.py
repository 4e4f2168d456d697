"""Calibrating on a collection within limits of money and time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lightmigrate.errors import CostError, DeadlineError, NotEnoughTextsError
from lightmigrate.estimators.fit import fit
from lightmigrate.progress import Progress
from lightmigrate.projection.model import Model
from lightmigrate.providers.base import Bill, estimated_tokens
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.training.calibrate import calibrate
from lightmigrate.training.learning_options import LearningOptions
from lightmigrate.training.limits import Deadline, SpendingLimit
from tests.encoders import WordLlamaFunction
from tests.training.collections import CORPUS, open_notes

TEXTS = list(CORPUS.documents[:120])
OLD = Model("potion-base-8M", 256)
NEW = WordLlamaFunction(64)


class Clock:
    """A clock that only embedding moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)


class Slow(ChromaProvider):
    """The new model at a thousand tokens a second of a clock, a dollar a million tokens."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(NEW)
        self.embedded: list[str] = []
        self._clock = clock

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        self.embedded += texts
        if self._clock is not None:
            self._clock.now += estimated_tokens(texts) / 1000
        return super().encode(texts, queries)

    def priced(self, tokens: int) -> Bill:
        return Bill(tokens, tokens / 1e6)


def test_the_cost_is_announced_before_anything_is_embedded(tmp_path: Path) -> None:
    provider, lines = Slow(), list[str]()

    def announce(line: str) -> None:
        assert provider.embedded == []
        lines.append(line)

    events: list[Progress] = []
    with open_notes(tmp_path, TEXTS) as notes:
        training = calibrate(
            notes,
            provider,
            60,
            LearningOptions(source_model=OLD, announce=announce, limit=SpendingLimit(5.0), on_progress=events.append),
        )
    (line,) = lines
    assert line.startswith(f"{training.embedded:,} texts, about {training.bill.tokens:,} tokens, $")
    assert training.gate.n_documents == 60
    assert training.projection.info.source.name == "potion-base-8M"
    assert events[-1] == Progress("fit", 1, 1)


def test_what_exceeds_the_limit_is_not_embedded(tmp_path: Path) -> None:
    provider = Slow()
    with open_notes(tmp_path, TEXTS) as notes, pytest.raises(CostError, match="calibrating on 60 documents would cost"):
        calibrate(notes, provider, 60, LearningOptions(OLD, limit=SpendingLimit(1e-3)))
    assert provider.embedded == []


def test_a_small_collection_is_calibrated_on_whole_or_not_at_all(tmp_path: Path) -> None:
    with open_notes(tmp_path / "small", TEXTS[:55]) as notes:
        assert calibrate(notes, Slow(), 500, LearningOptions(OLD)).gate.n_documents == 55
    with open_notes(tmp_path / "tiny", TEXTS[:49]) as notes:
        message = "collection notes stores 49 different documents, calibrating needs at least 50"
        with pytest.raises(NotEnoughTextsError, match=message) as caught:
            calibrate(notes, Slow(), 500, LearningOptions(OLD))
    assert (caught.value.asked, caught.value.available) == (50, 49)


def test_short_time_means_fewer_documents_and_too_short_time_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_notes(tmp_path, TEXTS) as notes:
        clock = Clock(monkeypatch)
        whole = calibrate(notes, Slow(clock), 120, LearningOptions(OLD))
        seconds = clock.now
        clock.now = 0.0
        limit, model = SpendingLimit(None), Slow(clock)
        part = calibrate(notes, model, 120, LearningOptions(OLD, limit=limit, deadline=Deadline(1.4 * seconds)))
        assert 50 <= part.gate.n_documents < whole.gate.n_documents == 120
        assert part.projection.info.training["chosen"] == part.gate.n_documents
        asked = estimated_tokens(list(dict.fromkeys(model.embedded)))
        assert limit.spent == pytest.approx(model.priced(asked).dollars, rel=0.1), "only what is embedded is spent"
        clock.now = 0.0
        with pytest.raises(DeadlineError, match="embedding 50 documents would take"):
            calibrate(notes, Slow(clock), 120, LearningOptions(OLD, deadline=Deadline(0.2 * seconds)))


def test_the_prior_is_used_only_if_it_keeps_more(tmp_path: Path) -> None:
    new = NEW.embed(list(CORPUS.documents))
    good = fit(CORPUS.old_documents[200:], new[200:], method="ridge")
    bad = fit(CORPUS.old_documents[200:], new[200:][::-1], method="ridge")
    with open_notes(tmp_path, TEXTS) as notes:
        alone = calibrate(notes, Slow(), 60, LearningOptions(OLD))
        kept = [
            calibrate(notes, Slow(), 60, LearningOptions(OLD, priors=[None, prior])).gate.expected_retention.value
            for prior in (good, bad)
        ]
    assert kept[0] > alone.gate.expected_retention.value
    assert kept[1] >= alone.gate.expected_retention.value
