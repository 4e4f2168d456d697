"""Makes the files that version 0.1.0 left behind, with its own code, and writes `files.tar.xz` beside itself.

Run it in a checkout of commit da9d310 (`PYTHONPATH=. python PATH/make.py`); the names are those of then:

- `linear.npz`, `linear.onnx`, `words.npz`, `first_words.npz`: projections; `registry`: the first of them with its card;
- `unmigrated` and `plan.json`: a database, and a plan for it that was not carried out;
- `migrated`: a database that a projection was applied to, with its backup;
- `planned`: one that was migrated by the plan, of which 10 more rows were embedded;
- `building`: one whose migration was killed while it wrote the new vectors;
- `exchanging`: one whose migration was killed when all was ready for the exchange, and announced.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

ROWS, FEW, WORDS = 120, 40, 40
STEPS = ("building", "exchanging")


def main() -> None:
    """Make all of it."""
    then: Any = importlib.import_module("lightmigrate")  # what checks types knows today's only
    cache: Any = importlib.import_module("lightmigrate.providers.cache")
    chroma: Any = importlib.import_module("lightmigrate.providers.chroma")
    stores: Any = importlib.import_module("lightmigrate.stores.chroma")
    base: Any = importlib.import_module("lightmigrate.stores.base")
    encoders: Any = importlib.import_module("tests.encoders")
    demo: Any = importlib.import_module("lightmigrate.demo.data")

    texts = [" ".join(text.split()[:WORDS]) for text in demo.load_corpus().documents[:ROWS]]
    old, new = (encoders.shared_wordllama(dimension).embed(texts) for dimension in (64, 128))
    named = {"source_model": then.Model("old", 64), "target_model": then.Model("test-wordllama-128", 128)}

    def build(folder: Path) -> Path:
        with stores.open_client(folder) as client:
            notes = client.create_collection(
                "notes", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
            )
            ids, metadatas = [f"n{row}" for row in range(ROWS)], [{"row": row} for row in range(ROWS)]
            notes.add(ids=ids, documents=texts, embeddings=old, metadatas=metadatas)
        return folder

    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        linear = then.fit(old, new, method="ridge", **named)
        linear.save(place / "linear.npz")
        linear.export_onnx(place / "linear.onnx")
        few, first = texts[:FEW], [" ".join(text.split()[:8]) for text in texts[:FEW]]
        beginnings = then.Beginnings(8, encoders.shared_wordllama(128).embed(first))
        then.fit(old[:FEW], new[:FEW], few, method="lexical", **named).save(place / "words.npz")
        then.fit(old[:FEW], new[:FEW], few, beginnings=beginnings, **named).save(place / "first_words.npz")
        then.Registry(place / "registry").add(linear, "old_to_new.npz")

        unmigrated = build(place / "unmigrated" / "db")
        function = encoders.WordLlamaFunction(128)
        provider = cache.Cached(chroma.ChromaProvider(function), place / "cache.sqlite3")
        curve = then.curve_of(unmigrated, "notes", provider, samples=20, lengths=[8], token_share=0.9)
        plan = then.BudgetPlan.of(base.Address("notes"), curve, curve.within(0.9 * curve.census.tokens))
        plan.save(place / "plan.json")

        migrated = then.ChromaMigrator(build(place / "migrated" / "db"))
        migrated.migrate_collection("notes", place / "linear.npz", embedding_function=function)

        planned = build(place / "planned" / "db")
        then.migrate_by_plan(then.ChromaMigrator(planned), plan, provider, force=True)
        then.refine(planned, "notes", provider, documents=10)

        for step in STEPS:
            database = build(place / step / "db")
            command = [sys.executable, __file__, step, str(database), str(place / "linear.npz")]
            assert subprocess.run(command).returncode == -signal.SIGKILL

        provider.close()
        (place / "cache.sqlite3").unlink()
        with tarfile.open(Path(__file__).with_name("files.tar.xz"), "w:xz") as archive:
            for path in sorted(place.iterdir()):
                archive.add(path, path.name)


def be_killed(step: str, database: Path, projection: Path) -> None:
    """A migration that kills its process."""
    then: Any = importlib.import_module("lightmigrate")
    workspace: Any = importlib.import_module("lightmigrate.migration.folder.workspace").Workspace
    write = workspace.write_journal

    def kill_while_building(progress: Any) -> None:
        if step == "building" and progress.step == "write":
            os.kill(os.getpid(), signal.SIGKILL)

    def write_and_kill(self: Any, intention: Any) -> None:
        write(self, intention)
        if intention.exchanging:
            os.kill(os.getpid(), signal.SIGKILL)

    workspace.write_journal = write_and_kill
    then.ChromaMigrator(database, page_size=50, on_progress=kill_while_building).migrate_collection("notes", projection)


if __name__ == "__main__":
    if sys.argv[1:]:
        be_killed(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
