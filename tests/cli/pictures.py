"""What commands print, as pictures: `python -m tests.cli.pictures FOLDER` runs a whole upgrade in a terminal.

For databases of 1, 20 and 500 collections, and terminals of 80 and 140 columns, on a light and a dark ground. Writes
`FOLDER/COLLECTIONS-COLUMNS-GROUND.png` and the same as text. Takes some minutes; needs Chromium.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cli.terminal import GROUNDS, page, painter, shown, text_of
from tests.encoders import shared_wordllama
from tests.providers.embedding_server import KEY, running_server
from tests.startup.starts import many

if TYPE_CHECKING:
    from pyte.screens import Char

COLUMNS = (80, 140)
# Collections, and the records of each.
DATABASES = {1: 400, 20: 40, 500: 2}

MODEL = "text-embedding-3-small"
NEW = f"--target-model {MODEL} --target-provider openai"

# What is run, in the order in which people need it.
UPGRADE = (
    "",
    "doctor chroma_data",
    f"plan chroma_data {NEW}",
    f"migrate chroma_data {NEW} --yes",
    "doctor chroma_data",
    "verify chroma_data",
    "status chroma_data",
    "status chroma_data --thresholds .3,.5",
    "clean chroma_data",
    "rollback chroma_data --yes",
)
ONE = (
    *("--help", "migrate --help", "doctor nowhere", "plan chroma_data"),
    f"plan chroma_data {NEW} --budget 40% -o plan.json",
    "migrate chroma_data --plan plan.json --yes --force",
    *("status chroma_data", "refine chroma_data --documents 60 --yes", "resume chroma_data"),
    f"train --from chroma_data --source-model minilm --source-provider openai {NEW} --output-dir new --passing 0"
    " --failing 0 --yes",
    *("registry list", "registry find --from all-MiniLM-L6-v2 --to potion-base-8M", "registry verify"),
    "rollback chroma_data --yes",
)


def upgrade(place: Path, collections: int, columns: int, url: str) -> list[tuple[str, list[list[Char]]]]:
    """All commands on a database in this folder, and what they show."""
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "OPENAI_BASE_URL": url,
        "OPENAI_API_KEY": KEY,
        "XDG_CACHE_HOME": str(place / "cache"),
        "XDG_DATA_HOME": str(place / "data"),
        "PYTHONPATH": os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry is not None),
        "PWD": str(place),
    }
    environment.pop("NO_COLOR", None)
    commands = (*UPGRADE, *ONE) if collections == 1 else UPGRADE
    program = [sys.executable, "-m", "lightmigrate"]
    return [
        (f"lightmigrate {command}", shown([*program, *shlex.split(command)], columns, environment, place)[0])
        for command in commands
    ]


def main(folder: Path, databases: Iterable[int]) -> None:
    """Run and draw everything."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made, running_server() as server, painter() as draw:
        server.others = {MODEL: shared_wordllama().embed}
        for collections in databases:
            template = many(Path(made) / str(collections), collections, DATABASES[collections])
            for columns in COLUMNS:
                with tempfile.TemporaryDirectory() as place:
                    shutil.copytree(template, Path(place) / "chroma_data")
                    commands = upgrade(Path(place), collections, columns, server.url)
                name = f"{collections}-{columns}"
                text = "\n\n".join("\n".join([f"$ {command}", *map(text_of, lines)]) for command, lines in commands)
                (folder / f"{name}.txt").write_text(text, encoding="utf-8")
                for ground in GROUNDS:
                    draw(page(commands, columns, ground), columns, folder / f"{name}-{ground}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(number) for number in sys.argv[2:]] or list(DATABASES))
