"""Records without a text: what can be done for them, and how much their texts would help."""

from __future__ import annotations

from dataclasses import dataclass

from lightmigrate.budget.curve import CostQualityCurve
from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.results import Result


@dataclass(frozen=True)
class MissingTexts(Result):
    """How much texts would help where they are missing, measured on the records of the collection that have one.

    Attributes:
        records: number of records without a text. They are projected, and cannot be embedded.
        vectors_only: nDCG@10 to expect of a projection of the vectors alone, as a share of what embedding everything
            gives.
        with_texts: the same of the best projection that was tried and reads the texts.
    """

    records: int
    vectors_only: QualityEstimate
    with_texts: QualityEstimate

    @classmethod
    def of(cls, curve: CostQualityCurve) -> MissingTexts | None:
        """From a curve; `None` when every record has a text."""
        records = curve.size.records - curve.size.texts
        if not records:
            return None
        settings = {option.setting for option in curve.options if option.setting.reads_texts}
        reading = [curve.training(setting).gate.expected_retention for setting in settings]
        vectors_only = curve.training(BudgetSetting(False, 0, curve.calibration)).gate.expected_retention
        return cls(records, vectors_only, max(reading, key=lambda expected: expected.value, default=vectors_only))
