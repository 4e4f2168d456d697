"""What an index's graph is worth when it is kept.

`python benchmarks/index_graph_reuse.py DATA_DIR` writes `results/index_graph_reuse.md`.

Databases of 10,000 records are migrated twice, once with the graph kept whatever it finds, once with an index built
anew: real vectors of real texts (`DATA_DIR/pool/MODEL/docs.npy`) by the packaged projections, the passages that the
other benchmarks use, and random vectors, both by a random matrix.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
import throughput
from corpora import read_lines
from other_models import Vectors, unit
from synthetic_passages import Passages

from lightmigrate import ChromaMigrator, CollectionJob, Projection
from lightmigrate.migration.aside import build
from lightmigrate.migration.recall import LOSS
from lightmigrate.registry.library import PACKAGED
from lightmigrate.stores.files import IndexRoute

RESULT = Path(__file__).parent / "results" / "index_graph_reuse.md"
RECORDS = 10_000
RANK = 64  # directions that random vectors vary in
PAIRS = (
    ("minilm-l6", "mpnet-base", "all-MiniLM-L6-v2_to_all-mpnet-base-v2"),
    ("mpnet-base", "minilm-l6", "all-mpnet-base-v2_to_all-MiniLM-L6-v2"),
    ("potion-8m", "minilm-l6", "potion-base-8M_to_all-MiniLM-L6-v2"),
    ("potion-8m", "mpnet-base", "potion-base-8M_to_all-mpnet-base-v2"),
)


def main() -> None:
    """Migrate and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    lines = []
    for name, projection, vectors, texts in cases(parser.parse_args().data):
        with patch.object(build, "LOSS", 1.0):  # a graph is kept whatever it finds
            kept = migrated(projection, vectors, texts, "keep")
        anew = migrated(projection, vectors, texts, "rebuild")
        said = "kept" if kept[1] >= kept[0] - LOSS else "built anew"
        lines.append(f"| {name} | {kept[0]:.3f} | {kept[1]:.3f} | {anew[1]:.3f} | {said} |\n")
        print(lines[-1], end="", flush=True)
    RESULT.write_text(
        f"""# What a kept graph is worth

recall@10 of an index, measured on 200 of {RECORDS:,} records: the share of what is really nearest that a search finds.
Before the migration; after it, with the old index's graph and the new vectors; after it, with an index that was built
anew. `migrate` keeps a graph that finds no more than {LOSS} less than before. Made by
`benchmarks/index_graph_reuse.py`.

| vectors | before | graph kept | built anew | by default it is |
|---|--:|--:|--:|---|
{"".join(lines)}""",
        encoding="utf-8",
    )


def cases(data: Path) -> Iterator[tuple[str, Projection, Vectors, Sequence[str]]]:
    """What to migrate, by name."""
    texts = [line["text"] for line in read_lines(data / "pool" / "docs.jsonl")][:RECORDS]
    for old, new, file in PAIRS:
        vectors = np.load(data / "pool" / old / "docs.npy")[:RECORDS].astype(np.float32)
        yield f"10,000 glosses, {old} → {new}", Projection.load(PACKAGED / f"{file}.npz"), vectors, texts
    _, _, projection = throughput.random_projection(throughput.STORED)
    for words in (40, 200):
        texts, vectors = Passages(throughput.STORED[0], words).take(0, RECORDS)
        yield f"passages of {words} words, 1024 → 768", projection, vectors, texts
    rng = np.random.default_rng(throughput.SEED)
    axes = rng.standard_normal((RANK, throughput.STORED[0]))
    yield "random, 1024 → 768", projection, unit(rng.standard_normal((RECORDS, RANK)) @ axes), texts


def migrated(projection: Projection, vectors: Vectors, texts: Sequence[str], route: IndexRoute) -> tuple[float, float]:
    """recall@10 before and after."""
    with tempfile.TemporaryDirectory() as home:
        database = Path(home) / "database"
        client = throughput.open_client(database)
        collection = throughput.create_collection(client)
        for start in range(0, len(vectors), 1000):
            rows = slice(start, start + 1000)
            ids = [str(row) for row in range(len(vectors))[rows]]
            collection.add(ids=ids, embeddings=vectors[rows], documents=list(texts[rows]))
        client.close()
        job = CollectionJob(throughput.COLLECTION, projection)
        (result,) = ChromaMigrator(database).migrate(
            [job],
            force=True,  # general projections fail the gate
            index=route,
        )
        shutil.rmtree(database)
    found = result.verification
    assert found is not None
    assert found.recall is not None
    assert found.recall_before is not None
    if result.index != route:
        raise SystemExit(f"{route} was asked for, {result.index} was done")
    return found.recall_before, found.recall


if __name__ == "__main__":
    main()
