"""What pages do not need they do not load: while they only show, no model and nothing slow is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lightmigrate.migrator import Migrator
from lightmigrate.projection.projection import Projection

# Models, what runs them, and Chroma with its own: a folder is read from its files.
SLOW = {
    "chromadb", "onnxruntime", "openai", "pandas", "sentence_transformers", "sklearn", "tokenizers", "torch",
    "transformers",
}  # fmt: skip

_SCRIPT = """
import sys
from pathlib import Path
from tests.web.client import browser, site_of
from lightmigrate.web.databases import short_key
folder = Path(sys.argv[1])
site = site_of(folder)
client = browser(site)
page = f"/d/{short_key(str(folder))}/"
collection = f"{page}c/{short_key('thought_nodes')}/"
for path in ("/", page, f"{page}look", collection, f"{collection}budget", f"{collection}search", "/runs"):
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.text)
print("loaded:", *{name.split(".")[0] for name in sys.modules})
"""


def test_pages_load_no_model_and_nothing_slow(database: Path, projection: Projection) -> None:
    Migrator(database).migrate_collection("thought_nodes", projection)  # with a backup, a history and two pictures
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(database)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.rpartition("loaded:")[2].split())
    assert "starlette" in loaded
    assert loaded.isdisjoint(SLOW), loaded & SLOW
