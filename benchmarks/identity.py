"""How often `identify` and `find_mixture` are right: `python benchmarks/identity.py --data DATA_DIR [--variants DIR]`.

DATA_DIR as in `corpora.py`; the second folder is what `encode_variants.py` made of it. The thresholds were chosen on
the datasets without judgements (`pool`) and on other samples of the others (seed 0). Writes `results/identity.md`; with
`--mixtures` only its part on `find_mixture`.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from corpora import Rows, Vectors, load, read_lines
from other_models import bag_of_words, fitted, principal, quantised, rotated, same_dimension, wordllama

from lightmigrate.quality.identity import identify
from lightmigrate.quality.mixture import find_mixture

RESULTS = Path(__file__).parent / "results"
SIZES = (20, 50, 100, 500)
MIXED_SIZES = (60, 100, 200, 500, 1000)
SIZE_OF_VARIANTS = 200
SHARES = (0.05, 0.1, 0.2, 0.5)
SEEDS = 3
FIRST_SEED = 100  # what was looked at while thresholds were chosen is not reported

# What `encode_variants.py` makes, and what it should be called. A part of a short text may be the text itself.
VARIANTS = {
    "8 bits": ("8-bit weights", {"variant"}),
    "prefix passage": ("prefix “passage: ”", {"variant"}),
    "prefix instruction": ("an instruction as prefix", {"variant"}),
    "header": ("a header before the text", {"variant"}),
    "first 60 words": ("the first 60 words", {"variant", "same"}),
    "first sentence": ("the first sentence", {"variant", "texts", "same"}),
    "second half": ("the second half", {"variant", "texts"}),
    "layer 0": ("the same network's layer 0", {"other"}),
    "layer 3": ("the same network's layer 3", {"other"}),
    "first token": ("the same network's first token", {"other", "texts"}),
}

BOUND_OF_MEANS = "The bound on the means was chosen on other samples of all."
WITHOUT_VARIANTS = "Other layers of one network, which were not told apart before, were not measured this time."
MIXTURES = "## From the vectors alone: `find_mixture`"

Lines = dict[tuple[str, str, str], dict[object, Counter[str]]]


class Bench:
    """All vectors, by dataset and model."""

    def __init__(self, data: Path, variants: Path | None) -> None:
        self.variants = variants
        self.texts, self.held = {}, {}
        for folder in sorted(path.parent for path in data.glob("*/docs.jsonl")):
            self.texts[folder.name] = [line["text"] for line in read_lines(folder / "docs.jsonl")]
            self.held[folder.name] = {p.parent.name: load(p) for p in sorted(folder.glob("*/docs.npy"))}
            self.held[folder.name]["wordllama"] = wordllama(self.texts[folder.name])
        self.development = {name for name in self.texts if not (data / name / "qrels.jsonl").exists()}

    def half(self, corpus: str) -> str:
        """Where what is measured on a dataset counts."""
        return "development" if corpus in self.development else "held out"

    def usable(self, corpus: str) -> Rows:
        """Documents with a text."""
        return np.array([row for row, text in enumerate(self.texts[corpus]) if text.strip()])


def identities(bench: Bench) -> Lines:
    """Every kind of stored vectors at every sample size: how often which verdict."""
    lines: Lines = {}

    def note(key: tuple[str, str], wanted: set[str], column: object, verdict: str) -> None:
        cells = lines.setdefault((*key, " or ".join(sorted(wanted))), {})
        cells.setdefault(column, Counter())[verdict] += 1

    for corpus, models in bench.held.items():
        half, rng = bench.half(corpus), np.random.default_rng(FIRST_SEED)
        for model, new in models.items():
            d = new.shape[1]
            for seed in range(SEEDS):
                for size in SIZES:
                    rows = rng.choice(bench.usable(corpus), size, replace=False)
                    fresh = new[rows]
                    others = {name: same_dimension(v[rows], d) for name, v in models.items() if name != model}
                    others["a rotation of it"] = rotated(fresh, FIRST_SEED + seed)
                    moved = fresh[np.roll(np.arange(size), 1)]

                    def ask(what: str, wanted: set[str], stored: Any) -> None:
                        note((half, what), wanted, size, identify(stored, fresh).verdict)  # noqa: B023

                    ask("16-bit numbers", {"same"}, fresh.astype(np.float16).astype(np.float32))
                    ask("8-bit numbers, other lengths", {"same"}, quantised(fresh) * _lengths(rng, size))
                    ask("1-bit numbers", {"variant"}, np.sign(fresh))
                    ask("vectors of other documents", {"texts"}, moved)
                    for share in (0.1, 0.3):
                        edited = np.where(_some(rng, size, share), moved, fresh)
                        ask(f"{share:.0%} of the documents replaced since", {"same"}, edited)
                    for name, foreign in others.items():
                        ask("a rotation of it" if "rotation" in name else "another model", {"other"}, foreign)
                        for share in (0.05, 0.1, 0.3, 0.5):
                            mixed = np.where(_some(rng, size, share), foreign, fresh)
                            ask(f"{share:.0%} of another model", {"mixed"}, mixed)
        if bench.variants is None:
            continue
        made = np.load(bench.variants / f"{corpus}.npz")
        for name, (what, wanted) in VARIANTS.items():
            for _ in range(SEEDS):
                for size in SIZES:
                    rows = rng.choice(len(made["rows"]), min(size, len(made["rows"])), replace=False)
                    note((half, what), wanted, size, identify(made[name][rows], made["plain"][rows]).verdict)
    return lines


def mixtures(bench: Bench, half: str) -> Iterator[tuple[str, str, object, str, float]]:
    """One sample after the other: whether it is mixed, what it is, its size, what was found, rows in the wrong part."""
    corpora = [name for name in bench.held if bench.half(name) == half]
    for size in MIXED_SIZES:
        for seed in range(FIRST_SEED, FIRST_SEED + (2 if size <= 500 else 1)):
            rng = np.random.default_rng(seed)
            for corpus in corpora:
                for model, documents in bench.held[corpus].items():
                    x = documents[bench.usable(corpus)]
                    d = x.shape[1]
                    if len(x) < size:
                        continue
                    yield ("one model", "one corpus", size, *_found(_pick(rng, x, size), None))
                    yield ("one model", "any lengths", size, *_found(_pick(rng, x, size) * _lengths(rng, size), None))
                    for short in (64, 128):
                        first = same_dimension(_pick(rng, x, size), short)
                        yield ("one model", f"its first {short} numbers", size, *_found(first, None))
                    doubled = _pick(rng, _pick(rng, x, size // 4), size, again=True)
                    yield ("one model", "each row four times", size, *_found(doubled, None))
                    words = bag_of_words([bench.texts[corpus][row] for row in bench.usable(corpus)], d)
                    yield ("one model", "a bag of words", size, *_found(_pick(rng, words, size), None))
                    for corpus2 in bench.held:
                        there = bench.held[corpus2]
                        ready = {name: held[bench.usable(corpus2)] for name, held in there.items()}
                        for share in SHARES:
                            few = int(size * share)
                            elsewhere = {model, str(rng.choice(list(ready)))}  # all models there would take hours
                            for name, held in ready.items():
                                if len(held) < few or (name == model and corpus2 == corpus):
                                    continue
                                if corpus2 != corpus and name not in elsewhere:
                                    continue
                                other = same_dimension(_pick(rng, held, few), d)
                                what = ("one model", "two corpora") if name == model else ("mixed", f"{share:.0%}")
                                yield (*what, size, *_found(_pick(rng, x, size - few), other))
                    for share in SHARES:
                        few = int(size * share)
                        turned = rotated(_pick(rng, x, few), seed)
                        yield ("mixed", f"{share:.0%}", size, *_found(_pick(rng, x, size - few), turned))
                    for name, held in bench.held[corpus].items():
                        if name == model or size != 500:
                            continue
                        old = held[bench.usable(corpus)]
                        few = size // 5
                        mapped = fitted(_pick(rng, old, few), old, x)
                        yield ("one model", "a fifth migrated", size, *_found(_pick(rng, x, size - few), mapped))
                        if d <= min(len(x), old.shape[1]):
                            both = [principal(_pick(rng, one, max(few, d)), d) for one in (x, old)]
                            yield ("mixed", "both by principal components", size, *_found(both[0], both[1][:few]))
            if bench.variants is not None and size == SIZE_OF_VARIANTS:
                for corpus in corpora:
                    made = np.load(bench.variants / f"{corpus}.npz")
                    for name in ("layer 0", "layer 3", "first token", "prefix passage", "8 bits"):
                        rows = rng.permutation(len(made["rows"]))[:size]
                        one, other = made["plain"][rows[40:]], made[name][rows[:40]]
                        truth = "one model" if name in ("prefix passage", "8 bits") else "mixed"
                        yield (truth, f"a fifth of it {VARIANTS[name][0]}", size, *_found(one, other))


def _found(one: Any, other: Any) -> tuple[str, float]:
    rows = one if other is None else np.concatenate([one, other])
    mixture = find_mixture(rows)
    if mixture is None:
        return "one", float("nan")
    labels, truth = np.array(mixture.labels), np.arange(len(rows)) >= len(one)
    wrong = min(float(np.mean(truth != (labels > 0))), float(np.mean(truth == (labels > 0))))
    return ("two" if len(mixture.counts) == 2 else "more"), wrong


def _pick(rng: np.random.Generator, rows: Vectors, size: int, again: bool = False) -> Vectors:
    return rows[rng.choice(len(rows), size, replace=again)]


def _lengths(rng: np.random.Generator, size: int) -> Vectors:
    return np.where(_some(rng, size, 0.5), 1, rng.uniform(2, 9, (size, 1))).astype(np.float32)


def _some(rng: np.random.Generator, size: int, share: float) -> Rows:
    """A column that is true for a share of the rows, at least one."""
    chosen = np.zeros((size, 1), dtype=bool)
    chosen[rng.choice(size, max(1, round(size * share)), replace=False)] = True
    return chosen


def report(lines: Lines, found: dict[str, list[tuple[str, str, object, str, float]]], seconds: float) -> str:
    """The tables."""
    text = [
        "How often `identify` and `find_mixture` are right. Thresholds were chosen on the WordNet definitions",
        "(development), after a look at one seed of the others; all seeds here are new, and of SciFact and Cranfield",
        "(held out) only MiniLM was looked at for `identify`. Other models of the same dimension: wordllama and",
        "potion, which both make 256 numbers; the others cut or padded; and a rotation of the model itself, the same",
        "geometry in unrelated directions.",
        f"`python benchmarks/identity.py` wrote this in {seconds:.0f} seconds.",
        "",
        "## With the model at hand: `identify`",
        "Runs with a right verdict of all runs, by the number of documents embedded with the model (variants: 300, not",
        f"500); verdicts that were wrong, over all sizes. {SEEDS} seeds for each model and corpus.",
    ]
    for half in ("development", "held out"):
        text += ["", f"### {half.capitalize()}", "| stored vectors | should be |" + "".join(f" {s} |" for s in SIZES)]
        text[-1] += " wrong verdicts |"
        text.append("|---" * (3 + len(SIZES)) + "|")
        for (where, what, wanted), cells in lines.items():
            if where != half:
                continue
            allowed = wanted.split(" or ")
            shares = [sum(cells[size][k] for k in allowed) for size in SIZES]
            row = "".join(f" {n}/{cells[size].total()} |" for n, size in zip(shares, SIZES, strict=True))
            total: Counter[str] = Counter()
            for cell in cells.values():
                total.update({k: n for k, n in cell.items() if k not in allowed})
            said = ", ".join(f"{k} {n}" for k, n in total.most_common()) or "–"
            text.append(f"| {what} | {wanted} |{row} {said} |")
    return "\n".join(text) + "\n\n" + report_of_mixtures(found, seconds)


def report_of_mixtures(found: dict[str, list[tuple[str, str, object, str, float]]], seconds: float) -> str:
    """The tables on `find_mixture`."""
    text = [
        MIXTURES,
        "Samples called right of all samples, by their rows. Rows in the wrong part: of those found, their",
    ]
    text += [f"mean share. Measured with `python benchmarks/identity.py` in {seconds:.0f} seconds. {BOUND_OF_MEANS}"]
    if not any(sample[1].startswith("a fifth of it") for samples in found.values() for sample in samples):
        text += [WITHOUT_VARIANTS]
    for half, samples in found.items():
        text += ["", f"### {half.capitalize()}", "| sample | should be |" + "".join(f" {s:,} |" for s in MIXED_SIZES)]
        text[-1] += " rows in the wrong part |"
        text.append("|---" * (3 + len(MIXED_SIZES)) + "|")
        for truth, what in dict.fromkeys((one[0], one[1]) for one in samples):
            wanted = "one" if truth == "one model" else "two"
            row = ""
            for size in MIXED_SIZES:
                here = [one for one in samples if one[:3] == (truth, what, size)]
                row += f" {sum(one[3] == wanted for one in here)}/{len(here)} |" if here else " – |"
            wrong_rows = [one[4] for one in samples if one[:2] == (truth, what) and one[3] == "two" == wanted]
            text.append(f"| {what} | {truth} |{row} {f'{np.mean(wrong_rows):.3f}' if wrong_rows else '–'} |")
    return "\n".join(text) + "\n"


def main() -> None:
    """Measure and write."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    asked.add_argument("--data", type=Path, required=True)
    asked.add_argument("--variants", type=Path)
    asked.add_argument("--mixtures", action="store_true")
    given = asked.parse_args()
    started = time.perf_counter()
    bench, file = Bench(given.data, given.variants), RESULTS / "identity.md"
    with ProcessPoolExecutor(3) as pool:
        lines = None if given.mixtures else pool.submit(identities, bench)
        found = {half: pool.submit(listed, bench, half) for half in ("development", "held out")}
        tables = {half: one.result() for half, one in found.items()}
    seconds = time.perf_counter() - started
    if lines is None:
        file.write_text(file.read_text().partition(MIXTURES)[0] + report_of_mixtures(tables, seconds))
    else:
        file.write_text(report(lines.result(), tables, seconds))


def listed(bench: Bench, half: str) -> list[tuple[str, str, object, str, float]]:
    """All of `mixtures`, which another process can hand back."""
    return list(mixtures(bench, half))


if __name__ == "__main__":
    main()
