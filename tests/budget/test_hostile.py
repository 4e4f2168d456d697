"""Collections and limits that nobody had in mind: each works, or is refused in one line that says the way out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import BudgetPlan, Migrator
from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.errors import LightmigrateError, NotEnoughTextsError, TextsRefusedError
from lightmigrate.refinement.provenance import Provenance
from lightmigrate.stores.chroma.client import open_client
from tests.budget.collections import (
    NEW,
    NOTES,
    ROWS,
    Counting,
    build,
    cached,
    curve,
    migrated,
    require_reembedded,
    texts,
    vectors_in,
)


def through(folder: Path, tmp_path: Path, samples: int) -> Any:
    """Plan, migrate, and refine until all is exact."""
    provider = cached(tmp_path)
    drawn = curve(folder, provider, samples=samples)
    plan = BudgetPlan.of(NOTES, drawn, drawn.option(BudgetSetting(True, 0, drawn.calibration)))
    Migrator(folder).migrate_by_plan(plan, provider, force=True)
    return Migrator(folder).refine("notes", provider).status


@pytest.mark.parametrize(
    ("rows", "message"),
    [(0, "0 of 0 records have a text"), (1, "1 of 1 records have a text, 2 are needed")],
)
def test_too_little_to_calibrate_on(rows: int, message: str, tmp_path: Path) -> None:
    with open_client(tmp_path / "db") as client:
        notes = client.create_collection("notes", embedding_function=None)
        if rows:
            notes.add(ids=["a"], documents=["one"], embeddings=np.ones((1, 256), np.float32))
    with pytest.raises(NotEnoughTextsError, match=message):
        curve(tmp_path / "db", cached(tmp_path), samples=None)


def test_texts_that_are_there_again_and_again(tmp_path: Path) -> None:
    said = [texts(40)[row % 40] for row in range(200)]
    folder = build(tmp_path / "db", said)
    with pytest.raises(NotEnoughTextsError, match=r"60 .* has 40 different ones .*160 duplicates.*--samples 40"):
        curve(folder, cached(tmp_path))
    assert through(folder, tmp_path, 40).share_exact == 1.0
    with open_client(folder) as client:
        require_reembedded(client)


class Choosy(Counting):
    """The new model behind a policy: it refuses a text that names the number of a row, and cuts longer texts."""

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        if any("forbidden" in text for text in texts):
            raise TextsRefusedError("refused", texts=texts, reason="flagged by the content policy")
        if any(len(text) > 4000 for text in texts):
            raise TextsRefusedError("refused", texts=texts, reason="maximum input length is 1000 tokens")
        return super().encode(texts, queries)


def test_refused_and_blank_texts_stay_projected_and_long_ones_are_cut_all_the_way(tmp_path: Path) -> None:
    documents = texts(200)
    documents[3] = "forbidden words are in here"
    documents[7], documents[11] = "", "  "
    documents[13] = " ".join(documents[20:40])
    provider = cached(tmp_path, Choosy())
    folder = build(tmp_path / "db", documents)
    drawn = curve(folder, provider, samples=190, lengths=(12,))
    assert drawn.shortened.reason
    kind = max(drawn.extract_kinds, key=drawn.extract_kinds.__getitem__)
    plan = BudgetPlan.of(NOTES, drawn, drawn.option(BudgetSetting(True, 12, drawn.calibration, kind)))
    result = Migrator(folder).migrate_by_plan(plan, provider, force=True)
    assert result.n_migrated == 200
    done = Migrator(folder).refine("notes", provider)
    assert (done.status.exact, done.status.records) == (197, 200)
    assert done.shortened.cut >= 1
    assert 1 <= done.shortened.refused <= 2  # the document, and its extract where that is another text
    assert np.isfinite(np.stack(list(vectors_in(folder).values()))).all()
    again = Migrator(folder).refine("notes", provider)
    assert (again.embedded, again.status.exact) == (0, 197)


def test_texts_of_one_word(tmp_path: Path) -> None:
    words = list(dict.fromkeys(word for text in texts() for word in text.split() if word.isalpha()))
    folder = build(tmp_path / "db", words[:120])
    assert through(folder, tmp_path, 60).share_exact == 1.0
    with open_client(folder) as client:
        require_reembedded(client)


def test_as_many_documents_to_calibrate_on_as_there_are(tmp_path: Path) -> None:
    folder = build(tmp_path / "db", texts(60))
    assert through(folder, tmp_path, 60).exact == 60


@pytest.mark.parametrize("limit", [{"documents": -1}, {"tokens": -5.0}, {"seconds": float("nan")}])
def test_limits_below_nothing(limit: dict[str, Any], tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    with pytest.raises(LightmigrateError, match=r"is not a limit of .*: give 0 or more"):
        Migrator(folder).refine("notes", provider, **limit)


@pytest.mark.parametrize("limit", [{"documents": 0}, {"tokens": 0}])
def test_limits_of_nothing(limit: dict[str, Any], tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    assert Migrator(folder).refine("notes", provider, **limit).embedded == 0


def test_what_was_never_migrated_by_a_plan_is_not_refined_and_nothing_is_written(tmp_path: Path) -> None:
    folder = build(tmp_path / "db", texts(3))
    with pytest.raises(LightmigrateError, match="nothing keeps which rows are exact"):
        Migrator(folder).refine("notes", cached(tmp_path))
    assert not Provenance.file_in(folder).exists()


def test_a_collection_that_was_emptied_or_deleted(tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    with open_client(folder) as client:
        notes = client.get_collection("notes", embedding_function=None)
        notes.delete(ids=notes.get(include=[])["ids"])
    for order in _orders():
        done = Migrator(folder).refine("notes", provider, order=order, queries=["what?"])
        assert (done.embedded, done.status.records) == (0, 0)
    with open_client(folder) as client:
        client.delete_collection("notes")
    with pytest.raises(LightmigrateError, match="deleted since; plan again"):
        Migrator(folder).status()


def _orders() -> Sequence[Any]:
    return ["random", "newest", "retrieved", "uncertain"]


def test_what_the_application_wrote_anew_with_the_new_model_is_exact(tmp_path: Path) -> None:
    """Every row of it, so that none bears the mark of the migration any more."""
    folder, provider = migrated(tmp_path)
    with open_client(folder) as client:
        notes = client.get_collection("notes", embedding_function=None)
        shifted = np.asarray(NEW.embed(texts())) + 1e-3 * np.random.default_rng(0).normal(size=(ROWS, 128))
        notes.update(ids=notes.get(include=[])["ids"], embeddings=shifted)  # as another machine rounds
    before = vectors_in(folder)
    done = Migrator(folder).refine("notes", provider)
    assert (done.embedded, done.status.share_exact) == (0, 1.0)
    assert done.tokens > 0  # a few of its texts were read to find out
    after = vectors_in(folder)
    assert all((after[one] == before[one]).all() for one in before)


def test_what_was_embedded_again_by_somebody_else_is_not_touched(tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    with open_client(folder) as client:
        notes = client.get_collection("notes", embedding_function=None)
        ids = notes.get(include=[])["ids"]
        notes.update(ids=ids, embeddings=np.asarray(NEW.embed(texts()))[:, ::-1].copy())
    with pytest.raises(LightmigrateError, match="0 of 400 vectors looked at are those that its migration gave it"):
        Migrator(folder).refine("notes", provider)
