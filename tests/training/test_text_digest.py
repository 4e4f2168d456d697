"""Digests of texts, and the order that a seed gives them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lightmigrate.training.text_digest import in_random_order, text_digest


def test_every_text_has_a_digest_of_its_own() -> None:
    texts = ["", "one", "One", "one ", "\ud800"]  # a lone surrogate, too
    assert len({text_digest(text) for text in texts}) == len(texts)
    assert {len(text_digest(text)) for text in texts} == {16}


@given(st.lists(st.binary(min_size=16, max_size=16), unique=True), st.integers(-5, 5))
def test_the_order_depends_on_the_seed_alone(digests: list[bytes], seed: int) -> None:
    shuffled = sorted(digests, key=lambda digest: digest[::-1])
    ordered = in_random_order(digests, seed)
    assert sorted(ordered) == sorted(digests)
    assert in_random_order(shuffled, seed) == ordered


def test_another_seed_gives_another_order() -> None:
    digests = [text_digest(str(number)) for number in range(50)]
    assert in_random_order(digests, 0) != in_random_order(digests, 1)
