"""The second step of a start: whether projected rows become exact in the background, and with what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightmigrate.errors import LightmigrateError
from lightmigrate.migrator import Migrator
from lightmigrate.progress import logger
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.refinement.background import BackgroundRefinement
from lightmigrate.refinement.ledger import Ledger
from lightmigrate.refinement.partly_refined import unfinished
from lightmigrate.refinement.provenance import Provenance
from lightmigrate.refinement.slices import Slices, StoppedError
from lightmigrate.refinement.turns import GivingWay
from lightmigrate.startup.policy import Policy
from lightmigrate.startup.report import CollectionReport
from lightmigrate.startup.target_model import TargetModel
from lightmigrate.stores.base import Address
from lightmigrate.stores.open import argument_of
from lightmigrate.training.limits import SpendingLimit


class PacedProvider(ChromaProvider):
    """The application's embedding function, called so that searches find room.

    A model on this machine gets a few texts at a time. One that a server answers takes nothing from searches: it is
    called as at a start, several times at once.

    Args:
        function: as for `ChromaProvider`.
        turns: when the next texts may be embedded.
        limited: as for `ChromaProvider`.
    """

    def __init__(self, function: Any, turns: GivingWay, *, limited: bool) -> None:
        super().__init__(function, limited=limited)
        self._turns = turns
        self._slices: Slices | None = None
        if self.parallel.most == 1:
            self.batch_size = Provider.batch_size  # when it is stopped within a batch, that batch is lost
            self.measures_calls = False  # the slices do
            self._slices = Slices(turns.quiet, lambda: turns.called, turns.processors)

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        """See `Provider.encode`; raises `StoppedError` too."""
        encode = super().encode
        if self._slices is not None:
            return self._slices.encode(lambda part: encode(part, queries), texts)
        if not self._turns.quiet():
            raise StoppedError("the refinement was stopped")
        return encode(texts, queries)


def refine_in_background(
    migrator: Migrator, target: TargetModel, policy: Policy, reports: Mapping[Address, CollectionReport]
) -> BackgroundRefinement | None:
    """Begin to make projected rows exact, where there are any and the policy allows it. Reads the provenance file only.

    Args:
        migrator: of the database.
        target: the application's model.
        policy: what may be done.
        reports: what this start found and did: only collections that are of the application's model are refined.

    Returns:
        The refinement, which has been started; `None` where nothing is to be refined, or it is not allowed.
    """
    file = Provenance.file_in(migrator.place)
    addresses = [
        address
        for address, report in reports.items()
        if report.action == "migrated" or (report.action == "nothing" and report.finding.verdict == "same")
    ]
    if not addresses or not file.exists():
        return None
    with Provenance.of(migrator.place) as provenance:
        waiting = unfinished(provenance, addresses)
    if not waiting or policy.refine == "off":
        return None
    provider = target.provider
    if (reason := _reason_against(policy, provider)) is not None or provider is None:
        if any(waiting.values()):
            _log_how(migrator, waiting, reason or "")
        return None
    function = target.function

    def provider_for(turns: GivingWay) -> Provider:
        paced = PacedProvider(function, turns, limited=policy.limits_cost)
        return Cached(paced) if paced.found_again else paced  # one that finds nothing again would keep all of it

    ledger = Ledger(file, policy.max_cost_per_day, policy.max_cost)
    refinement = BackgroundRefinement(
        migrator.database, migrator.place, list(waiting), provider_for, ledger, policy.rows_per_second
    )
    refinement.start()
    return refinement


def record_spending(place: Path, limit: SpendingLimit) -> None:
    """Count what a start has paid in the ledger of its database; without one, nothing was ever projected there."""
    file = Provenance.file_in(place)
    try:
        if file.exists() and (dollars := limit.take()):
            Ledger(file).record(dollars)
    except LightmigrateError as error:  # the start itself succeeded, or has failed for another reason
        logger.warning("⚠ what this start has paid is not counted for later ones: %s", error)


def _reason_against(policy: Policy, provider: Provider | None) -> str | None:
    """Why projected rows do not become exact in the background; `None` where they do."""
    if provider is None:
        return "no embedding function was given"
    if policy.refine == "background":
        return None
    if policy.on_mismatch != "migrate":
        return f"on_mismatch is {policy.on_mismatch}"
    if provider.priced(1_000_000).dollars != 0 and not policy.limits_cost:
        return "the model costs money, and neither max_cost_per_day nor max_cost says how much"
    return None


def _log_how(migrator: Migrator, waiting: Mapping[Address, int], reason: str) -> None:
    title = str(next(iter(waiting))) if len(waiting) == 1 else f"{len(waiting)} collections"
    logger.info(
        "%s rows of %s stay projected (%s); embed them with refine='background' "
        "(LIGHTMIGRATE_REFINE=background), or while the database is not open:  lightmigrate refine %s",
        f"{sum(waiting.values()):,}", title, reason, argument_of(migrator.database),
    )  # fmt: skip
