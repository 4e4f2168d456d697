"""The dial on the command line: the curve of `plan --target-model`, `migrate --plan`, `refine` and `status`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lightmigrate
from lightmigrate import cli_rooms as rooms
from lightmigrate.bars import MigrationBars, TrainingBars
from lightmigrate.cli_choices import MOST_QUERIES, PROVIDERS, InvalidVectors, Order, Route, TextsById
from lightmigrate.cli_database import Place, on_database
from lightmigrate.cli_output import confirm, print_result, write_json
from lightmigrate.console import databases, dial, projections, terminal
from lightmigrate.errors import LightmigrateError

if TYPE_CHECKING:
    from lightmigrate.calibration.texts import TextsFile
    from lightmigrate.dial.budget import BudgetPlan
    from lightmigrate.dial.curve import Curve
    from lightmigrate.dial.setting import Option
    from lightmigrate.stores.base import Address


@dataclass(frozen=True)
class NewModel:
    """The new model as it was named on the command line or in a plan.

    Attributes:
        options: `provider`, `model` as that calls it, and what else it is opened with; no secrets, they come from the
            environment.
    """

    options: dict[str, Any]

    def open(self, cache: Path | None, max_cost: float | None = None) -> Any:
        """A provider with a cache; loads nothing yet."""
        options = dict(self.options)
        if not {"provider", "model"} <= options.keys():
            raise LightmigrateError("it was not planned on the command line which model to open: go on from Python")
        kind, model = options.pop("provider"), options.pop("model")
        if max_cost is not None:
            options["max_cost"] = max_cost
        return rooms.Cached(lightmigrate.open_provider(kind, model, **options), cache)


@dataclass(frozen=True)
class Budget:
    """What somebody is ready to pay, or wants to have; at most one of these.

    Attributes:
        share: of the tokens of everything, in [0, 1].
        tokens: in all.
        dollars: in all.
        quality: to reach, as a share of what embedding everything gives.
    """

    share: float | None
    tokens: int | None
    dollars: float | None
    quality: float | None

    @classmethod
    def said(cls, budget: str, tokens: int | None, dollars: float | None, quality: float | None) -> Budget:
        """From the options of the command line; `budget` is like `10%`."""
        share = None
        if budget:
            try:
                share = float(budget.removesuffix("%")) / (100 if budget.endswith("%") else 1)
            except ValueError:
                share = math.nan
            if not 0 < share <= 1:
                raise LightmigrateError(
                    f"--budget {budget} is neither a share such as 0.1 nor a percentage such as 10%, 100% at most"
                )
        given = [one for one in (share, tokens, dollars, quality) if one is not None]
        if len(given) > 1:
            raise LightmigrateError("give one of --budget, --budget-tokens, --max-cost and --quality, not several")
        if dollars is not None and not 0 <= dollars < math.inf:
            raise LightmigrateError(f"--max-cost {dollars} is no amount of dollars: 0 or more, such as 1.50")
        if quality is not None and not 0 < quality <= 1:
            raise LightmigrateError(f"--quality {quality} is not a share of re-embedding between 0 and 1, such as .95")
        return cls(share, tokens, dollars, quality)

    def tokens_allowed(self, provider: Any) -> float | None:
        """Tokens that may be spent; `None` without a limit that is one of tokens."""
        if self.dollars is None:
            return self.tokens
        million = provider.priced(1_000_000).dollars
        if million is None:
            raise LightmigrateError(f"no price is known for {provider.name}, so --max-cost says nothing: add --price")
        return math.inf if not million else self.dollars / million * 1_000_000

    def choose(self, drawn: Curve, provider: Any) -> Option | None:
        """The option that it buys; `None` when nothing was said."""
        if self.quality is not None:
            return drawn.reaching(self.quality)
        tokens = self.tokens_allowed(provider)
        if self.share is not None:
            tokens = self.share * drawn.census.tokens
        return None if tokens is None else drawn.within(tokens)


def draw(
    place: Place,
    collection: str,
    model: NewModel,
    previous: NewModel | None,
    budget: Budget,
    samples: int | None,
    queries: Path | None,
    texts: TextsFile,
    seed: int,
    cache: Path | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """What `plan --target-model` does: measure, show, and write down what was chosen."""
    if output is not None and budget == Budget(None, None, None, None):
        raise LightmigrateError("-o needs to know what to choose: --budget, --budget-tokens, --max-cost or --quality")
    provider = model.open(cache, budget.dollars)
    address = _collection_of(place, collection)
    with TrainingBars() as bars:
        drawn = rooms.curve_of(
            place.database(),
            address.name,
            provider,
            None if previous is None else previous.open(cache),
            samples=samples,
            tokens=budget.tokens_allowed(provider),
            token_share=budget.share,
            queries=_asked_in(queries, seed),
            texts=texts.read(),
            tenant=address.tenant,
            tenant_database=address.database,
            seed=seed,
            on_progress=bars,
        )
    option = budget.choose(drawn, provider)
    plan = None
    if option is not None:
        plan = rooms.BudgetPlan.of(
            address, drawn, option, model.options, seed=seed, queries_file=queries, texts_file=texts
        )
        if output is not None:
            plan.save(output)
    missing = rooms.MissingTexts.of(drawn)
    if as_json:
        write_json(
            {
                "curve": drawn.to_json(),
                "missing_texts": None if missing is None else missing.to_json(),
                "plan": None if plan is None else plan.to_json(),
            }
        )
        return
    terminal.output.print(dial.curve(drawn))
    if missing is not None:
        terminal.output.print(dial.missing_texts(missing, drawn.census.records))
    if plan is None:
        terminal.output.print(
            "\nchoose:  --budget 10%, --budget-tokens N, --max-cost D or --quality .95; keep it:  -o plan.json"
        )
        return
    terminal.output.print(dial.chosen(plan, output))
    if output is not None:
        terminal.output.print(terminal.next_command("migrate", *place.words, "--plan", output))


def migrate_planned(
    place: Place,
    file: Path,
    function: dict[str, Any] | None,
    queries: Path | None,
    texts: Path | None,
    *,
    backup: bool,
    verify: bool,
    invalid_vectors: InvalidVectors,
    force: bool,
    index: Route,
    cache: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """What `migrate --plan` does: exactly what the plan says, or nothing."""
    plan: BudgetPlan = rooms.BudgetPlan.load(file)
    if queries is None and Path(plan.queries_file).is_file():
        queries = Path(plan.queries_file)
    asked = _asked_in(queries, plan.seed)
    plan.asked.require(asked)
    if not yes:
        terminal.messages.print(dial.chosen(plan, None))
        confirm("Migrate?" if backup else "Migrate without a backup? There will be no way back.", as_json)
    model = NewModel(dict(plan.provider))
    with TrainingBars() as training, MigrationBars() as bars:
        result = rooms.migrate_by_plan(
            place.open(bars),
            plan,
            model.open(cache),
            embedding_function=function,
            queries=asked,
            texts=_moved(plan.texts_file, texts).read(),
            auto_backup=backup,
            verify=verify,
            invalid_vectors=invalid_vectors,
            force=force,
            index=index,
            on_progress=training,
        )
    print_result([result], databases.migrated, as_json)
    if not as_json:
        terminal.output.print(terminal.next_command("status", *place.words))


@on_database
def refine(
    place: Place,
    collection: Annotated[str, typer.Option("--collection", "-c", help="Which; the only one when left out.")] = "",
    documents: Annotated[int | None, typer.Option(help="Embed at most so many.", min=1, show_default=False)] = None,
    tokens: Annotated[int | None, typer.Option(help="Of at most so many tokens.", min=1, show_default=False)] = None,
    seconds: Annotated[float | None, typer.Option(help="For about so long.", min=0, show_default=False)] = None,
    order: Annotated[Order, typer.Option(help="Which documents come first.")] = "random",
    queries: Annotated[
        Path | None, typer.Option(help="What users asked, for --order retrieved.", show_default=False)
    ] = None,
    texts: TextsById = None,
    refit: Annotated[bool, typer.Option(help="Make better maps of what is exact, in random order.")] = True,
    cache: Annotated[Path | None, typer.Option(help="File that keeps embeddings.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Embed more documents of a migrated collection with the new model. Interrupt it whenever you like.

    The model is the one the collection was migrated to. A folder may not be in use meanwhile; a server may (--host).
    """
    found = rooms.means_of(place.database())
    address = _one_of([one for one in found if not collection or collection in (one.name, str(one))], found, place)
    with TrainingBars() as bars:
        done = rooms.refine(
            place.database(),
            address.name,
            NewModel(dict(found[address].provider)).open(cache),
            documents=documents,
            tokens=tokens,
            seconds=seconds,
            order=order,
            queries=rooms.read_texts(queries, "text") if queries is not None else (),
            texts=_moved(found[address].texts_file, texts).read(),
            refit=refit,
            tenant=address.tenant,
            tenant_database=address.database,
            on_progress=lambda done, total: bars("refining", done, total),
        )
    print_result(done, dial.refined, as_json)
    if not as_json and done.status.share_exact < 1:
        terminal.output.print(terminal.next_command("refine", *place.words, why="go on"))


