"""The application: the routes of all pages behind the guard."""

from __future__ import annotations

from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from lightmigrate.errors import LightmigrateError
from lightmigrate.progress import logger
from lightmigrate.web.guard import Access, Guard
from lightmigrate.web.pages import HERE, Site
from lightmigrate.web.views import budget, collection, databases, run


def create_app(site: Site, access: Access) -> Starlette:
    """The application of one run of the server.

    Args:
        site: its databases, models and runs.
        access: who may use it.
    """

    def failed(request: Request, error: Exception) -> Response:
        """What went wrong, in one line, on a page."""
        if isinstance(error, HTTPException):
            missing = error.status_code == HTTPStatus.NOT_FOUND and error.detail == HTTPStatus.NOT_FOUND.phrase
            message = "there is no such page" if missing else error.detail
            return site.page("error.html", request, {"message": message}, error.status_code)
        if isinstance(error, LightmigrateError):
            return site.page("error.html", request, {"message": str(error)}, 409)
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return site.page("error.html", request, {"message": f"{type(error).__name__}: see the terminal"}, 500)

    views = (databases, collection, budget, run)
    return Starlette(
        routes=[
            *(route for view in views for route in view.routes(site)),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={HTTPException: failed, LightmigrateError: failed, Exception: failed},
    )
