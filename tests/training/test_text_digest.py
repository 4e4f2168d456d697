"""Digests of texts, and the order that a seed gives them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lightmigrate.training.seen_texts import SeenTexts
from lightmigrate.training.text_digest import first_in_random_order, text_digest


def test_every_text_has_a_digest_of_its_own() -> None:
    texts = ["", "one", "One", "one ", "\ud800"]  # a lone surrogate, too
    assert len({text_digest(text) for text in texts}) == len(texts)
    assert {len(text_digest(text)) for text in texts} == {16}


@given(st.lists(st.binary(min_size=16, max_size=16), unique=True), st.integers(-5, 5))
def test_the_order_depends_on_the_seed_alone(digests: list[bytes], seed: int) -> None:
    shuffled = sorted(digests, key=lambda digest: digest[::-1])
    ordered = first_in_random_order(digests, seed, len(digests))
    assert sorted(ordered) == sorted(digests)
    assert first_in_random_order(shuffled, seed, len(digests)) == ordered


def test_another_seed_gives_another_order() -> None:
    digests = [text_digest(str(number)) for number in range(50)]
    assert first_in_random_order(digests, 0, len(digests)) != first_in_random_order(digests, 1, len(digests))


@given(st.lists(st.binary(min_size=16, max_size=16), unique=True), st.integers(0, 5))
def test_the_first_of_them_are_chosen_and_all_are_passed_over(digests: list[bytes], most: int) -> None:
    passed = iter(digests)
    assert first_in_random_order(passed, 0, most) == first_in_random_order(digests, 0, len(digests))[:most]
    assert list(passed) == []


def test_equal_texts_are_new_once() -> None:
    seen = SeenTexts()
    assert list(seen.new(["one", "two", "one"]).values()) == ["one", "two"]
    assert list(seen.new(["two", "three"]).values()) == ["three"]
    assert seen.among(["one", "four"]) == {text_digest("one")}
    assert len(seen) == 3
