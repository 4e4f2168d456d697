"""Make the demo's data: `python benchmarks/build_demo.py DATA_DIR PACKAGES_DIR` writes `lightmigrate/demo/data/`.

DATA_DIR holds `scifact/` with `docs.jsonl`, `queries.jsonl`, `qrels.jsonl` and, for the models
`potion-8m` and `minilm-l6`, `MODEL/docs.npy` and `MODEL/queries.npy` (row i belongs to line i).

The demo's collection is made of every abstract with a human judgement and others drawn at random. The
packaged projection is fitted to all abstracts that are *not* in the collection, so that what the demo prints of it is
about documents and searches it has never seen.

Then the demo runs once with all-MiniLM-L6-v2 itself, and what it is asked for beside abstracts and claims (sentences,
extracts, single words) is recorded in `minilm.npz`, rounded to 15 values for each number, which take 4 bits in the
file. Do that again whenever the demo asks for other texts, because sampling, extracts, words or budgets changed: with
`--only-recording`, which does not read DATA_DIR. It needs `sentence-transformers` (with torch) installed; the weights
are fetched to PACKAGES_DIR as a package (`general/models.py`), where a cache keeps what was embedded. It took about two
minutes of one processor.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from corpora import read_lines
from general.models import MINILM, PackagedModel

import lightmigrate
from lightmigrate.demo.data import load_corpus
from lightmigrate.demo.demo import Demo
from lightmigrate.demo.replay import Recording, ReplayedModel
from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.vectors import Vectors

SEED = 0
COLLECTION_SIZE = 1200
OLD = lightmigrate.Model("potion-base-8M", 256, provider="model2vec")
NEW = lightmigrate.Model("all-MiniLM-L6-v2", 384, provider="sentence-transformers")
FOLDERS = {OLD.name: "potion-8m", NEW.name: "minilm-l6"}
OUTPUT = Path(lightmigrate.__file__).parent / "demo" / "data"


def main() -> None:
    """Write what was asked for."""
    parser = argparse.ArgumentParser(description="Make the demo's data.")
    parser.add_argument("data", type=Path)
    parser.add_argument("packages", type=Path)
    parser.add_argument("--only-recording", action="store_true")
    given = parser.parse_args()
    if not given.only_recording:
        write_corpus(given.data)
    write_recording(Cached(PackagedModel(MINILM, given.packages), given.packages / "embeddings.sqlite3"))


def write_corpus(data: Path) -> None:
    """Write `scifact.npz` and `potion_to_minilm.npz`."""
    corpus = data / "scifact"
    documents, queries = read_lines(corpus / "docs.jsonl"), read_lines(corpus / "queries.jsonl")
    document_rows = {document["id"]: row for row, document in enumerate(documents)}
    query_rows = {query["id"]: row for row, query in enumerate(queries)}
    judgements = [
        (query_rows[line["query_id"]], document_rows[line["doc_id"]], line["rel"])
        for line in read_lines(corpus / "qrels.jsonl")
    ]

    judged = sorted({row for _, row, _ in judgements})
    others = np.random.default_rng(SEED).permutation(np.setdiff1d(np.arange(len(documents)), judged))
    shown = np.sort(np.concatenate([judged, others[: COLLECTION_SIZE - len(judged)]]))
    fitted = np.setdiff1d(np.arange(len(documents)), shown)
    place = {int(row): index for index, row in enumerate(shown)}
    relevant: list[dict[int, float]] = [{} for _ in queries]
    for query, row, grade in judgements:
        relevant[query][place[row]] = grade

    vectors = {name: np.load(corpus / folder / "docs.npy").astype(np.float32) for name, folder in FOLDERS.items()}
    asked = {name: np.load(corpus / folder / "queries.npy").astype(np.float32) for name, folder in FOLDERS.items()}
    projection = lightmigrate.fit(
        vectors[OLD.name][fitted],
        vectors[NEW.name][fitted],
        method="ridge",  # a word table for a whole language would be larger than the rest of the package
        source_model=OLD,
        target_model=NEW,
    )
    kept = lightmigrate.measure_retention(
        old_queries=asked[OLD.name],
        new_queries=asked[NEW.name],
        old_documents=vectors[OLD.name][shown],
        new_documents=vectors[NEW.name][shown],
        migrated_documents=projection.apply(vectors[OLD.name][shown]),
        relevant=relevant,
    )
    projection.with_facts(
        training={"corpus": "SciFact abstracts (ODC-By 1.0) outside the demo"},
        quality={"corpus": "the demo's SciFact abstracts, none of them fitted to", **kept.to_json()},
    ).save(OUTPUT / "potion_to_minilm.npz")

    texts = {
        "documents": [{"id": documents[row]["id"], "text": documents[row]["text"]} for row in shown],
        "queries": [query["text"] for query in queries],
    }
    np.savez_compressed(
        OUTPUT / "scifact.npz",
        texts=np.frombuffer(json.dumps(texts, ensure_ascii=False).encode(), np.uint8),
        relevant=np.array([(query, place[row], grade) for query, row, grade in judgements], np.int32),
        old_documents=vectors[OLD.name][shown].astype(np.float16),
        new_documents=vectors[NEW.name][shown].astype(np.float16),
        old_queries=asked[OLD.name].astype(np.float16),
        new_queries=asked[NEW.name].astype(np.float16),
    )
    print(f"{len(shown)} abstracts shown, {len(fitted)} fitted to; re-embedding {kept.reembedded}")
    print(f"retention {kept.retention}, doing nothing {kept.nothing_retention}, gain {kept.gain}")


class Recorder(ReplayedModel):
    """The model itself, behind what it embedded already; it gives what the recording will give."""

    def __init__(self, inner: Provider) -> None:
        corpus = load_corpus()
        nothing = Recording.of([], np.empty((0, NEW.dimension), np.float32))
        vectors = np.concatenate([corpus.new_documents, corpus.new_queries])
        super().__init__(NEW.name, [*corpus.documents, *corpus.queries], vectors, nothing)
        self._inner = inner
        self.texts: list[str] = []
        self.embedded: list[Vectors] = []

    def encode(self, texts: Sequence[str], queries: bool = False) -> Vectors:
        """Embed what is not known yet."""
        if missing := [text for text in dict.fromkeys(texts) if not self.knows(text)]:
            vectors = self._inner.embed(missing)
            self.texts += missing
            self.embedded.append(vectors)
            self.add(Recording.of(missing, vectors))
        return super().encode(texts, queries)


def write_recording(model: Provider) -> None:
    """Run the demo with the model itself, and write `minilm.npz`."""
    recorder = Recorder(model)
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(Path(folder), model=recorder)
        demo.build()
        curve = demo.measure_curve()
        demo.migrate(demo.choose(curve))
        kept = demo.measure()
        demo.refine()
    vectors = np.concatenate(recorder.embedded)
    recording = Recording.of(recorder.texts, vectors)
    np.savez_compressed(OUTPUT / "minilm.npz", **recording.arrays())  # type: ignore[arg-type]
    cosines = np.sum(vectors * recording.vectors, axis=1) / np.linalg.norm(recording.vectors, axis=1)
    print(
        f"{len(vectors)} texts recorded; cosine of what was rounded {cosines.mean():.5f}, at least {cosines.min():.5f}"
    )
    print(f"kept {kept.retention}, doing nothing {kept.nothing_retention}, kinds of extracts {curve.extract_kinds}")


if __name__ == "__main__":
    main()
