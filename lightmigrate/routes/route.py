"""One way to a new model: what it takes, and what searches are expected to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.results import Result

Kind = Literal["nothing", "own", "computed", "everything", "known", "learned", "extracts"]


@dataclass(frozen=True)
class Route(Result):
    """One way to a new model, for the collections of one old model.

    Attributes:
        kind: `nothing` keeps the old model; `own` leaves vectors that are the new model's already; `computed` computes
            them from its vectors in another form, exactly; `everything` embeds every text; `known` projects with an
            existing projection; `learned` learns one on some documents that are embedded; `extracts` also embeds the
            first words of every other text.
        description: the same in a few words, with the numbers.
        texts: texts, extracts, sentences and words that the new model still has to embed.
        tokens: estimated tokens of these.
        dollars: their price; `None` when no price is known, 0 for a model that runs here.
        seconds: until the database can be searched with the new model: embedding, learning and writing; `None` where
            nothing tells.
        exact_seconds: until every record has the new model's own vector, by `refine` afterwards; `None` for `nothing`
            and `own`.
        exact_dollars: what that costs in all.
        expected: nDCG@10 to expect once it can be searched, as a share of what embedding everything gives; `None` when
            unknown.
        measured: whether that was measured on these collections, or is certain.
        setting: what is embedded; `None` where nothing is learned.
    """

    kind: Kind
    description: str
    texts: int
    tokens: int
    dollars: float | None
    seconds: float | None
    exact_seconds: float | None
    exact_dollars: float | None
    expected: QualityEstimate | None
    measured: bool
    setting: BudgetSetting | None = None
