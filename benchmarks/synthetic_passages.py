"""As many texts as wanted, with vectors that lie as a real encoder's do: `Passages(1024, 40).take(first, end)`.

Random vectors are no stand-in for embeddings: among them everything is about as far away as everything else, so that
an index is asked to tell apart what no search would (`results/index_graph_reuse.md`). These come from an encoder that a
package carries, of passages that are about something: each is some sentences of the packaged corpus that are much
alike.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from other_models import Vectors, wordllama

from lightmigrate.training.corpus import packaged_corpus

# Sentences that a passage is made of are chosen from so many, those most like a random one.
ALIKE = 40
SEED = 0


class Passages:
    """An endless collection, the same whenever it is asked for.

    Args:
        dimension: numbers of a vector; the encoder's own are carried into so many without changing a distance.
        words: about how many words a passage has.
    """

    def __init__(self, dimension: int, words: int) -> None:
        self._sentences = packaged_corpus()
        vectors = wordllama(self._sentences)
        self._alike = _most_alike(vectors)
        self._together = max(1, round(words / float(np.mean([text.count(" ") + 1 for text in self._sentences]))))
        frame = np.random.default_rng(SEED).standard_normal((dimension, vectors.shape[1]))
        self._frame = np.linalg.qr(frame)[0].T.astype(np.float32)

    def take(self, first: int, end: int) -> tuple[list[str], Vectors]:
        """Passages by number, from `first` on, and their vectors, float32 `(end - first, dimension)` of length 1."""
        texts = [self._passage(number) for number in range(first, end)]
        return texts, np.asarray(wordllama(texts) @ self._frame, dtype=np.float32)

    def _passage(self, number: int) -> str:
        choose = np.random.default_rng([SEED, number])
        about = self._alike[choose.integers(len(self._alike))]
        chosen = choose.choice(about, min(self._together, ALIKE), replace=False)
        return " ".join(self._sentences[row] for row in chosen)


def _most_alike(vectors: Vectors) -> npt.NDArray[np.int64]:
    """For each row of `(n, d)` the rows most like it, itself among them, `(n, ALIKE)`."""
    found = [
        np.argpartition(-(vectors[start : start + 1000] @ vectors.T), ALIKE, axis=1)[:, :ALIKE]
        for start in range(0, len(vectors), 1000)
    ]
    return np.concatenate(found)
