"""Ideas for better projections where it is hard: `python benchmarks/ideas.py DATA_DIR CACHE_DIR CORPUS …`.

DATA_DIR is in the layout of `corpora.py`; the old model is wordllama, the new one all-MiniLM-L6-v2 in 8 bits, which
packages carry. Words go through a cache in CACHE_DIR. Every idea is one fit, as `lexical` is fitted (`ideas_fit.py`),
with other similarities or a term beside it; `today` is what the package does. No choice was made by the judgements that
are reported: shares and widths are chosen by leave-one-out error, and `gate` is what the package would choose by.

- `words`: tokens of the words whose vectors are used, as a share of embedding everything;
- `kept`: nDCG@10 of the documents that were not fitted to, as a share of embedding everything;
- `overlap`: of the first ten, how many are those that embedding everything finds;
- `gate`: the overlap of held-out predictions among the pairs, which needs no judgements;
- `error`: squared error of the pairs left out, as a share of the variance;
- `seconds`: of the processor, for the fit and for projecting the corpus.

`today, more documents` has as many more pairs as the tokens of `full words, once too` buy. Appends to
`results/ideas.jsonl`, skips what stands there, and writes `results/ideas.md` from it.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import statistics
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from corpora import Corpus, Rows, Vectors
from field.models import open_model
from ideas_fit import Matrix, Prediction, Similarity, mean_square, predict
from ideas_student import Student

from lightmigrate.estimators.arrays import as_float32
from lightmigrate.estimators.choose import HeldOutSearch
from lightmigrate.estimators.lengths import extended_from
from lightmigrate.projection.terms.lexical import rarity
from lightmigrate.projection.terms.words import STEM_LETTERS, words_of
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.metrics import unit
from lightmigrate.training.request import tokens_of

OLD, NEW = "wordllama", "minilm-int8"
RESULTS = Path(__file__).parent / "results"
SIZES, KEYS = (300, 1000), ("corpus", "idea", "pairs", "seed")
GRAM_LETTERS, HASHED_GRAMS, SHARPNESS = (3, 4, 5), 4096, 4.0
MORE = "today, more documents"


class Terms:
    """One way to take all documents of a corpus apart, with the weights of what they are made of.

    Attributes:
        names: the words, stems or pairs, in alphabetical order.
        counts: in how many documents each is.
        weights: TF-IDF as the lexical term has it, `(n, names)`, rows of length 1.
    """

    def __init__(self, documents: Sequence[Sequence[str]], fewest: int = 2, power: float = 1.0) -> None:
        counted = [Counter(document) for document in documents]
        found = Counter(name for counts in counted for name in counts)
        most = max(2, len(documents) / 2)
        self.names = sorted(name for name, count in found.items() if fewest <= count <= most)
        self.counts = np.array([found[name] for name in self.names], dtype=np.float64)
        place = {name: column for column, name in enumerate(self.names)}
        self.weights: Vectors = np.zeros((len(documents), len(place)), dtype=np.float32)
        for row, counts in enumerate(counted):
            for name in counts.keys() & place.keys():
                self.weights[row, place[name]] = 1 + np.log(counts[name])
        self.weights *= rarity(self.counts, len(documents)) ** np.float32(power)
        self.weights /= np.maximum(np.linalg.norm(self.weights, axis=1, keepdims=True), 1e-12)


class Case:
    """A corpus, and what the ideas are made of."""

    def __init__(self, corpus: Corpus, provider: Cached) -> None:
        self.corpus, self.provider = corpus, provider
        self.documents = [words_of(text) for text in corpus.texts]
        self.old = corpus.documents[OLD] - corpus.documents[OLD].mean(axis=0)
        self.new: Matrix = corpus.documents[NEW].astype(np.float64)
        self.tokens = tokens_of(provider, corpus.texts)

    @functools.cached_property
    def stems(self) -> Terms:
        """As the package has them."""
        return Terms([[word[:STEM_LETTERS] for word in words] for words in self.documents])

    @functools.cached_property
    def full(self) -> Terms:
        """Whole words that are in two documents at least."""
        return Terms(self.documents)

    @functools.cached_property
    def once(self) -> Terms:
        """Whole words, also those that are in one document only."""
        return Terms(self.documents, fewest=1)

    def words_of_stems(self, stems: Sequence[str]) -> list[str]:
        """The most frequent word of each stem."""
        found = Counter(word for words in self.documents for word in set(words))
        best: dict[str, str] = {}
        for word in sorted(found):
            stem = word[:STEM_LETTERS]
            if stem not in best or found[word] > found[best[stem]]:
                best[stem] = word
        return [best[stem] for stem in stems]

    def vectors(self, words: Sequence[str]) -> Vectors:
        """The new model's, centred."""
        embedded = np.asarray(self.provider.embed(list(words)), dtype=np.float32)
        return np.asarray(embedded - embedded.mean(axis=0))

    def share(self, words: Sequence[str]) -> float:
        """Their tokens, as a share of embedding everything."""
        return tokens_of(self.provider, list(words)) / self.tokens

    def vectors_only(self) -> list[Similarity]:
        """The similarities of the old vectors."""
        return [Similarity("linear", self.old), Similarity("gaussian", self.old, is_gaussian=True)]

    def usual(self, terms: Terms, meanings: Vectors) -> list[Similarity]:
        """With words, and the weighted sums of their vectors."""
        words = Similarity("words", terms.weights, is_centred=False)
        return [*self.vectors_only(), words, Similarity("meanings", meanings)]


