"""The pages of runs: what they tell, what they ask, and their progress as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from lightmigrate.errors import RefusedError
from lightmigrate.web.pages import Site, form_of
from lightmigrate.web.runs import Run
from lightmigrate.web.told import is_notice, told

# A run is looked at so often for every page that shows it; reports between two looks are one.
SECONDS_BETWEEN = 0.25

# So often a stream says that it is alive, so that no one between closes it.
LOOKS_UNTIL_ALIVE = 60


def routes(site: Site) -> list[Route]:
    """The pages of runs."""

    async def listed(request: Request) -> Response:
        return site.page("runs.html", request, {"runs": site.runs.newest()})

    async def run(request: Request) -> Response:
        return site.page("run.html", request, _values(site.run(request).snapshot()))

    async def events(request: Request) -> Response:
        return StreamingResponse(_events(site, site.run(request), request), media_type="text/event-stream")

    async def answer(request: Request) -> Response:
        found, form = site.run(request), await form_of(request)
        if not found.answer(form.get("question", ""), form.get("answer") == "yes"):
            raise RefusedError(f"“{found.title}” does not ask that any more")
        return RedirectResponse(f"/runs/{found.key}", 303)

    async def stop(request: Request) -> Response:
        found = site.run(request)
        await form_of(request)
        found.stop()
        return RedirectResponse(f"/runs/{found.key}", 303)

    return [
        Route("/runs", listed),
        Route("/runs/{run}", run),
        Route("/runs/{run}/events", events),
        Route("/runs/{run}/answer", answer, methods=["POST"]),
        Route("/runs/{run}/stop", stop, methods=["POST"]),
    ]


def _values(run: Run) -> dict[str, object]:
    """What the page of a run shows, of a `snapshot` of it."""
    shown = [(is_notice(result), rendered) for result in run.shown if (rendered := told(result)) is not None]
    return {"run": run, "shown": shown, "database": run.database}


async def _events(site: Site, run: Run, request: Request) -> AsyncIterator[str]:
    """The part of a page that shows a run, whenever it changed since the page saw it, until it has ended."""
    # what a page shows already is not sent again: who is about to press a button there must not lose it
    seen = request.headers.get("last-event-id") or request.query_params.get("seen", "")
    last, looks = int(seen) if seen.isdecimal() and len(seen) < 12 else -1, 0
    while not await request.is_disconnected():
        looks += 1
        now = run.snapshot()
        if now.version != last:
            last = now.version
            text = bytes(site.page("run_now.html", request, _values(now)).body).decode()
            yield f"id: {last}\n" + "".join(f"data: {line}\n" for line in text.splitlines()) + "\n"
        elif looks % LOOKS_UNTIL_ALIVE == 0:
            yield ": alive\n\n"
        if now.ended:
            yield "event: ended\ndata: ended\n\n"
            return
        await asyncio.sleep(SECONDS_BETWEEN)
