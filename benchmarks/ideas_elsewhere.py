"""What was learned on other collections: `python benchmarks/ideas_elsewhere.py DATA_DIR CACHE_DIR POOL CORPUS …`.

Needs torch. For each CORPUS, from the other corpora of DATA_DIR that have both models' vectors (without its relatives)
and from POOL, the glosses of WordNet with vectors of all-MiniLM-L6-v2:

- `student`: a student of the new model. It adds up vectors of a text's word pieces, each weighed by a factor that is
  learned, and adds a layer of tanh to the sum; it begins with the new model's own vectors of word pieces, and learns by
  the cosine to what the new model makes of whole texts. A twentieth of the texts decides when to stop.
- `prior`: a ridge from the old model's vectors to the new one's, both centred in each corpus, as a projection that a
  registry may hold of another collection.

Both for every text of the corpus go to `CACHE_DIR/elsewhere/CORPUS.npz`, which `ideas.py` reads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from corpora import Corpus, load, read_lines
from onnx import numpy_helper
from tokenizers import Tokenizer

from tests.encoders import minilm_files

OLD, NEW = "wordllama", "minilm-int8"
PIECES, HIDDEN, BATCH, EPOCHS, PATIENCE, RATE = 160, 768, 64, 20, 2, 2e-3
PENALTY = 0.01  # of the ridge, as a share of the mean eigenvalue
Vectors = npt.NDArray[np.float32]


class Student(torch.nn.Module):
    """Weighted sums of word pieces, and a layer: `(n, PIECES)` numbers, 0 for none, to unit vectors `(n, 384)`."""

    def __init__(self, pieces: Vectors) -> None:
        super().__init__()
        count, width = pieces.shape
        self.pieces = torch.nn.EmbeddingBag(count, width, mode="sum", sparse=True)
        self.pieces.weight.data = torch.from_numpy(pieces)
        self.factors = torch.nn.Embedding(count, 1, sparse=True)
        self.factors.weight.data.zero_()
        self.straight = torch.nn.Linear(width, width)
        self.first, self.second = torch.nn.Linear(width, HIDDEN), torch.nn.Linear(HIDDEN, width)
        self.straight.weight.data = torch.eye(width)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """See the class."""
        weights = torch.exp(self.factors(numbers).squeeze(-1)) * (numbers > 0)
        weights = weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-6)
        bag = self.pieces(numbers, per_sample_weights=weights)
        bag = torch.nn.functional.normalize(bag, dim=1)
        return torch.nn.functional.normalize(self.straight(bag) + self.second(torch.tanh(self.first(bag))), dim=1)


def main() -> None:
    """Learn and write, for each corpus that is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("pool", type=Path)
    parser.add_argument("corpora", nargs="+")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer = minilm_files()
    pieces, tokens = word_pieces(model), Tokenizer.from_file(str(tokenizer))
    tokens.no_padding()
    tokens.enable_truncation(PIECES)
    there = sorted(path.parent.parent for path in given.data.glob(f"*/{NEW}/docs.npy"))
    glosses = [line["text"] for line in read_lines(given.pool / "docs.jsonl")]
    of_pool = numbered(glosses, tokens), load(given.pool / "minilm-l6" / "docs.npy")
    for name in given.corpora:
        target = given.cache / "elsewhere" / f"{name}.npz"
        others = [Corpus(path) for path in there if family(path.name) != family(name)]
        if target.exists():
            continue
        started = time.process_time()
        learned = [of_pool, *((numbered(other.texts, tokens), other.documents[NEW]) for other in others)]
        student = taught(pieces, *map(np.concatenate, zip(*learned, strict=True)))
        corpus = Corpus(given.data / name)
        with torch.no_grad():
            found = student(torch.from_numpy(numbered(corpus.texts, tokens))).numpy()
        cosine = float(np.mean(np.sum(found * corpus.documents[NEW], axis=1)))
        target.parent.mkdir(exist_ok=True)
        np.savez(target, student=found, prior=carried(corpus, [other for other in others if OLD in other.documents]))
        seconds = time.process_time() - started
        names = ", ".join(other.name for other in others)
        print(f"{name} from {names}: cosine of the student {cosine:.3f}, {seconds:.0f} s", flush=True)


def family(name: str) -> str:
    """The corpus with its relatives."""
    return name.split("-")[0]


def word_pieces(model: Path) -> Vectors:
    """The new model's own vectors of its word pieces, `(v, 384)`, each of length 1."""
    parts = {part.name: part for part in onnx.load(model).graph.initializer}
    numbers, scale = (
        numpy_helper.to_array(parts[f"inner.embeddings.word_embeddings.weight_{part}"]) for part in ("q", "scale")
    )
    vectors = numbers.astype(np.float32) * scale
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6), dtype=np.float32)


def numbered(texts: Sequence[str], tokens: Tokenizer) -> npt.NDArray[np.int64]:
    """The word pieces of texts, without the marks at their ends: `(n, PIECES)`."""
    found = np.zeros((len(texts), PIECES), dtype=np.int64)
    for row, encoded in enumerate(tokens.encode_batch(list(texts), add_special_tokens=False)):
        found[row, : len(encoded.ids)] = encoded.ids
    return found


def taught(pieces: Vectors, numbers: npt.NDArray[np.int64], target: Vectors) -> Student:
    """A student of so many texts."""
    torch.manual_seed(0)
    student, rng = Student(pieces.copy()), np.random.default_rng(0)
    shuffled = rng.permutation(len(numbers))
    judges, learned = np.split(shuffled, [len(numbers) // 20])
    dense = [*student.straight.parameters(), *student.first.parameters(), *student.second.parameters()]
    steps = [
        torch.optim.SparseAdam([student.pieces.weight, student.factors.weight], lr=RATE),
        torch.optim.AdamW(dense, lr=RATE / 2),
    ]
    everything, truth = torch.from_numpy(numbers), torch.from_numpy(target.astype(np.float32))
    best, kept, since = 0.0, student.state_dict(), 0
    for epoch in range(EPOCHS):
        for batch in np.array_split(rng.permutation(learned), len(learned) // BATCH):
            length = int((numbers[batch] > 0).sum(axis=1).max())
            loss = 1 - (student(everything[batch, :length]) * truth[batch]).sum(dim=1).mean()
            for step in steps:
                step.zero_grad()
            loss.backward()
            for step in steps:
                step.step()
        with torch.no_grad():
            cosine = float((student(everything[judges]) * truth[judges]).sum(dim=1).mean())
        print(f"  after {epoch + 1}: {cosine:.4f}", flush=True)
        if cosine > best:
            best, since = cosine, 0
            kept = {name: value.clone() for name, value in student.state_dict().items()}
        else:
            since += 1
        if since > PATIENCE:
            break
    student.load_state_dict(kept)
    return student


def carried(corpus: Corpus, others: Sequence[Corpus]) -> Vectors:
    """The old vectors of a corpus through a ridge of the others', `(n, d)`, around 0."""
    old, new = (
        np.concatenate([other.documents[model] - other.documents[model].mean(axis=0) for other in others])
        for model in (OLD, NEW)
    )
    products = (old.T @ old).astype(np.float64)
    products += PENALTY * np.trace(products) / len(products) * np.eye(len(products))
    weights = np.linalg.solve(products, (old.T @ new).astype(np.float64))
    own = corpus.documents[OLD]
    return np.asarray((own - own.mean(axis=0)) @ weights, dtype=np.float32)


if __name__ == "__main__":
    main()
