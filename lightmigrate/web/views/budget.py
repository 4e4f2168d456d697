"""The budget of a collection: what each keeps and costs, the choice, and what starts by it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from lightmigrate.budget.plan import BudgetPlan
from lightmigrate.commands.arguments import Budget
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.migrate import migrate_by_plan
from lightmigrate.commands.plan import Measuring, Planned, plan_budget
from lightmigrate.commands.refine import RefinementOptions, refine
from lightmigrate.commands.to_model import NewModel, migrate_to_model
from lightmigrate.errors import LightmigrateError, RefusedError
from lightmigrate.migration.options import MigrationOptions
from lightmigrate.routes.goal import Goal
from lightmigrate.stores.base import CollectionFacts
from lightmigrate.web.databases import PageDatabase, short_key
from lightmigrate.web.models import label_of
from lightmigrate.web.pages import Site, form_of
from lightmigrate.web.plots import CurvePlot
from lightmigrate.web.runs import Run, Work
from lightmigrate.web.saved import plan_file, saved_plan

# What is chosen first: what the demo spends.
FIRST_SHARE = 0.15


def routes(site: Site) -> list[Route]:
    """The pages of a budget, and the forms that migrate and refine."""

    async def found(request: Request) -> tuple[PageDatabase, CollectionFacts]:
        database = site.database(request)
        return database, site.collection(request, await run_in_threadpool(database.state))

    async def budget(request: Request) -> Response:
        database, facts = await found(request)
        values = await run_in_threadpool(lambda: _values(site, database, facts, request.query_params))
        return site.page("budget.html", request, values)

    async def choice(request: Request) -> Response:
        database, facts = await found(request)
        values = await run_in_threadpool(lambda: _values(site, database, facts, request.query_params))
        return site.page("budget_choice.html", request, values)

    async def act(request: Request) -> Response:
        database, facts = await found(request)
        form, about = await form_of(request), request.path_params["collection"]
        match request.path_params["action"]:
            case "measure":
                run = _measure(site, database, facts, form)
            case "save":
                await run_in_threadpool(lambda: _save(site, database, about, form))
                return RedirectResponse(f"/d/{database.key}/c/{about}/budget#plan", 303)
            case "migrate":
                run = _migrate(site, database, about, form)
            case "best":
                run = _migrate_best(site, database, facts, form)
            case "refine":
                run = _refine(site, database, facts, form)
            case _:
                raise LightmigrateError("no such action")
        return RedirectResponse(f"/runs/{run.key}", 303)

    base = "/d/{database}/c/{collection}/"
    return [
        Route(base + "budget", budget),
        Route(base + "budget/choice", choice),
        Route(base + "do/{action}", act, methods=["POST"]),
    ]


def measurement(site: Site, database: PageDatabase, about: str) -> tuple[str, Planned] | None:
    """The run that measured a collection last, and what it found; `None` where nothing was measured since its last run.

    Of this process alone: what was measured is too large to keep.
    """
    for run in site.runs.newest(database):
        if run.about == about and run.kind == "plan" and isinstance(run.result, Planned):
            return run.key, run.result
        if run.about == about and run.kind in ("migrate", "refine") and run.state == "finished":
            return None  # the collection is another one since
    return None


def _values(site: Site, database: PageDatabase, facts: CollectionFacts, asked: Mapping[str, str]) -> dict[str, object]:
    about = short_key(str(facts.address))
    run, planned = measurement(site, database, about) or ("", None)
    plot, chosen, failure, share, seconds = None, None, "", FIRST_SHARE, None
    if planned is not None and planned.planning is not None:
        plot = site.plots.get(run) or site.plots.setdefault(run, CurvePlot.of(planned.planning.curve))
        try:
            share = _share(
                asked, max(FIRST_SHARE if planned.plan is None else _planned_share(planned.plan), plot.least)
            )
            chosen = planned.planning.plan(Budget(share=share))
            seconds = None if chosen is None else planned.planning.curve.seconds(chosen.setting)
        except LightmigrateError as error:
            failure = str(error)
    models = site.models
    return {
        "database": database,
        "facts": facts,
        "planned": planned,
        "curve": None if planned is None else planned.curve,
        "plot": plot,
        "chosen": chosen,
        "seconds": seconds,
        "share": share,
        "failure": failure,
        "plan": saved_plan(database, about),
        "file": plan_file(database, about),
        "working": site.runs.working(database),
        "source": None if models.source is None else label_of(models.source),
        "target": None if models.target is None else label_of(models.target),
    }


def _share(asked: Mapping[str, str], default: float) -> float:
    """The share of the tokens that is asked for, in percent.

    Raises:
        LightmigrateError: it is none.
    """
    given = asked.get("share", "")
    return (Budget.share_of(f"{given}%") if given else None) or default


def _planned_share(plan: BudgetPlan | None) -> float:
    """The share of the tokens that a plan spends."""
    return FIRST_SHARE if plan is None else min(1.0, plan.tokens / max(1, plan.size.tokens))


def _number(form: Mapping[str, str], name: str) -> int | None:
    """A number of a form; `None` where the field is empty.

    Raises:
        RefusedError: it is not a number above 0.
    """
    text = form.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1 or len(text) > 12:
        raise RefusedError(f"“{text}” is not a number of {name}")
    return int(text)


def _options(form: Mapping[str, str]) -> MigrationOptions:
    """How to migrate; a box that is not ticked is not sent."""
    return MigrationOptions(auto_backup="backup" in form, verify=True, force="force" in form)


def _words_of(options: MigrationOptions) -> list[str]:
    return [*([] if options.auto_backup else ["--no-backup"]), *(["--force"] if options.force else [])]


def _start(site: Site, database: PageDatabase, about: str, work: Work, *words: str, kind: str, title: str) -> Run:
    line = shlex.join(["lightmigrate", kind, *database.choice.words, *words])
    return site.runs.start(database, work, kind=kind, title=title, command=line, about=about)


def _measure(site: Site, database: PageDatabase, facts: CollectionFacts, form: Mapping[str, str]) -> Run:
    target, source, samples = site.models.chosen_target(form), site.models.chosen_source(form), _number(form, "samples")
    name = str(facts.address)
    budget, measuring = Budget(share=_share(form, FIRST_SHARE)), Measuring(samples=samples, cache=site.models.cache)

    def work(choice: DatabaseChoice, conversation: Conversation) -> object:
        return plan_budget(choice, target, source, budget, measuring, collection=name, conversation=conversation)

    words = ["--collection", name, *target.words, *([] if samples is None else ["--samples", str(samples)])]
    words += ["--budget", f"{budget.share:.0%}"]
    title = f"Measure what budgets keep of {name}"
    return _start(site, database, short_key(name), work, *words, kind="plan", title=title)


def _save(site: Site, database: PageDatabase, about: str, form: Mapping[str, str]) -> Path:
    _, planned = measurement(site, database, about) or ("", None)
    if planned is None or planned.planning is None:
        raise RefusedError("nothing was measured since the page was started: measure first")
    file = plan_file(database, about)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    planned.planning.plan(Budget(share=_share(form, FIRST_SHARE)), file)
    return file


def _migrate(site: Site, database: PageDatabase, about: str, form: Mapping[str, str]) -> Run:
    plan = saved_plan(database, about)
    if plan is None:
        raise RefusedError("no plan was saved for this collection: choose a budget first")
    file, options, cache = plan_file(database, about), _options(form), site.models.cache

    def work(choice: DatabaseChoice, conversation: Conversation) -> object:
        return [migrate_by_plan(choice, file, options, cache=cache, conversation=conversation)]

    words = ["--plan", str(file), *_words_of(options)]
    return _start(site, database, about, work, *words, kind="migrate", title=f"Migrate {plan.address} by the plan")


def _migrate_best(site: Site, database: PageDatabase, facts: CollectionFacts, form: Mapping[str, str]) -> Run:
    target, options, name = site.models.chosen_target(form), _options(form), str(facts.address)
    try:
        goal = Goal(float(form.get("quality") or "95") / 100)
    except ValueError:
        raise RefusedError(f"“{form['quality']}” is not a percentage") from None
    new = NewModel(target, goal=goal, cache=site.models.cache)

    def work(choice: DatabaseChoice, conversation: Conversation) -> object:
        return migrate_to_model(choice, new, options, collections=[name], conversation=conversation)

    words = ["--collection", name, *target.words, "--quality", str(goal.quality), *_words_of(options)]
    title = f"Migrate {name} on the cheapest route that keeps {goal.quality:.0%}"
    return _start(site, database, short_key(name), work, *words, kind="migrate", title=title)


def _refine(site: Site, database: PageDatabase, facts: CollectionFacts, form: Mapping[str, str]) -> Run:
    documents, name = _number(form, "documents"), str(facts.address)
    cache = site.models.cache

    def work(choice: DatabaseChoice, conversation: Conversation) -> object:
        options = RefinementOptions(documents=documents)
        return refine(choice, options, collection=name, cache=cache, conversation=conversation)

    words = ["--collection", name, *([] if documents is None else ["--documents", str(documents)])]
    title = f"Refine {name}" + ("" if documents is None else f": {documents:,} documents")
    return _start(site, database, short_key(name), work, *words, kind="refine", title=title)