Made = tuple[list[Similarity], float]


def today(case: Case) -> Made:
    """Stems of five letters, each with the vector of its most frequent word."""
    words = case.words_of_stems(case.stems.names)
    return case.usual(case.stems, case.stems.weights @ case.vectors(words)), case.share(words)


def stems_once(case: Case) -> Made:
    """Stems that are in one document only have vectors too."""
    terms = Terms([[word[:STEM_LETTERS] for word in words] for words in case.documents], fewest=1)
    words = case.words_of_stems(terms.names)
    return case.usual(case.stems, terms.weights @ case.vectors(words)), case.share(words)


def full_words(case: Case) -> Made:
    """Words are not cut to stems."""
    return case.usual(case.full, case.full.weights @ case.vectors(case.full.names)), case.share(case.full.names)


def full_once(case: Case) -> Made:
    """Words are not cut, and those in one document only have vectors too."""
    return case.usual(case.full, case.once.weights @ case.vectors(case.once.names)), case.share(case.once.names)


def composed(case: Case) -> Made:
    """The same, but words in one document only are not embedded: their letters tell their vectors, by ridge."""
    embedded, rest = case.full.names, sorted(set(case.once.names) - set(case.full.names))
    known, letters = case.vectors(embedded), _letters(embedded)
    weights = np.linalg.solve(letters.T @ letters + np.eye(HASHED_GRAMS, dtype=np.float32), letters.T @ known)
    of_word = dict(zip(embedded, known, strict=True)) | dict(zip(rest, _letters(rest) @ weights, strict=True))
    meanings = case.once.weights @ np.stack([of_word[word] for word in case.once.names])
    return case.usual(case.full, meanings), case.share(embedded)


def rarer_more(case: Case) -> Made:
    """Rare words weigh more in the sums: by the square of their rarity."""
    terms = Terms(case.documents, fewest=1, power=2.0)
    return case.usual(case.full, terms.weights @ case.vectors(terms.names)), case.share(terms.names)


def bigrams(case: Case) -> Made:
    """Pairs of neighbouring words beside whole words."""
    pairs = Terms([[f"{a} {b}" for a, b in itertools.pairwise(words)] for words in case.documents])
    similarities, share = full_once(case)
    return [*similarities, Similarity("bigrams", pairs.weights, is_centred=False)], share


def letters(case: Case) -> Made:
    """Hashed parts of words, of three to five letters, beside whole words."""
    hashed: Vectors = np.stack(
        [_letters(words).sum(axis=0) if words else _letters([""])[0] for words in case.documents]
    )
    hashed *= np.log(len(hashed) / np.maximum(1, (hashed > 0).sum(axis=0))).astype(np.float32)
    similarities, share = full_once(case)
    return [*similarities, Similarity("letters", np.asarray(unit(hashed)), is_centred=False)], share


