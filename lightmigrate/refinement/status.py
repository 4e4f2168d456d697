"""How much of a collection is exact, and what quality to expect of it now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightmigrate.errors import LightmigrateError
from lightmigrate.quality.retention import QualityEstimate
from lightmigrate.refinement.provenance import Provenance, VectorOrigin
from lightmigrate.results import Result, read_as
from lightmigrate.stores.base import Address, CollectionFacts
from lightmigrate.stores.page import in_batches
from lightmigrate.texts.forms import TextForm
from lightmigrate.texts.source import form_from_json
from lightmigrate.training.texts import TextsFile

# The name of a fact of a collection: rows that a run of `refine` left projected that nothing limited.
LEFT = "left"

# Ids looked up at once.
_AT_ONCE = 10_000


@dataclass(frozen=True)
class RefinementStatus(Result):
    """Where the vectors of a collection come from.

    Attributes:
        collection_name: the collection.
        tenant: of the collection.
        database: of the collection.
        model: the model whose space the vectors are in.
        records: number of records.
        exact: rows that the model embedded whole, for the migration, for `refine` or for the application.
        extract: rows projected with an extract of their text that the model embedded.
        projected: rows projected from the old vector, with or without the stored text.
        share_exact: in [0, 1].
        expected: nDCG@10 to expect now, as a share of what re-embedding everything gives: measured on the calibration
            documents for some shares of exact rows, and interpolated.
        vector: which vector of the collection's records; see `Address`.
        part: which of the collection's records; see `Address`.
        extracts: which words of texts are in the extracts, such as `rarest 12 words`; empty where none was embedded.
        is_model_recorded: whether it is recorded how the model is opened, so that the command `refine` can open it; an
            application's embedding function is not.
        left: rows that stay projected, because they have no text that the model takes, as far as a run of `refine` has
            seen.
    """

    collection_name: str
    tenant: str
    database: str
    model: str
    records: int
    exact: int
    extract: int
    projected: int
    share_exact: float
    expected: QualityEstimate
    vector: str = ""
    part: str = ""
    extracts: str = ""
    is_model_recorded: bool = True
    left: int = 0

    @property
    def address(self) -> Address:
        """Where the collection is."""
        return Address(self.collection_name, self.tenant, self.database, self.vector, self.part)

    @property
    def waiting(self) -> int:
        """Rows that `refine` may make exact."""
        return max(0, self.records - self.exact - self.left)


@dataclass(frozen=True)
class RefinementInputs:
    """What `refine` needs to go on with a collection: everything but secrets.

    Attributes:
        provider: how the model is opened; see `BudgetPlan.provider`.
        texts_file: where the texts are that the collection does not store.
        text_form: how the embedded texts are put together; `None` where the records tell.
    """

    provider: Mapping[str, Any]
    texts_file: TextsFile
    text_form: TextForm | None = None


def refinement_status(address: Address, ids: Iterable[str], provenance: Provenance) -> RefinementStatus:
    """Where the vectors of a collection come from, by the provenance file. Only reads.

    A row that the application wrote counts as projected until `refine` reads it.

    Args:
        address: of the collection.
        ids: of all its records.
        provenance: of its database.
    """
    facts, records, origins = provenance.facts(address), 0, Counter[VectorOrigin]()
    for some in in_batches(ids, _AT_ONCE):
        records += len(some)
        origins.update(provenance.origins_of(address, some).values())
    extract, projected = origins[VectorOrigin.EXTRACT], origins[VectorOrigin.PROJECTED]
    exact = records - extract - projected
    share = exact / max(1, records)
    return RefinementStatus(
        collection_name=address.name,
        tenant=address.tenant,
        database=address.database,
        model=facts["model"],
        records=records,
        exact=exact,
        extract=extract,
        projected=projected,
        share_exact=share,
        expected=_expected(facts["expected"], share),
        vector=address.vector,
        part=address.part,
        extracts=facts.get("extracts", ""),
        is_model_recorded="model" in facts["provider"],
        left=min(int(facts.get(LEFT, 0)), extract + projected),
    )


def refinable(provenance: Provenance, catalog: Sequence[CollectionFacts], database: str) -> list[Address]:
    """The collections that were migrated by a plan and still have the dimension they were given. Only reads.

    Args:
        provenance: of the database.
        catalog: its collections.
        database: what a command is to be given for it.

    Raises:
        LightmigrateError: there is none.
    """
    dimensions = {facts.address: facts.dimension for facts in catalog}
    addresses = [
        address
        for address in provenance.addresses()
        if provenance.facts(address)["dimension"] == dimensions.get(address)
    ]
    if not addresses:
        raise LightmigrateError(
            "every collection migrated by a plan was rolled back, migrated again or deleted since; plan again:  "
            f"lightmigrate plan {database} --target-model MODEL"
        )
    return addresses


def refinement_inputs(provenance: Provenance) -> dict[Address, RefinementInputs]:
    """What `refine` needs, for each collection that was migrated by a plan. Only reads."""
    facts = {address: provenance.facts(address) for address in provenance.addresses()}
    return {
        address: RefinementInputs(
            dict(noted["provider"]), TextsFile(**noted["texts_file"]), form_from_json(noted.get("text_form") or {})
        )
        for address, noted in facts.items()
    }


def _expected(measured: Sequence[tuple[float, dict[str, Any]]], share: float) -> QualityEstimate:
    """Interpolate between the shares that were measured; a collection that is exact throughout has quality 1."""
    known: list[tuple[float, QualityEstimate]] = [(at, read_as(QualityEstimate, quality)) for at, quality in measured]
    shares = [*(at for at, _ in known), 1.0]

    def between(values: Iterable[float], at_end: float) -> float:
        return float(np.interp(share, shares, [*values, at_end]))

    value, low, high = (between((quality.ends[end] for _, quality in known), 1.0) for end in range(3))
    causes = dict.fromkeys(cause for _, quality in known for cause in quality.wide_by)
    widths = {cause: between((quality.widths.get(cause, 0.0) for _, quality in known), 0.0) for cause in causes}
    return QualityEstimate.with_widths(value, low, high, widths)
