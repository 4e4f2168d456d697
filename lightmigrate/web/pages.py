"""How pages are made: templates, what they all need, and the values in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse

from lightmigrate.budget.plan import BudgetPlan
from lightmigrate.cli.show.budget import described
from lightmigrate.cli.show.terminal import readable_seconds, readable_size, wide_by
from lightmigrate.stores.base import CollectionFacts
from lightmigrate.version import __version__
from lightmigrate.web.databases import PageDatabase, PageDatabases, State, short_key
from lightmigrate.web.models import Models, short_name
from lightmigrate.web.plots import CurvePlot
from lightmigrate.web.rendered import as_html, as_time, in_line
from lightmigrate.web.runs import Run, Runs
from lightmigrate.web.told import told

HERE = Path(__file__).parent

# A form holds a few words; more is not read.
MOST_BYTES = 20_000


def environment() -> Environment:
    """The templates; everything that they show is escaped, and a missing value is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"size": readable_size, "seconds": readable_seconds, "number": "{:,}".format, "told": as_html}
    made.filters |= {"line": in_line, "key": lambda address: short_key(str(address)), "percent": "{:.0%}".format}
    made.filters |= {"as_told": lambda result: as_html(told(result)), "model_name": short_name, "as_setting": _setting}
    made.filters |= {"time": as_time, "wide_by": lambda estimate: in_line(wide_by(estimate))}
    return made


def _setting(plan: BudgetPlan) -> str:
    """What a plan embeds and projects, in words."""
    return described(plan.setting, plan.size.texts)


@dataclass
class Site:
    """What all pages share.

    Attributes:
        databases: that the page was started with.
        models: that it was started with, and may be asked for.
        runs: of this process.
        templates: see `environment`.
        plots: the curves that were drawn, by run.
    """

    databases: PageDatabases
    models: Models
    runs: Runs = field(default_factory=Runs)
    templates: Environment = field(default_factory=environment)
    plots: dict[str, CurvePlot] = field(default_factory=dict)

    def page(self, template: str, request: Request, values: Mapping[str, object], status: int = 200) -> HTMLResponse:
        """A page, or a part of one."""
        shared = {"site": self, "path": request.url.path, "version": __version__}
        text = self.templates.get_template(template).render(shared | dict(values))
        # half a surrogate, which a text can hold, has no UTF-8
        return HTMLResponse(text.encode("utf-8", "replace"), status)

    def database(self, request: Request) -> PageDatabase:
        """The database that the address names.

        Raises:
            HTTPException: the page was not started with it.
        """
        found = self.databases.get(request.path_params["database"])
        if found is None:
            raise HTTPException(404, "this page was not started with such a database")
        return found

    def collection(self, request: Request, state: State) -> CollectionFacts:
        """The collection that the address names.

        Raises:
            HTTPException: the database has none such.
        """
        key = request.path_params["collection"]
        for facts in state.overview.collections if state.overview else ():
            if short_key(str(facts.address)) == key:
                return facts
        raise HTTPException(404, state.error or "the database has no such collection any more")

    def run(self, request: Request) -> Run:
        """The run that the address names.

        Raises:
            HTTPException: there was none in this process.
        """
        found = self.runs.get(request.path_params["run"])
        if found is None:
            raise HTTPException(404, "no such run since the page was started; what was interrupted can be resumed")
        return found


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a form that was sent, each once.

    Raises:
        HTTPException: it is too large, or not a form.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413, "the form is too large")
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=bool(body), errors="strict")
    except ValueError:
        raise HTTPException(400, "this is not a form") from None
    return {name: values[0] for name, values in fields.items()}
