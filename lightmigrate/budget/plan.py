"""A plan: the budget setting chosen for one collection as it was, in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightmigrate.budget.advice import not_worth_it
from lightmigrate.budget.collection_size import CollectionSize
from lightmigrate.budget.curve import CostQualityCurve
from lightmigrate.budget.settings import NO_QUERIES, BudgetSetting, CurvePoint, QuerySet
from lightmigrate.errors import LightmigrateError, PlanOutdatedError
from lightmigrate.files import replacing
from lightmigrate.migration.history import DOING_NOTHING, Compared
from lightmigrate.quality.retention import EVERYTHING, QualityEstimate, surely_below
from lightmigrate.results import Result, read_as
from lightmigrate.stores.base import Address, Metric
from lightmigrate.texts.forms import TextForm
from lightmigrate.texts.source import form_to_json
from lightmigrate.training.texts import NO_TEXTS, TextsFile

FORMAT_VERSION = 3

# Plans of this version know no other extracts than the first words.
FORMAT_OF_FIRST_WORDS = 2

# Plans of version 0.1.0, which named these fields otherwise. Its digest was another one: the numbers are compared.
FORMAT_OF_0_1 = 1
_NAMES_OF_0_1 = {"census": "size", "asked": "query_set"}
_NAMES_IN_SIZE_OF_0_1 = {"beginnings": "extract_tokens", "whole": "short_texts"}
_NAMES_IN_SETTING_OF_0_1 = {"first_words": "extract_words"}


@dataclass(frozen=True)
class BudgetPlan(Result):
    """A budget setting, and all that is needed to carry it out.

    Attributes:
        collection_name: the collection.
        tenant: of the collection.
        database: of the collection.
        size: of the collection when it was planned for.
        provider: how to open the new model, without secrets; empty if the caller opens it.
        model: name of the new model.
        setting: what is embedded.
        sampled: number of documents to sample; the first of them are calibrated on, as many as are embedded whole.
        representative: how many of these represent the collection, and judge; `None` for all, as in earlier plans.
        expected_nothing: nDCG@10 to expect when nothing is done, likewise; `None` in earlier plans.
        words: number of single words to embed.
        seed: of every random choice.
        tokens: that may be embedded in all.
        dollars: their cost; `None` when no price is known.
        expected: nDCG@10 to expect, as a share of what embedding everything gives.
        query_set: the queries of users by which it was judged.
        queries_file: the file from which the command line read them; empty for none.
        texts_file: the file with the texts that the collection does not store.
        vector: which vector of the collection's records; see `Address`.
        part: which of the collection's records; see `Address`.
        text_form: how the embedded texts are put together (`form_to_json`); empty where the records tell.
        distance: that the collection gets, by which it was judged; empty if it keeps its own.
    """

    collection_name: str
    tenant: str
    database: str
    size: CollectionSize
    provider: Mapping[str, Any]
    model: str
    setting: BudgetSetting
    sampled: int
    words: int
    seed: int
    tokens: int
    dollars: float | None
    expected: QualityEstimate
    query_set: QuerySet = NO_QUERIES
    queries_file: str = ""
    texts_file: TextsFile = NO_TEXTS
    vector: str = ""
    part: str = ""
    text_form: Mapping[str, Any] = field(default_factory=dict)
    distance: str = ""
    representative: int | None = None
    expected_nothing: QualityEstimate | None = None

    @property
    def embeds_everything(self) -> bool:
        """Whether every text gets the new model's own vector."""
        return self.setting.documents >= self.size.texts

    @property
    def is_below_nothing(self) -> bool:
        """Whether it surely keeps no more than is expected of doing nothing: not even the upper end of its interval."""
        return not self.embeds_everything and surely_below(self.expected, self.expected_nothing)

    @property
    def objection(self) -> str | None:
        """Why it is refused without `force`, before anything is paid for; `None` where it is carried out."""
        if self.is_below_nothing and self.expected_nothing is not None:
            return (
                f"of what embedding again gives, {self.expected.high:.2f} at most is expected of the plan and "
                f"{self.expected_nothing.value:.2f} of doing nothing"
            )
        return None if self.embeds_everything else not_worth_it(self.expected, self.expected_nothing)

    @property
    def compared(self) -> tuple[Compared, ...]:
        """The plan beside doing nothing and embedding everything, for the history of the database."""
        chosen = f"embed {self.setting.documents:,} of {self.size.texts:,} documents"
        if self.setting.extract_words and not self.embeds_everything:
            chosen += f" and {self.setting.extract_words} words of each other"
        ways = [Compared(DOING_NOTHING, 0, self.expected_nothing, chosen=False)]
        ways.append(Compared(chosen, self.tokens, self.expected, chosen=True))
        if not self.embeds_everything:
            ways.append(Compared("embed everything", self.size.tokens, EVERYTHING, chosen=False))
        return tuple(ways)

    @property
    def address(self) -> Address:
        """Where the collection is."""
        return Address(self.collection_name, self.tenant, self.database, self.vector, self.part)

    @classmethod
    def of(
        cls,
        address: Address,
        curve: CostQualityCurve,
        option: CurvePoint,
        provider: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        queries_file: Path | None = None,
        texts_file: TextsFile = NO_TEXTS,
        text_form: TextForm | None = None,
        distance: Metric | None = None,
    ) -> BudgetPlan:
        """A plan for a point of a curve.

        Args:
            address: of the collection.
            curve: of the collection.
            option: the chosen point of the curve.
            provider: how to open the new model, for the command line: `provider`, `model`, and more options.
            seed: the seed of the curve.
            queries_file: the file with the queries of users, for the command line.
            texts_file: the file with texts that the collection does not store, for the command line.
            text_form: how the embedded texts are put together; `None` where the records tell.
            distance: that the collection gets; `None` if it keeps its own.
        """
        return cls(
            collection_name=address.name,
            tenant=address.tenant,
            database=address.database,
            size=curve.size,
            provider=provider or {},
            model=curve.model,
            setting=option.setting,
            sampled=curve.sampled,
            words=curve.words,
            seed=seed,
            tokens=option.tokens,
            dollars=option.dollars,
            expected=option.expected,
            query_set=curve.query_set,
            queries_file="" if queries_file is None else str(queries_file.resolve()),
            texts_file=texts_file,
            vector=address.vector,
            part=address.part,
            text_form={} if text_form is None else form_to_json(text_form),
            distance=distance or "",
            representative=curve.calibration,
            expected_nothing=curve.expected_nothing,
        )

    def save(self, path: Path) -> Path:
        """Write it as JSON: to a temporary file, which is then renamed to `path`."""
        with replacing(path) as stream:
            stream.write(json.dumps({"format": FORMAT_VERSION, **self.to_json()}, indent=2).encode())
        return path

    @classmethod
    def load(cls, path: Path, database: str = "DATABASE") -> BudgetPlan:
        """Read what `save` wrote; only reads. `database` is what a command is to be given.

        Raises:
            LightmigrateError: the file is missing, or is not a plan of this version.
        """
        try:
            content = json.loads(path.read_bytes())
            version = content.pop("format")
            if version == FORMAT_OF_0_1:
                content, version = _of_0_1(content), FORMAT_OF_FIRST_WORDS
            if version == FORMAT_OF_FIRST_WORDS:
                content["size"]["extract_tokens"] = {"first": content["size"]["extract_tokens"]}
            elif version != FORMAT_VERSION:
                raise ValueError("another version")
            plan: BudgetPlan = read_as(cls, content)
            return plan
        except FileNotFoundError:
            raise LightmigrateError(f"there is no file {path}; {_write_one(database)}") from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise LightmigrateError(
                f"{path} is not a plan of this lightmigrate ({type(error).__name__}); {_write_one(database)}"
            ) from None

    def require_unchanged(self, now: CollectionSize) -> None:
        """Raise `PlanOutdatedError` when the collection changed since it was planned for."""
        then = self.size
        known = ("content_sha256",) if then.content_sha256 else ("records", "texts", "tokens")
        if any(getattr(then, name) != getattr(now, name) for name in (*known, "dimension")):
            differences = "".join(
                f", {before} {what} then, {after} now"
                for what, before, after in (
                    ("texts", then.texts, now.texts),
                    ("dimensions", then.dimension, now.dimension),
                )
                if before != after
            )
            raise PlanOutdatedError(
                f"collection {self.address} changed since it was planned for: {then.records} records then, "
                f"{now.records} now{differences}; plan again, what was embedded is not paid for twice",
                planned=then.records,
                found=now.records,
            )


def _write_one(database: str) -> str:
    """The way to a plan."""
    return f"write one:  lightmigrate plan {database} --target-model MODEL --budget 30% -o FILE"


def _of_0_1(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a plan of version 0.1.0 as one of the next format."""
    renamed = _renamed(content, _NAMES_OF_0_1)
    size = {**_renamed(renamed["size"], _NAMES_IN_SIZE_OF_0_1), "content_sha256": ""}
    return {**renamed, "size": size, "setting": _renamed(renamed["setting"], _NAMES_IN_SETTING_OF_0_1)}


def _renamed(fields: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in fields.items()}
