"""A process that migrates or rolls back is killed: old or new, whole; the same command goes on; the way back is exact.

`make crash` kills before every step and at random moments, refinements too; see `benchmarks/crash.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.killing import Moment, What, kill
from tests.contract.makers import Maker

# In the middle: some vectors are written; and of the exchange back.
STEPS: dict[What, int] = {"migrate": 6, "rollback": 1}


@pytest.mark.parametrize("what", list(STEPS))
def test_a_killed_process_leaves_the_old_or_the_new_and_can_go_on(maker: Maker, what: What, tmp_path: Path) -> None:
    if not maker.locator:  # it ends with its process
        assert not maker.failpoints
        return
    assert kill(maker, what, Moment(step=STEPS[what]), tmp_path).killed