def together(case: Case) -> Made:
    """A Gaussian kernel over old vector and words together: what nearby embedded documents lack, locally."""
    similarities, share = today(case)
    meanings = similarities[-1].features
    around = meanings - meanings.mean(axis=0)
    both = np.hstack([case.old / mean_square(case.old) ** 0.5, around / mean_square(around) ** 0.5])
    return [*similarities, Similarity("together", both.astype(np.float32), is_gaussian=True)], share


def nonlinear_words(case: Case) -> Made:
    """A Gaussian kernel over the words' sums."""
    similarities, share = today(case)
    return [*similarities, Similarity("words' gaussian", similarities[-1].features, is_gaussian=True)], share


IDEAS: Mapping[str, Callable[[Case], Made]] = {
    "today": today,
    "stems, once too": stems_once,
    "full words": full_words,
    "full words, once too": full_once,
    "full words, once too by their letters": composed,
    "full words, once too, rarer ones more": rarer_more,
    "… and bigrams": bigrams,
    "… and letters": letters,
    "today, and a kernel over vector and words together": together,
    "today, and a kernel over words": nonlinear_words,
}


def attention(case: Case, made: Made, first: Prediction, own: Rows, seed: int) -> Prediction:
    """A second fit, with sums in which a word counts more the nearer it is to what the first fit predicts."""
    terms, queries = case.stems, unit(_around(first.vectors, own))
    vectors = case.vectors(case.words_of_stems(terms.names))
    near = np.exp(SHARPNESS * (queries @ unit(vectors).T)) * terms.weights
    near /= np.maximum(near.sum(axis=1, keepdims=True), 1e-12)
    return predict([*made[0], Similarity("attention", near.astype(np.float32) @ vectors)], own, case.new, seed)


def neighbours(case: Case, made: Made, first: Prediction, own: Rows, seed: int) -> Prediction:
    """A second fit, with a Gaussian kernel over what the first fit predicts: residuals of the nearest in that space."""
    projected = Similarity("projected", np.asarray(unit(_around(first.vectors, own))), is_gaussian=True)
    return predict([*made[0], projected], own, case.new, seed)


def student(case: Case, made: Made, first: Prediction, own: Rows, seed: int) -> Prediction:
    """See `ideas_student.py`."""
    started = time.process_time()
    vectors = case.vectors(case.words_of_stems(case.stems.names))
    learner = Student.of(case.stems.weights, vectors, first.vectors.astype(np.float32), own)
    learned = learner.learn(own, case.new.astype(np.float32), seed)
    seconds = first.seconds + time.process_time() - started
    return Prediction(learned.astype(np.float64), float("nan"), seconds)


SECOND: Mapping[str, Callable[[Case, Made, Prediction, Rows, int], Prediction]] = {
    "today, then attention by the projection": attention,
    "today, then a kernel over the projections": neighbours,
    "today, then a student with attention": student,
}


