"""What somebody decided to pay: a setting of the dial for one collection as it was, in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightmigrate.calibration.texts import NO_TEXTS, TextsFile
from lightmigrate.dial.asked import NOBODY, Asked
from lightmigrate.dial.census import Census
from lightmigrate.dial.curve import Curve
from lightmigrate.dial.setting import Option, Setting
from lightmigrate.errors import LightmigrateError, PlanOutdatedError
from lightmigrate.files import replacing
from lightmigrate.quality.retention import Estimate
from lightmigrate.results import Result, read_as
from lightmigrate.stores.base import Address

FORMAT_VERSION = 1


@dataclass(frozen=True)
class BudgetPlan(Result):
    """A setting that was chosen, and all it takes to do exactly that.

    Attributes:
        collection_name: the collection.
        tenant: of the collection.
        database: of the collection.
        census: what it held.
        provider: how the new model is opened, without secrets; empty where that is the caller's business.
        model: the new model's name.
        setting: of the dial.
        sampled: documents that were drawn to calibrate on; the first of them are, as many as are embedded whole.
        words: single words to embed.
        seed: of every random choice.
        tokens: that may be embedded in all.
        dollars: what they cost; `None` when no price is known.
        expected: nDCG@10 to expect, as a share of what embedding everything gives.
        asked: what users asked, by which it was judged.
        queries_file: where the command line has read that; empty for none.
        texts_file: where it has read texts that the collection does not store.
    """

    collection_name: str
    tenant: str
    database: str
    census: Census
    provider: Mapping[str, Any]
    model: str
    setting: Setting
    sampled: int
    words: int
    seed: int
    tokens: int
    dollars: float | None
    expected: Estimate
    asked: Asked = NOBODY
    queries_file: str = ""
    texts_file: TextsFile = NO_TEXTS

    @property
    def address(self) -> Address:
        """Where the collection is."""
        return Address(self.collection_name, self.tenant, self.database)

    @classmethod
    def of(
        cls,
        address: Address,
        curve: Curve,
        option: Option,
        provider: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        queries_file: Path | None = None,
        texts_file: TextsFile = NO_TEXTS,
    ) -> BudgetPlan:
        """A plan for an option of a curve.

        Args:
            address: of the collection.
            curve: that the option is of.
            option: what was chosen.
            provider: how the new model is opened, for the command line: `provider`, `model`, and more options.
            seed: the curve's.
            queries_file: where the queries of users are read from, for the command line.
            texts_file: where texts are read from that the collection does not store, for the command line.
        """
        return cls(
            collection_name=address.name,
            tenant=address.tenant,
            database=address.database,
            census=curve.census,
            provider=provider or {},
            model=curve.model,
            setting=option.setting,
            sampled=curve.sampled,
            words=curve.words,
            seed=seed,
            tokens=option.tokens,
            dollars=option.dollars,
            expected=option.expected,
            asked=curve.asked,
            queries_file="" if queries_file is None else str(queries_file.resolve()),
            texts_file=texts_file,
        )

    def save(self, path: Path) -> Path:
        """Write it as JSON, aside first and then renamed over `path`."""
        with replacing(path) as stream:
            stream.write(json.dumps({"format": FORMAT_VERSION, **self.to_json()}, indent=2).encode())
        return path

    @classmethod
    def load(cls, path: Path) -> BudgetPlan:
        """Read what `save` wrote.

        Raises:
            LightmigrateError: no such file, or it is not a plan of this version.
        """
        try:
            said = json.loads(path.read_bytes())
            if said.pop("format") != FORMAT_VERSION:
                raise ValueError("another version")
            plan: BudgetPlan = read_as(cls, said)
            return plan
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise LightmigrateError(
                f"{path} is not a plan of this lightmigrate ({type(error).__name__}); write one:  lightmigrate plan "
                "DATABASE --target-model MODEL -o FILE"
            ) from None

    def require_unchanged(self, now: Census) -> None:
        """Raise `PlanOutdatedError` when the collection is not what was planned for."""
        then = self.census
        if (then.content_sha256, then.dimension) != (now.content_sha256, now.dimension):
            turned = "".join(
                f", {before} {what} then, {after} now"
                for what, before, after in (
                    ("texts", then.texts, now.texts),
                    ("dimensions", then.dimension, now.dimension),
                )
                if before != after
            )
            raise PlanOutdatedError(
                f"collection {self.address} changed since it was planned for: {then.records} records then, "
                f"{now.records} now{turned}; plan again, what was embedded is not paid for twice",
                planned=then.records,
                found=now.records,
            )
