"""The kind of extracts is chosen for each collection, measured, recorded, and the same for later texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lightmigrate import BudgetPlan, CalibrationData, Migrator
from lightmigrate.budget.extract_choice import choose_extracts
from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.cli.show.budget import described
from lightmigrate.errors import LightmigrateError
from lightmigrate.projection.terms.extract_rule import ExtractKind
from lightmigrate.refinement.provenance import Provenance
from lightmigrate.training.frequent_words import WordCounter
from lightmigrate.training.train import train
from tests.budget.collections import CORPUS, NEW, NOTES, ROWS, Counting, build, cached, curve, texts, vectors_in

LENGTHS: dict[ExtractKind, Sequence[int]] = {"first": [12], "content": [12], "rarest": [12]}


def data_of(documents: Sequence[str], count: int) -> CalibrationData:
    """Some documents; their old vectors are those of the demo, which know nothing of what stands before them."""
    counter = WordCounter()
    for text in documents:
        counter.add(text)
    return CalibrationData(
        documents[:count],
        CORPUS.old_documents[:count],
        counter.frequent(),
        len(documents),
        frequencies=counter.frequencies(),
    )


def behind_the_same_words(documents: Sequence[str]) -> list[str]:
    """Every document behind the same thirty words: its beginning tells nothing about it."""
    preamble = " ".join(texts()[0].split()[:30])
    return [f"{preamble} {text}" for text in documents]


def test_first_words_that_are_the_same_everywhere_are_not_chosen(tmp_path: Path) -> None:
    documents = behind_the_same_words(texts())
    choice = choose_extracts(data_of(documents, 120), LENGTHS, cached(tmp_path), 100)
    assert choice.kind != "first"
    assert choice.expected[choice.kind] > choice.expected["first"] + 0.05
    assert choice.tokens > 0


def test_what_choosing_takes_is_what_is_embedded_for_the_other_kinds(tmp_path: Path) -> None:
    model = Counting()
    provider = cached(tmp_path, model)
    data = data_of(texts(), 60)
    choose_extracts(data, LENGTHS, provider, 100)
    asked = set(model.asked)
    for kind in LENGTHS:
        rule = data.extract_rule(kind, 12)
        assert {rule.of(text) for text in data.texts} <= asked
    assert choose_extracts(data, {"rarest": [12]}, provider, 100).expected == {}
    assert choose_extracts(data, {}, provider, 100).kind == "first"


def test_rare_words_need_to_be_counted(tmp_path: Path) -> None:
    data = replace(data_of(texts(), 60), frequencies=None)
    with pytest.raises(LightmigrateError, match=r"extracts of the rarest 12 words need to know how rare words are"):
        train(data, cached(tmp_path), extract_words=12, extract_kind="rarest")


def test_a_plan_is_carried_out_with_its_kind_and_late_texts_get_it_too(tmp_path: Path) -> None:
    documents = behind_the_same_words(texts())
    folder, provider = build(tmp_path / "db", documents), cached(tmp_path)
    drawn = curve(folder, provider, lengths=(12,))
    kind = max(drawn.extract_kinds, key=drawn.extract_kinds.__getitem__)
    assert kind != "first"
    setting = BudgetSetting(True, 12, drawn.calibration, kind)
    option = drawn.option(setting)
    plan = BudgetPlan.of(NOTES, drawn, option)
    assert BudgetPlan.load(plan.save(tmp_path / "plan.json")) == plan
    assert described(setting, ROWS).endswith("rarest 12 words" if kind == "rarest" else "first 12 content words")
    Migrator(folder).migrate_by_plan(plan, provider, force=True)
    with Provenance.of(folder) as provenance:
        (projection,) = provenance.projections(NOTES)
    assert projection.extract_rule is not None
    assert (projection.extract_rule.kind, projection.extract_rule.words) == (kind, 12)
    (status,) = Migrator(folder).status()
    assert status.extracts == str(projection.extract_rule)
    # what was written is what the recorded projection gives, also for a text that comes later
    old = np.asarray([CORPUS.old_documents[0]], dtype=np.float32)
    late = projection.reading_with(provider.embed_each).apply(old, [documents[0] + " and more words"])
    true = np.asarray(NEW.embed([documents[0]]), dtype=np.float32)
    assert float(late[0] @ true[0]) > 0.5
    assert len(vectors_in(folder)) == ROWS


def test_a_plan_of_an_earlier_version_holds_first_words(tmp_path: Path) -> None:
    folder, provider = build(tmp_path / "db", texts(90)), cached(tmp_path)
    drawn = curve(folder, provider, lengths=(12,))
    plan = BudgetPlan.of(NOTES, drawn, drawn.options[0])
    content = json.loads(plan.save(tmp_path / "plan.json").read_text())
    content["format"] = 2
    content["size"]["extract_tokens"] = content["size"]["extract_tokens"]["first"]
    del content["setting"]["extract_kind"]
    (tmp_path / "plan.json").write_text(json.dumps(content))
    loaded = BudgetPlan.load(tmp_path / "plan.json")
    assert loaded.setting.extract_kind == "first"
    assert loaded.size.extract_tokens == {"first": plan.size.extract_tokens["first"]}
