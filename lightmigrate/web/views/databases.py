"""All databases, and one: collections, backups, what was interrupted, and the forms that act on them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import cast, get_args

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from lightmigrate.commands.clean import clean
from lightmigrate.commands.conversation import Conversation
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.commands.resume import resume
from lightmigrate.commands.rollback import rollback
from lightmigrate.commands.verify import verify
from lightmigrate.migration.changes import OnWritten
from lightmigrate.stores.base import CollectionFacts
from lightmigrate.web.databases import Examined, PageDatabase, State
from lightmigrate.web.pages import Site, form_of
from lightmigrate.web.runs import Work

# Collections of a database that the page of all databases lists.
LISTED = 8

# Entries of the history that are shown at once.
RECENT = 10


def routes(site: Site) -> list[Route]:
    """The pages of databases."""

    async def home(request: Request) -> Response:
        if len(site.databases) == 1:
            (only,) = site.databases
            return RedirectResponse(f"/d/{only.key}/", 303)
        states = await run_in_threadpool(lambda: [(each, each.state()) for each in site.databases])
        return site.page("home.html", request, {"states": states, "listed": LISTED})

    async def database(request: Request) -> Response:
        found = site.database(request)
        state = await run_in_threadpool(found.state)
        return site.page("database.html", request, _values(site, found, state, request, found.known(state)))

    async def look(request: Request) -> Response:
        found = site.database(request)
        state = await run_in_threadpool(found.state)
        anew = "anew" in request.query_params
        examined = await run_in_threadpool(lambda: found.examine(state, anew=anew))
        return site.page("look.html", request, _values(site, found, state, request, examined))

    async def act(request: Request) -> Response:
        found, form = site.database(request), await form_of(request)
        command, backup = request.path_params["action"], form.get("backup", "")
        words = list(found.choice.words)
        match command:
            case "verify":
                work, title = _verify(), "Verify"
            case "rollback":
                written = form.get("written", "refuse")
                if written not in get_args(OnWritten):
                    raise HTTPException(400, "no such way to deal with what was written since")
                work, title = _rollback(backup or None, cast(OnWritten, written)), f"Go back to {backup}"
                words += ["--backup", backup, *(["--written", written] if written != "refuse" else [])]
            case "clean":
                work, title = _clean(backup), f"Delete the backup {backup}"
                words += ["--backup", backup, "--yes"]
            case "resume":
                work, title = _resume(undo=False), "Resume what was interrupted"
            case "undo":
                work, title = _resume(undo=True), "Discard what was interrupted"
                command, words = "resume", [*words, "--undo"]
            case _:
                raise HTTPException(404, "no such action")
        line = shlex.join(["lightmigrate", command, *words])
        started = site.runs.start(found, work, kind=command, title=title, command=line)
        return RedirectResponse(f"/runs/{started.key}", 303)

    return [
        Route("/", home),
        Route("/d/{database}/", database),
        Route("/d/{database}/look", look),
        Route("/d/{database}/do/{action}", act, methods=["POST"]),
    ]


def _values(
    site: Site, database: PageDatabase, state: State, request: Request, examined: Examined | None
) -> dict[str, object]:
    """What the page of a database shows."""
    sought = request.query_params.get("q", "").strip()
    collections = state.overview.collections if state.overview else ()
    return {
        "database": database,
        "state": state,
        "examined": examined,
        "diagnosis": examined.diagnosis if examined else None,
        "runs": site.runs.newest(database)[:5],
        "recent": RECENT,
        "sought": sought,
        "collections": _matching(collections, sought),
        "looked": examined is not None or request.url.path.endswith("/look"),
    }


def _matching(collections: Sequence[CollectionFacts], sought: str) -> list[CollectionFacts]:
    return [facts for facts in collections if sought.casefold() in str(facts.address).casefold()]


def _verify() -> Work:
    return lambda database, conversation: verify(database, conversation=conversation)


def _rollback(backup: str | None, written: OnWritten) -> Work:
    def work(database: DatabaseChoice, conversation: Conversation) -> object:
        return rollback(database, backup, written=written, conversation=conversation)

    return work


def _clean(backup: str) -> Work:
    def work(database: DatabaseChoice, conversation: Conversation) -> object:
        reasons = [each.reason_to_keep for each in clean(database, [backup], conversation=conversation).backups]
        warned = "".join(f" It {reason}." for reason in reasons if reason)
        conversation.require(f"Delete the backup {backup} for good?{warned}", "delete")
        return clean(database, [backup], delete=True, conversation=conversation)

    return work


def _resume(*, undo: bool) -> Work:
    def work(database: DatabaseChoice, conversation: Conversation) -> object:
        if undo:
            conversation.require("Discard what the interrupted migration has built?", "discard")
        return resume(database, undo=undo, conversation=conversation)

    return work
