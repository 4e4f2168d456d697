"""`lightmigrate report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from lightmigrate.cli.database import DATABASE
from lightmigrate.cli.groups import expanded
from lightmigrate.cli.options import AsJson, option
from lightmigrate.cli.output import conversation, write_json
from lightmigrate.commands.database import DatabaseChoice
from lightmigrate.errors import MissingExtraError


@expanded
def report(
    database: Annotated[DatabaseChoice, DATABASE],
    output: Annotated[Path, option("File of the report.", "--output", "-o", show_default=True)] = Path("report.html"),
    with_text: Annotated[
        bool, option("Show searches for some stored records with their texts and ids.", "--with-text")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write what the page shows as one offline HTML file. Only reads.

    Without --with-text it holds no text, no id and no metadata of a record.
    """
    from rich.markup import escape

    from lightmigrate.cli.show import terminal

    try:
        from lightmigrate.web.report import write_report
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "jinja2", "web") from None

    with conversation(as_json) as talk:
        written = write_report(database, output, with_text=with_text, conversation=talk)
    if as_json:
        write_json({"file": str(written), "bytes": written.stat().st_size})
    else:
        size = terminal.readable_size(written.stat().st_size)
        terminal.output.print(f"written: {escape(str(written))} ({size})")