@on_database
def bridge(
    place: Place,
    target_model: Annotated[str, typer.Option(help="The new model, as its provider calls it.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The projection's file, .npz.", show_default=False)],
    target_provider: Annotated[str, typer.Option(help=f"Who computes it: {', '.join(PROVIDERS)}.")] = (
        "sentence-transformers"
    ),
    target_tokenizer: Annotated[
        Path | None, typer.Option(help="tokenizer.json of an ONNX encoder elsewhere.", show_default=False)
    ] = None,
    collection: Annotated[str, typer.Option("--collection", "-c", help="Which; the only one when left out.")] = "",
    samples: Annotated[int, typer.Option(help="How many documents to learn from.", min=50)] = 1000,
    cache: Annotated[Path | None, typer.Option(help="File that keeps embeddings.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Learn the way back: from the new model's queries to the stored vectors, for `BridgedEmbeddingFunction`.

    For those who cannot migrate yet. Changes nothing in the database.
    """
    address = _collection_of(place, collection)
    options = {"provider": target_provider, "model": target_model}
    if target_tokenizer is not None:
        options["tokenizer"] = str(target_tokenizer)
    with TrainingBars() as bars:
        found = rooms.fit_bridge(
            place.database(),
            address.name,
            NewModel(options).open(cache),
            samples=samples,
            tenant=address.tenant,
            tenant_database=address.database,
            on_progress=bars,
        )
    found.save(output)
    if as_json:
        write_json({"file": str(output), **found.info.to_json()})
    else:
        terminal.output.print(projections.projection(found))
        terminal.output.print(f"written: {output}")


@on_database
def status(
    place: Place,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Show which vectors are exact and which are mapped, and what to expect of searches now. Changes nothing."""
    found = rooms.status(place.database())
    print_result(found, dial.statuses, as_json)
    if not as_json and any(one.share_exact < 1 for one in found):
        terminal.output.print(terminal.next_command("refine", *place.words))


def _asked_in(file: Path | None, seed: int) -> Sequence[str]:
    """What users asked, as a file has it: of a longer one as many as narrow an interval, the same for the same seed."""
    if file is None:
        return ()
    asked = rooms.read_texts(file, "text")
    return asked if len(asked) <= MOST_QUERIES else rooms.draw(asked, MOST_QUERIES, seed)


def _moved(file: TextsFile, to: Path | None) -> TextsFile:
    """The file, where it lies now."""
    return file if to is None else replace(file, path=str(to))


def _collection_of(place: Place, name: str) -> Address:
    catalog = [facts.address for facts in place.open().collections() if facts.count and facts.dimension]
    return _one_of([one for one in catalog if not name or name in (one.name, str(one))], catalog, place)


def _one_of(found: Sequence[Address], everything: Sequence[Address] | Any, place: Place) -> Address:
    if len(found) == 1:
        return found[0]
    known = ", ".join(str(one) for one in everything) or "none"
    raise LightmigrateError(f"--collection must name one collection of {place.words[-1]}; there are: {known}")
