"""What may be done, said in code and in the environment."""

from __future__ import annotations

from typing import Any

import pytest

from lightmigrate import Policy
from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import Address


def test_the_environment_has_the_last_word() -> None:
    environment = {
        "LIGHTMIGRATE_ON_MISMATCH": " Warn ",
        "LIGHTMIGRATE_MIN_QUALITY": "0.7",
        "LIGHTMIGRATE_CALIBRATE": "0",
        "LIGHTMIGRATE_MAX_COST": "1.5",
        "LIGHTMIGRATE_MAX_SECONDS": "60",
        "LIGHTMIGRATE_BACKUP": "no",
        "LIGHTMIGRATE_ON_FAILURE": "raise",
        "LIGHTMIGRATE_COLLECTIONS": "memory*, !memory_old,",
        "LIGHTMIGRATE_REGISTRY": "is not of the policy",
    }
    said = Policy(calibrate=9, max_cost=3.0)
    found = Policy.of(said, environment, on_mismatch="migrate", max_seconds=5)
    assert found == Policy("warn", "raise", 0.7, 0, 1.5, 60.0, False, ("memory*", "!memory_old"))
    assert Policy.of(said, {}, max_cost=1.0) == Policy(calibrate=9, max_cost=1.0)
    assert Policy.of(None, {}) == Policy()


@pytest.mark.parametrize(("name", "text"), [
    ("ON_MISMATCH", "delete"), ("ON_FAILURE", ""), ("MIN_QUALITY", "87%"), ("MIN_QUALITY", "1.01"),
    ("MIN_QUALITY", "nan"), ("CALIBRATE", "-1"), ("CALIBRATE", "many"),
    ("MAX_COST", "-0.1"), ("MAX_COST", "nan"), ("MAX_SECONDS", "soon"),
    ("BACKUP", "perhaps"), ("REFINE", "sometimes"), ("MAX_COST_PER_DAY", "-1"), ("ROWS_PER_SECOND", "0"),
])  # fmt: skip
def test_what_makes_no_sense_is_named(name: str, text: str) -> None:
    with pytest.raises(LightmigrateError, match=name if name.isupper() and text in ("87%", "many", "soon", "perhaps")
                       else name.lower()):  # fmt: skip
        Policy.of(None, {f"LIGHTMIGRATE_{name}": text})


@pytest.mark.parametrize("options", [{"backups": True}, {"collections": "memory"}, {"calibrate": True}])
def test_a_call_that_makes_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(LightmigrateError, match=next(iter(options))):
        Policy.of(None, {}, **options)


@pytest.mark.parametrize(("patterns", "names"), [
    ((), {"memory", "memory_old", "team/db/memory"}),
    (("memory",), {"memory", "team/db/memory"}),
    (("memory*", "!memory_old"), {"memory", "team/db/memory"}),
    (("!team/*",), {"memory", "memory_old"}),
    (("team/db/*",), {"team/db/memory"}),
    (("nothing",), set()),
])  # fmt: skip
def test_which_collections_are_looked_at(patterns: tuple[str, ...], names: set[str]) -> None:
    known = [Address("memory"), Address("memory_old"), Address("memory", "team", "db")]
    assert {str(one) for one in known if Policy(collections=patterns).includes(one)} == names
