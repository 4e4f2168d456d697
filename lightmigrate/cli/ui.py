"""`lightmigrate ui`."""

from __future__ import annotations

from typing import Annotated

import typer

from lightmigrate.cli.database import SERVER_DATABASE, database_of
from lightmigrate.cli.groups import expanded
from lightmigrate.cli.options import OPTIONAL_TARGET, SOURCE, Cache, option
from lightmigrate.commands.arguments import ModelChoice
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.errors import LightmigrateError, MissingExtraError


@expanded
def ui(
    server: Annotated[DatabaseChoice | None, SERVER_DATABASE],
    target: Annotated[ModelChoice, OPTIONAL_TARGET],
    source: Annotated[ModelChoice, SOURCE],
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATABASE]...",
            help="The databases: folders, files or folders of vectors, or URLs; the page opens no others.",
            show_default=False,
        ),
    ] = None,
    expected_dim: Annotated[
        int | None, option("Dimension of the embedding model in use: others are marked.", "--expected-dim", min=1)
    ] = None,
    listen: Annotated[
        str, option("Address to listen at; others than this machine's own let others in.", show_default=True)
    ] = "127.0.0.1",
    listen_port: Annotated[
        int, option("Port to listen at; 0 for a free one.", show_default=True, min=0, max=65535)
    ] = 8765,
    cache: Cache = None,
) -> None:
    """Look at databases, plan, migrate and search in a browser.

    The page runs on this machine and needs the token in the printed address. Models named here can be chosen in it, and
    others by name; keys come from the environment.
    """
    from rich.markup import escape

    from lightmigrate.cli.show import terminal

    databases = [database_of(path) for path in paths or ()] + ([server] if server is not None else [])
    if not databases:
        raise LightmigrateError("name the databases that the page is for:  lightmigrate ui DATABASE …")
    try:
        from lightmigrate.web.databases import PageDatabases
        from lightmigrate.web.models import Models
        from lightmigrate.web.pages import Site
        from lightmigrate.web.serve import serve
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "starlette", "web") from None

    def announce(address: str) -> None:
        terminal.output.print(escape(address))
        terminal.messages.print("[dim]open it in a browser; Ctrl-C ends it, and interrupts what works then[/]")

    models = Models(target if target.model else None, source if source.model else None, cache)
    opened = PageDatabases(databases, expected_dim)
    for database in opened:
        with database.opened():  # what is wrong with an address is said here, and a password asked for
            pass
        database.state()  # loads what its first page needs, before the address is printed
    serve(Site(opened, models), listen, listen_port, announce)
