"""A stranger's first minutes: an empty folder, README's commands, and a database of one's own on another model.

Run `python benchmarks/first_minutes.py --results benchmarks/results`. The repository is cloned into an empty folder,
and what it needs comes from the package index into an environment of its own. Every command is README's, in a terminal
of 100 columns, and questions are answered with yes. The database was made before by an application: 400 abstracts in a
Chroma folder, with the vectors of all-MiniLM-L6-v2. The new model answers under OpenAI's name and protocol on this
machine (wordllama, a small static model), so that its own time counts little. Writes the seconds and what each command
shows into `first_minutes.md`, and a picture of it, `first_minutes.png`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.cli.terminal import page, painter, shown, text_of
from tests.encoders import shared_wordllama
from tests.providers.embedding_server import KEY, running_server
from tests.startup.starts import many

ROOT = Path(__file__).parents[1]
COLUMNS = 100
RECORDS = 400
MODEL = "text-embedding-3-small"
NEW = f"--target-model {MODEL} --target-provider openai"

# Each as a stranger types it, in the clone.
COMMANDS = (
    "python3 -m venv .venv && .venv/bin/pip install -q '.[chroma]' && .venv/bin/lightmigrate demo",
    ". .venv/bin/activate && pip install -q '.[chroma,openai]'",
    "lightmigrate",
    f"lightmigrate plan path/to/chroma_data {NEW}",
    f"lightmigrate migrate path/to/chroma_data {NEW}",
    "lightmigrate verify path/to/chroma_data",
    "lightmigrate rollback path/to/chroma_data",
)


def main() -> None:
    """Run and write everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder for the result")
    results: Path = parser.parse_args().results
    seconds, seen = [], []
    with tempfile.TemporaryDirectory() as home, running_server() as server:
        server.others = {MODEL: shared_wordllama().embed}
        environment = {
            "PATH": f"{Path(sys.base_prefix) / 'bin'}:{os.environ['PATH']}",
            "HOME": home,
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "OPENAI_BASE_URL": server.url,
            "OPENAI_API_KEY": KEY,
            **{name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HTTP"))},
        }
        clone = Path(home) / "lightmigrate"
        many(Path(home) / "chroma_data", 1, RECORDS)
        for command in (f"git clone -q {ROOT} lightmigrate", *COMMANDS):
            if command.startswith("git"):
                words, folder = command, Path(home)
            else:
                words, folder = f"export PATH=$PWD/.venv/bin:$PATH; {command}", clone
            started = time.monotonic()
            lines, status = shown(["bash", "-c", words], COLUMNS, environment, folder, "yes")
            seconds.append(time.monotonic() - started)
            seen.append((command.replace(str(ROOT), "URL"), lines))
            print(f"{seconds[-1]:6.1f} s  {command}", file=sys.stderr)
            if status:
                raise SystemExit("\n".join(map(text_of, lines)))
            if command.startswith("git"):
                (clone / "path" / "to").mkdir(parents=True)
                (Path(home) / "chroma_data").rename(clone / "path" / "to" / "chroma_data")
    with painter() as draw:
        draw(page(seen, COLUMNS, "light"), COLUMNS, results / "first_minutes.png")
    rows = [f"| `{command}` | {taken:.0f} |" for (command, _), taken in zip(seen, seconds, strict=True)]
    outputs = [
        f"### `{command}`\n```text\n{printed.strip().replace(home, '~') or '(nothing)'}\n```\n"
        for command, lines in seen
        for printed in [os.linesep.join(map(text_of, lines))]
    ]
    title, _, explained = (__doc__ or "").strip().partition("\n")
    (results / "first_minutes.md").write_text(
        f"# {title}\n{explained}\n\nIn all {sum(seconds) / 60:.1f} minutes.\n\n| command | seconds |\n|---|--:|\n"
        + "\n".join(rows) + "\n\n## What was seen\n" + "\n".join(outputs),
        encoding="utf-8",
    )  # fmt: skip


if __name__ == "__main__":
    main()