def main() -> None:
    """Measure what is missing, and write the tables of all that was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("corpora", nargs="*")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    every = (*IDEAS, MORE, *SECOND)
    parser.add_argument("--ideas", nargs="+", default=every, choices=every, help="only these")
    options = parser.parse_args()
    file = RESULTS / "ideas.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    done = {tuple(json.loads(line)[key] for key in KEYS) for line in lines}
    provider = Cached(open_model(NEW, options.data / "packages"), options.cache / f"{NEW}.sqlite3")
    for name in options.corpora:
        case = Case(Corpus(options.data / name), provider)
        for seed in options.seeds:
            for pairs in options.sizes:
                for row in measured(case, pairs, seed, options.ideas, done):
                    with file.open("a") as stream:
                        stream.write(json.dumps(row) + "\n")
                    print(row, flush=True)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.with_suffix(".md").write_text(table(rows))


def measured(case: Case, pairs: int, seed: int, ideas: Sequence[str], done: set[Any]) -> Any:
    """A row for each of these ideas not in `done`; predictions are extended from the mean, as in the package."""
    own, held_out = case.corpus.split(pairs, seed)
    names = [name for name in ideas if (case.corpus.name, name, pairs, seed) not in done]
    if not names:
        return
    start = today(case)
    first = predict(start[0], own, case.new, seed)
    for name in names:
        fitted, made, outside = own, start, held_out
        if name == MORE:
            more = round((case.share(case.once.names) - start[1]) * case.corpus.size)
            fitted, outside = case.corpus.split(pairs + more, seed)
            found = predict(start[0], fitted, case.new, seed)
        elif name in SECOND:
            found = SECOND[name](case, start, first, own, seed)
        else:
            made = IDEAS[name](case)
            found = first if name == "today" else predict(made[0], own, case.new, seed)
        vectors = as_float32(extended_from(case.new[fitted].mean(axis=0), found.vectors))
        kept = case.corpus.measure(OLD, NEW, vectors, outside)
        row = {"corpus": case.corpus.name, "idea": name, "pairs": pairs, "seed": seed, "words": made[1]}
        row["nothing"], row["kept"] = kept.nothing_retention.value, kept.retention.value
        row["overlap"], row["error"], row["seconds"] = kept.overlap, found.error, found.seconds
        row["gate"] = float(HeldOutSearch(case.new[fitted], seed).overlaps(vectors[fitted]).mean())
        yield {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """As Markdown: means over seeds, ± their standard deviation where there are several."""
    columns = ("words", "kept", "overlap", "gate", "error", "seconds")
    lines = ["# Ideas for better projections where it is hard", (__doc__ or "").partition("\n")[2].strip()]
    for corpus, pairs in dict.fromkeys((row["corpus"], row["pairs"]) for row in rows):
        own = [row for row in rows if (row["corpus"], row["pairs"]) == (corpus, pairs)]
        nothing, seeds = statistics.mean(row["nothing"] for row in own), len({row["seed"] for row in own})
        lines += [
            "",
            f"## {corpus}, {pairs:,} pairs, {seeds} seed{'s' * (seeds > 1)} (doing nothing {nothing:.3f})",
            "",
        ]
        lines += [f"| idea | {' | '.join(columns)} |", f"|---|{'--:|' * len(columns)}"]
        for idea in dict.fromkeys(row["idea"] for row in own):
            runs = [row for row in own if row["idea"] == idea]
            mean = {column: statistics.mean(row[column] for row in runs) for column in columns}
            spread = f" ± {statistics.pstdev(row['kept'] for row in runs):.3f}" if len(runs) > 1 else ""
            cells = [f"{mean['words']:.1%}", f"**{mean['kept']:.3f}**{spread}"]
            cells += [f"{mean[column]:.3f}" if mean[column] == mean[column] else "–" for column in columns[2:5]]
            lines.append(f"| {idea} | {' | '.join(cells)} | {mean['seconds']:.1f} |")
    notes = RESULTS / "ideas_notes.md"
    if notes.exists():
        lines += ["", notes.read_text().strip()]
    return "\n".join(lines) + "\n"


def _letters(words: Sequence[str]) -> Vectors:
    """Hashed parts of each word, `(n, HASHED_GRAMS)`, rows of length about 1."""
    output = np.zeros((len(words), HASHED_GRAMS), dtype=np.float32)
    for row, word in enumerate(words):
        marked = f"<{word}>"
        parts = [marked[at : at + size] for size in GRAM_LETTERS for at in range(max(1, len(marked) - size + 1))]
        for part in parts:
            output[row, zlib.crc32(part.encode()) % HASHED_GRAMS] += 1 / len(parts) ** 0.5
    return output


def _around(vectors: Matrix, own: Rows) -> Vectors:
    """Directions from the mean of the pairs."""
    directions = np.asarray(unit(vectors.astype(np.float32)))
    return np.asarray(directions - directions[own].mean(axis=0))


if __name__ == "__main__":
    main()
