"""The dial of a whole database: a closed folder, or a client that is open."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightmigrate.calibration.collection import CalibrationSample, sample_collection
from lightmigrate.calibration.texts import TextsFile
from lightmigrate.dial.alone import alone
from lightmigrate.dial.census import Census
from lightmigrate.dial.curve import Curve, draw_curve
from lightmigrate.dial.missing_texts import too_few
from lightmigrate.dial.order import Order
from lightmigrate.dial.provenance import Provenance
from lightmigrate.dial.refine import Limits, Refinement, Refiner
from lightmigrate.dial.split import (
    LENGTHS,
    SHOWN,
    drawn_samples,
    lengths_within,
    more_beginnings,
    usual_samples,
    words_within,
)
from lightmigrate.dial.status import Exactness, exactness
from lightmigrate.dial.study import tokens_to_measure
from lightmigrate.errors import LightmigrateError, NotEnoughTextsError, RefusedError
from lightmigrate.migration.migrator import ChromaMigrator
from lightmigrate.projection.model import Model
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.stores.base import DEFAULT_DATABASE, DEFAULT_TENANT, Address, Collection, Store
from lightmigrate.stores.chroma_changes import writes_of
from lightmigrate.stores.chroma_folder import require_unused
from lightmigrate.stores.with_texts import WithTexts
from lightmigrate.training import Material, OnTraining


@contextlib.contextmanager
def opened(database: Any) -> Iterator[Store]:
    """A database to read and write in: a folder that nobody else has open, or a client, which stays open."""
    if isinstance(database, (str, Path)):
        from lightmigrate.stores.chroma import ChromaStore

        folder = Path(database).expanduser().resolve()
        require_unused(folder)
        with ChromaStore(folder) as store:
            yield store
    else:
        from lightmigrate.stores.chroma_live import LiveChromaStore

        yield LiveChromaStore(database)


def curve_of(
    database: Any,
    collection_name: str,
    provider: Provider,
    previous: Provider | None = None,
    *,
    samples: int | None = None,
    lengths: Sequence[int] | None = None,
    tokens: float | None = None,
    token_share: float | None = None,
    queries: Sequence[str] = (),
    texts: Mapping[str, str] | None = None,
    source_model: Model | None = None,
    tenant: str = DEFAULT_TENANT,
    tenant_database: str = DEFAULT_DATABASE,
    seed: int = 0,
    on_progress: OnTraining | None = None,
) -> Curve:
    """What every setting of the dial costs and keeps for one collection. Calls the model; changes no record.

    Args:
        database: the folder that holds `chroma.sqlite3`, which nobody else may have open, or an open client.
        collection_name: of the collection.
        provider: the new model. Without a cache it is given the default one.
        previous: the old model, where it is at hand: then the curve also says what doing nothing gives.
        samples: documents to calibrate on first; by default a twentieth of them, or what a tenth of the budget buys,
            but 20 to 300, and of a budget no more than 100 or a fiftieth of them.
        lengths: numbers of first words, 8 to 128 by default; within a budget the most of them that it buys are tried,
            and without one all, or three of them by default.
        tokens: what may be spent in all.
        token_share: the same as a share of what embedding everything takes.
        queries: what users asked; sentences of the documents stand in for them when there are none.
        texts: of the records by id, where the collection does not store them.
        source_model: who made the stored vectors; unnamed by default.
        tenant: of the collection.
        tenant_database: of the collection.
        seed: of every random choice.
        on_progress: hears how far it is.

    Raises:
        NotEnoughTextsError: the collection does not store enough documents.
        RefusedError: measuring would take more than may be spent; nothing was embedded.
        LightmigrateError: as `draw_curve`.
    """
    asked = provider if isinstance(provider, Cached) else Cached(provider)
    say = on_progress or (lambda step, done, total: None)
    with opened(database) as store:
        collection = WithTexts(store.collection(Address(collection_name, tenant, tenant_database)), texts or {})
        known = lengths or (SHOWN if tokens is None and token_share is None else LENGTHS)
        census = Census.of(collection, asked, known, lambda done, total: say("counting", done, total))
        allowed = tokens if token_share is None else token_share * census.tokens
        k = samples or usual_samples(census, allowed)
        sampled = max(k, drawn_samples(census))
        if k > census.texts:
            raise too_few(collection.address, census, k)
        sample = _sample(collection, k, sampled, seed, lambda done, total: say("reading", done, total))
        sampled = len(sample.texts)
    about = {"corpus": f"collection {collection_name}", **sample.report.to_json()}
    words = words_within(sample.words, asked, allowed)
    material = Material(sample.texts[:k], sample.vectors[:k], words, sample.report.usable, about, queries)
    left = None if allowed is None else _left(allowed, tokens_to_measure(material, asked), census)
    tried = lengths_within(census, left)
    more = slice(k, k + more_beginnings(census, tried, k, allowed))
    material = replace(material, more_texts=sample.texts[more], more_vectors=sample.vectors[more])
    return draw_curve(
        material,
        census,
        asked,
        previous,
        lengths=tried,
        source_model=source_model,
        sampled=sampled,
        seed=seed,
        on_progress=say,
    )


def _left(allowed: float, measuring: int, census: Census) -> float:
    """Tokens that measuring leaves of those that may be spent; refused before anything is paid when it takes them all.

    Whoever allows as much as embedding everything takes needs no measuring.
    """
    if measuring > allowed and allowed < census.tokens:
        raise RefusedError(
            f"{allowed:,.0f} tokens are allowed, measuring alone would take {measuring:,} of {census.tokens:,}: allow "
            "more, or calibrate on fewer documents (--samples)"
        )
    return allowed - measuring


def _sample(
    collection: Collection, k: int, sampled: int, seed: int, progress: Callable[[int, int], None]
) -> CalibrationSample:
    """So many documents to calibrate on, or as many as there are, but k at least."""
    try:
        return sample_collection(collection, sampled, seed=seed, progress=progress)
    except NotEnoughTextsError as error:  # some texts are there twice
        return sample_collection(collection, max(k, error.available), seed=seed, progress=progress)


def refine(
    database: Any,
    collection_name: str,
    provider: Provider,
    *,
    documents: int | None = None,
    tokens: float | None = None,
    seconds: float | None = None,
    order: Order = "random",
    queries: Sequence[str] = (),
    texts: Mapping[str, str] | None = None,
    refit: bool = True,
    tenant: str = DEFAULT_TENANT,
    tenant_database: str = DEFAULT_DATABASE,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Refinement:
    """Embed mapped documents of a migrated collection with the new model, within limits. Calls the model; writes.

    Can be interrupted at any instant, and called again; meant for a background thread of a server that hands over its
    own client, or for a job that runs now and then. What the application writes meanwhile is left alone; see
    `lightmigrate.dial.writer` for what Chroma leaves open.

    Args:
        database: the folder, which nobody else may have open, or an open client.
        collection_name: of the collection.
        provider: the new model. Without a cache it is given the default one.
        documents: at most so many.
        tokens: of at most so many tokens, estimated.
        seconds: for about so long.
        order: which come first: `random`, `newest`, `retrieved` (most often found by `queries`), or `uncertain` (the
            largest error expected of the map).
        queries: what users asked, for `retrieved`.
        texts: of the records by id, where the collection does not store them.
        refit: whether a better map is made of what is exact by now, and used on the rest; only in the order `random`.
        tenant: of the collection.
        tenant_database: of the collection.
        seed: of every random choice.
        stop: asked before every batch; `True` ends the run.
        on_progress: called with the number of documents embedded, and of those that were mapped in the beginning.

    Raises:
        ModelMismatchError: the collection was migrated to another model.
        RefusedError: none of its vectors is one that its migration gave it: it was rolled back, or migrated again.
        AnotherRunError: another run is at work on the database.
        LightmigrateError: it was not migrated by a plan, or the provider fails.
    """
    asked = provider if isinstance(provider, Cached) else Cached(provider)
    address = Address(collection_name, tenant, tenant_database)
    place = ChromaMigrator(database).place
    with alone(place), opened(database) as store, Provenance.existing(place) as provenance:
        collection = WithTexts(store.collection(address), texts or {})
        refiner = Refiner(address, collection, provenance, asked, queries=queries, seed=seed)
        limits = Limits(documents, tokens, seconds)
        return refiner.run(limits, order, refit=refit, stop=stop, on_progress=on_progress)


def status(database: Any) -> list[Exactness]:
    """Where the vectors of the collections come from that were migrated by a plan. Only reads; a folder may be in use.

    Args:
        database: the folder, or an open client.

    Raises:
        LightmigrateError: nothing was migrated by a plan, or nothing of that is there any more.
    """
    migrator = ChromaMigrator(database)
    with Provenance.existing(migrator.place) as provenance:
        dimensions = {facts.address: facts.dimension for facts in migrator.collections()}
        known = [
            address
            for address in provenance.addresses()
            if provenance.facts(address)["dimension"] == dimensions.get(address)
        ]
        if not known:
            raise LightmigrateError(
                f"{migrator.path}: what was migrated by a plan was rolled back, migrated again or deleted since; plan "
                "again (lightmigrate plan --target-model MODEL)"
            )
        if migrator.is_folder:
            ids = {address: list(writes) for address, writes in writes_of(migrator.path).items()}
        else:
            with opened(database) as store:
                ids = {address: store.collection(address).ids() for address in known}
        return [exactness(address, ids.get(address, []), provenance) for address in known]


@dataclass(frozen=True)
class Means:
    """What it takes to go on with a collection that was migrated by a plan, without secrets.

    Attributes:
        provider: how its model is opened; see `BudgetPlan.provider`.
        texts_file: where texts are read from that the collection does not store.
    """

    provider: Mapping[str, Any]
    texts_file: TextsFile


def means_of(database: Any) -> dict[Address, Means]:
    """For each collection that was migrated by a plan what it takes to go on with it. Only reads."""
    file = Provenance.file_in(ChromaMigrator(database).place)
    if not file.exists():
        return {}
    with Provenance(file) as provenance:
        noted = {address: provenance.facts(address) for address in provenance.addresses()}
    return {
        address: Means(dict(facts["provider"]), TextsFile(**facts["texts_file"])) for address, facts in noted.items()
    }
