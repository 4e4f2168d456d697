"""One collection: its picture before and after, how its rows were made, its quality, and a search in both versions."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lightmigrate.commands.conversation import AGREED
from lightmigrate.commands.look import MADE, CollectionLook, look
from lightmigrate.commands.quality import CollectionQuality, quality
from lightmigrate.commands.search import Query, SideBySide, search
from lightmigrate.errors import LightmigrateError
from lightmigrate.stores.base import CollectionFacts
from lightmigrate.web.databases import PageDatabase
from lightmigrate.web.models import label_of
from lightmigrate.web.pages import Site, form_of
from lightmigrate.web.plots import SIDE, drawn, legend


def routes(site: Site) -> list[Route]:
    """The pages of one collection."""

    async def collection(request: Request) -> Response:
        database = site.database(request)
        state = await run_in_threadpool(database.state)
        facts = site.collection(request, state)
        backup, field = request.query_params.get("backup") or None, request.query_params.get("by", MADE)
        looked, known, failure = await run_in_threadpool(lambda: _read(database, facts, backup, field))
        values = {
            "database": database,
            "state": state,
            "facts": facts,
            "look": looked,
            "quality": known,
            "failure": failure,
            "versions": [] if looked is None else drawn(looked),
            "legend": [] if looked is None else legend(looked),
            "side": SIDE,
        }
        return site.page("collection.html", request, values)

    async def searches(request: Request) -> Response:
        database = site.database(request)
        state = await run_in_threadpool(database.state)
        return site.page("search.html", request, _search_values(site, database, site.collection(request, state), {}))

    async def sought(request: Request) -> Response:
        database, form = site.database(request), await form_of(request)
        state = await run_in_threadpool(database.state)
        facts = site.collection(request, state)
        values = _search_values(site, database, facts, dict(form))
        try:
            query = Query(
                form.get("text", "").strip(),
                "" if form.get("text", "").strip() else form.get("record", ""),
                site.models.chosen_source(form),
                site.models.target if not form.get("target_model") else site.models.chosen_target(form),
                site.models.cache,
            )
            values["found"] = await run_in_threadpool(lambda: _search(database, facts, query))
        except LightmigrateError as error:
            values["failure"] = str(error)
        return site.page("search.html", request, values)

    base = "/d/{database}/c/{collection}/"
    return [
        Route(base, collection),
        Route(base + "search", searches),
        Route(base + "search", sought, methods=["POST"]),
    ]


def _read(
    database: PageDatabase, facts: CollectionFacts, backup: str | None, field: str
) -> tuple[CollectionLook | None, CollectionQuality | None, str]:
    """A look at a collection and its quality; or why there is none."""
    if not facts.count or not facts.dimension:
        return None, None, ""
    try:
        with database.opened(wait=False) as choice:
            looked = look(choice, str(facts.address), backup, field, conversation=AGREED)
            return looked, quality(choice, str(facts.address), conversation=AGREED), ""
    except LightmigrateError as error:
        return None, None, str(error)


def _search_values(
    site: Site, database: PageDatabase, facts: CollectionFacts, form: dict[str, str]
) -> dict[str, object]:
    models = site.models
    return {
        "database": database,
        "facts": facts,
        "form": form,
        "found": None,
        "failure": "",
        "source": None if models.source is None else label_of(models.source),
        "target": None if models.target is None else label_of(models.target),
    }


def _search(database: PageDatabase, facts: CollectionFacts, query: Query) -> SideBySide:
    with database.opened(wait=False) as choice:
        return search(choice, query, collection=str(facts.address), conversation=AGREED)
