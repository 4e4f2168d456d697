"""Make the demo's data: `python benchmarks/build_demo.py DATA_DIR` writes `lightmigrate/demo/data/`.

DATA_DIR holds `scifact/` with `docs.jsonl`, `queries.jsonl`, `qrels.jsonl` and, for the models
`potion-8m` and `minilm-l6`, `MODEL/docs.npy` and `MODEL/queries.npy` (row i belongs to line i).

The demo's collection is made of every abstract with a human judgement and others drawn at random. The
projection is fitted to all abstracts that are *not* in the collection, so that every number the demo
prints is about documents and searches the projection has never seen.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from corpora import read_lines

import lightmigrate

SEED = 0
COLLECTION_SIZE = 1200
OLD = lightmigrate.Model("potion-base-8M", 256, provider="model2vec")
NEW = lightmigrate.Model("all-MiniLM-L6-v2", 384, provider="sentence-transformers")
FOLDERS = {OLD.name: "potion-8m", NEW.name: "minilm-l6"}
OUTPUT = Path(lightmigrate.__file__).parent / "demo" / "data"


def main(data: Path) -> None:
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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
