"""`lightmigrate inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lightmigrate.cli.options import AsJson
from lightmigrate.cli.output import print_next, write_json
from lightmigrate.commands.inspect import inspect as read


def inspect(
    projection: Annotated[Path, typer.Argument(help="The projection, .npz or .onnx.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Show a projection's models, training and measured quality. Only reads."""
    from lightmigrate.cli.show import projections, terminal

    loaded = read(projection)
    if as_json:
        write_json(loaded.info.to_json())
        return
    terminal.output.print(projections.projection(loaded))
    print_next("plan", "DATABASE", "--projection", projection)
