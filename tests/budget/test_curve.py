"""What the budget settings cost and are expected to keep, for a real collection and a real encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lightmigrate import BudgetPlan, Migrator
from lightmigrate.budget.collection_size import CollectionSize
from lightmigrate.budget.curve import CostQualityCurve
from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.cli.show.budget import doing_nothing
from lightmigrate.errors import RefusedError
from lightmigrate.providers.base import estimated_tokens
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.quality.doing_nothing import ONLY_NEIGHBOURS
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.training.collection_sample import sample_collection
from tests.budget.collections import CORPUS, NOTES, ROWS, Counting, build, cached, curve, planned, texts
from tests.encoders import WordLlamaFunction


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("curve") / "db")


@pytest.fixture(scope="module")
def drawn(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> CostQualityCurve:
    return curve(folder, cached(tmp_path_factory.mktemp("cache")))


def test_everything_is_the_dearest_and_the_best(drawn: CostQualityCurve) -> None:
    everything = drawn.options[-1]
    assert everything.expected.value == 1
    assert everything.tokens == estimated_tokens(texts())
    assert all(option.tokens < everything.tokens for option in drawn.options[:-1])
    assert [option.tokens for option in drawn.options] == sorted(option.tokens for option in drawn.options)


def test_texts_and_extracts_are_expected_to_help(drawn: CostQualityCurve) -> None:
    expected = {
        option.setting.extract_words if option.setting.reads_texts else None: option.expected.value
        for option in drawn.options
        if option.setting.documents == drawn.calibration
    }
    assert expected[48] > expected[None] + 0.05
    assert all(option.expected.low <= option.expected.value <= option.expected.high for option in drawn.options)


def test_little_is_measured_with_where_everything_may_be_embedded(folder: Path, tmp_path: Path) -> None:
    asked = Counting()
    drawn = Migrator(folder).cost_quality_curve("notes", cached(tmp_path, asked), token_share=1.0)
    paid = estimated_tokens(list(dict.fromkeys(asked.asked)))
    assert paid <= drawn.paid <= 0.1 * drawn.size.tokens
    assert drawn.within(drawn.size.tokens).setting.documents == drawn.size.texts


def test_a_budget_in_which_nothing_can_be_measured_is_told_what_everything_takes(tmp_path: Path) -> None:
    folder, asked = build(tmp_path / "db", ["a few words", "some more of them", "and others", "the last"]), Counting()
    with pytest.raises(
        RefusedError, match=r"measuring alone would take \d+, and embedding everything \d+: embed every"
    ):
        Migrator(folder).cost_quality_curve("notes", cached(tmp_path, asked), token_share=0.5)
    assert asked.asked == []


@pytest.mark.parametrize("rows", [30, 75, 99])
def test_a_quality_is_found_in_a_small_collection_too(rows: int, tmp_path: Path) -> None:
    folder = build(tmp_path / "db", texts(rows))
    drawn = Migrator(folder).cost_quality_curve("notes", cached(tmp_path), samples=20, lengths=[6])
    documents = [drawn.reaching(quality).setting.documents for quality in (0.5, 0.8, 0.9, 0.99)]
    assert documents == sorted(documents)
    assert 20 <= documents[0] <= documents[-1] <= rows


def test_what_was_measured_with_is_in_every_price(folder: Path, tmp_path: Path) -> None:
    asked = Counting()
    drawn = curve(folder, cached(tmp_path, asked))
    assert drawn.paid >= estimated_tokens(list(dict.fromkeys(asked.asked))) * 0.98  # equal texts are asked for once
    assert all(option.tokens >= drawn.paid for option in drawn.options[:-1])


def test_a_budget_is_kept_and_used(drawn: CostQualityCurve) -> None:
    for share in (0.65, 0.75, 0.9):
        option = drawn.within(share * drawn.size.tokens)
        assert 0.97 * share < option.share_of_tokens <= share + 0.001
    assert drawn.within(10 * drawn.size.tokens) == drawn.options[-1]


def test_a_budget_that_is_spent_already_is_refused_with_both_numbers(drawn: CostQualityCurve) -> None:
    with pytest.raises(RefusedError, match=f"1,000 tokens are allowed, calibrating has taken {drawn.paid:,} "):
        drawn.within(1000)


def test_a_budget_that_measuring_would_spend_is_refused_before_anything_is_embedded(
    folder: Path, tmp_path: Path
) -> None:
    asked = Counting()
    with pytest.raises(RefusedError, match=r"^1,000 tokens are allowed, measuring alone would take \d+,\d+, and "):
        curve(folder, cached(tmp_path, asked), tokens=1000)
    assert asked.asked == []


def test_a_quality_costs_no_more_than_it_must(drawn: CostQualityCurve) -> None:
    cheap, dear = drawn.reaching(0.6), drawn.reaching(0.97)
    assert cheap.tokens <= dear.tokens
    assert cheap.expected.value >= 0.6
    assert dear.expected.value >= 0.97


def test_a_plan_can_be_written_and_read(drawn: CostQualityCurve, tmp_path: Path) -> None:
    plan = BudgetPlan.of(
        NOTES, drawn, drawn.within(0.8 * drawn.size.tokens), {"provider": "onnx", "model": "m"}, seed=3
    )
    assert BudgetPlan.load(plan.save(tmp_path / "plan.json")) == plan


def test_a_budget_calibrates_first_on_a_part_of_it_but_enough(folder: Path, tmp_path: Path) -> None:
    drawn = Migrator(folder).cost_quality_curve("notes", cached(tmp_path), token_share=0.25)
    assert drawn.calibration == 25  # a quarter of what it buys
    assert drawn.sampled == 400
    lengths = {option.setting.extract_words for option in drawn.options} - {0}
    assert len(lengths) == 1
    option = drawn.within(0.25 * drawn.size.tokens)
    assert option.setting.extract_words in lengths
    assert option.share_of_tokens <= 0.25
    # half of 25 documents tells nothing, and more of them help all the same
    four_times = BudgetSetting(reads_texts=True, extract_words=0, documents=100)
    as_exact = drawn.training(four_times).gate_when_exact(100 / drawn.size.texts).expected_retention.value
    assert drawn.option(four_times).expected.value > as_exact + 0.1


def test_more_extracts_are_expected_to_help_no_less_than_they_did(drawn: CostQualityCurve) -> None:
    """What is expected counts on all extracts, and the gate has seen what a part of them teaches."""
    for setting in {option.setting.tried.setting(drawn.calibration) for option in drawn.options[:-1]}:
        seen = drawn.training(setting).gate_when_exact(drawn.calibration / drawn.size.texts).expected_retention
        assert seen.value <= drawn.option(setting).expected.value <= 1


def test_the_calibration_documents_of_a_plan_are_the_first_of_those_that_are_drawn(
    folder: Path, tmp_path: Path
) -> None:
    asked = Counting()
    provider = cached(tmp_path, asked)
    plan = planned(folder, provider, share=0.7)
    before = set(asked.asked)
    with ChromaFolderStore(folder) as store:
        sample = sample_collection(store.collection(NOTES), plan.sampled, seed=plan.seed)
    assert before.issuperset(sample.texts[:60])
    assert len(sample.texts) >= plan.setting.documents


def test_without_the_old_model_doing_nothing_is_estimated_with_a_wide_interval(drawn: CostQualityCurve) -> None:
    assert drawn.nothing is None
    assert drawn.expected_nothing is not None
    assert drawn.expected_nothing.high - drawn.expected_nothing.low > 0.4
    assert doing_nothing(drawn).startswith("doing nothing keeps about ")
    assert doing_nothing(drawn).endswith(f", wide because {ONLY_NEIGHBOURS}")


def test_what_makes_an_interval_wide_is_what_was_estimated(drawn: CostQualityCurve) -> None:
    """A fit to more documents than were measured; records without a text; what nobody judged."""
    few, more = (
        drawn.option(BudgetSetting(True, 0, documents)).expected for documents in (drawn.calibration, ROWS * 3 // 4)
    )
    foreseen = f"a fit to {ROWS * 3 // 4} documents is foreseen from {drawn.calibration}"
    assert foreseen in more.wide_by
    assert not any("foreseen" in cause for cause in few.wide_by), "it was measured"
    extracts = next(option for option in drawn.options if option.setting.extract_words).expected
    assert f"a fit to {ROWS} extracts is foreseen from {2 * drawn.calibration}" in extracts.wide_by
    for option in drawn.options[:-1]:
        assert sum(option.expected.wide_by.values()) == pytest.approx(1 if option.expected.wide_by else 0)
        assert option.expected.wide_by or option.expected.high == option.expected.low
    estimator = replace(drawn._estimator, size=replace(drawn.size, records=4 * ROWS))
    largest = max(estimator.option(BudgetSetting(True, 0, ROWS)).expected.wide_by.items(), key=lambda part: part[1])
    assert largest[0] == f"{3 * ROWS:,} of {4 * ROWS:,} records have no text"


def test_the_old_model_tells_what_doing_nothing_gives(tmp_path: Path) -> None:
    """The same model, cut off sooner."""
    before = WordLlamaFunction(64)
    with open_client(tmp_path / "db") as client:
        client.create_collection("notes", embedding_function=None).add(
            ids=[str(row) for row in range(ROWS)], documents=texts(), embeddings=before.embed(texts())
        )
    drawn = curve(tmp_path / "db", cached(tmp_path), samples=200, previous=ChromaProvider(before))
    assert drawn.nothing is not None
    assert drawn.projected is not None
    assert drawn.reembedded is not None
    assert 0.5 < drawn.nothing.value < drawn.reembedded.value
    assert drawn.expected_nothing is not None
    assert 0.6 < drawn.expected_nothing.value < 1.1
    assert doing_nothing(drawn).startswith("doing nothing keeps about ")


def test_users_queries_are_asked_in_place_of_sentences(folder: Path, tmp_path: Path) -> None:
    drawn = curve(folder, cached(tmp_path), queries=list(CORPUS.queries[:60]))
    assert drawn.reembedded is None
    assert doing_nothing(drawn).startswith("doing nothing keeps about ")


def test_a_size_sees_a_changed_text_and_no_order(folder: Path, tmp_path: Path) -> None:
    said = texts(60)
    provider = cached(tmp_path)
    found = []
    for name, documents in (("one", said), ("other", [*said[:-1], said[-1] + "!"])):
        with ChromaFolderStore(build(tmp_path / name, documents)) as store:
            found.append(CollectionSize.of(store.collection(NOTES), provider, [8, 10_000]))
    one, other = found
    assert one.content_sha256 != other.content_sha256
    assert (one.records, one.texts, one.dimension, one.short_texts) == (60, 60, 256, {8: 0, 10_000: 60})
    assert one.extract_tokens["first"][10_000] == one.tokens
