"""Records without a text: what is left for them, and what their texts would buy."""

from __future__ import annotations

from dataclasses import dataclass

from lightmigrate.dial.census import Census
from lightmigrate.dial.curve import Curve
from lightmigrate.dial.setting import Setting
from lightmigrate.errors import NotEnoughTextsError
from lightmigrate.quality.retention import Estimate
from lightmigrate.results import Result
from lightmigrate.stores.base import Address

# What maps that read the texts kept more than maps of the vectors alone, as a share of what embedding everything keeps:
# least, median and most of twenty cases, upgrades of SciFact and Cranfield (benchmarks/results/retention.jsonl).
BOUGHT = (0.01, 0.11, 0.34)


@dataclass(frozen=True)
class MissingTexts(Result):
    """What texts would buy where they are missing, measured on the records of the collection that have one.

    Attributes:
        records: without a text. They are mapped, and cannot be embedded.
        mapped: nDCG@10 to expect of a map of vectors alone, as a share of what embedding everything gives.
        read: the same of the map that keeps most, of those that were tried and read the texts.
    """

    records: int
    mapped: Estimate
    read: Estimate

    @classmethod
    def of(cls, curve: Curve) -> MissingTexts | None:
        """What a curve says; `None` when every record has a text."""
        records = curve.census.records - curve.census.texts
        if not records:
            return None
        tried = {option.setting for option in curve.options if option.setting.reads_texts}
        reading = [curve.training(setting).gate.expected_retention for setting in tried]
        mapped = curve.training(Setting(False, 0, curve.calibration)).gate.expected_retention
        return cls(records, mapped, max(reading, key=lambda one: one.value, default=mapped))


def too_few(address: Address, census: Census, needed: int) -> NotEnoughTextsError:
    """What can be done without the texts to calibrate on, in a line."""
    least, median, most = BOUGHT
    return NotEnoughTextsError(
        f"collection {address}: {census.texts} of {census.records} records have a text, {needed} are needed to "
        "calibrate on. If they are kept elsewhere, give them by id (--texts FILE.jsonl, a line {id, text}). Else the "
        "vectors can be moved by a map from texts of the same kind (lightmigrate train --texts FILE "
        "--source-model OLD; then  lightmigrate migrate DATABASE -p MAP). Their own texts would have "
        f"kept {least:.2f} to {most:.2f} more of the quality (median {median:.2f}, benchmarks/results/retention.md)",
        asked=needed,
        available=census.texts,
    )
