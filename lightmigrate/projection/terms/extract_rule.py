"""How the extract of a text is made: of its first words, its first content words, or its rarest words.

Which of them stands best for the whole text depends on the texts. Titled abstracts begin with their best summary; a
chunk out of the middle of a document begins anywhere, and words that are not in every document say more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from lightmigrate.projection.terms.base import Array
from lightmigrate.projection.terms.stem_rows import LONGEST_REMEMBERED, MOST_REMEMBERED
from lightmigrate.projection.terms.words import STEM_LETTERS, spans_of, words_of

ExtractKind = Literal["first", "content", "rarest"]
EXTRACT_KINDS: tuple[ExtractKind, ...] = get_args(ExtractKind)

# A word in more than this share of the documents says little about any of them.
FREQUENT = 0.1


@dataclass(frozen=True)
class DocumentFrequencies:
    """In how many documents of a collection the stems of its words occur.

    Attributes:
        stems: the first five letters of words, lower-case, in alphabetical order.
        counts: number of documents that hold each stem. A stem that is not listed counts as one in a single document.
        documents: number of documents counted.
    """

    stems: tuple[str, ...]
    counts: tuple[int, ...]
    documents: int
    _rarest: _Rarest = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.stems) != len(self.counts) or min(self.counts, default=1) < 1:
            raise ValueError(f"{len(self.stems)} stems and {len(self.counts)} document counts do not fit")
        object.__setattr__(self, "_rarest", _Rarest(dict(zip(self.stems, self.counts, strict=True))))

    def fewest(self, tokens: Iterable[str]) -> list[tuple[int, str]]:
        """For each token its stem in the fewest documents, and in how many that is; 0 and "" without a letter or digit.

        Args:
            tokens: runs without white space, such as `(p53-dependent)`.
        """
        return list(map(self._rarest.__getitem__, tokens))


class _Rarest(dict[str, tuple[int, str]]):
    """A cache: token to its stem in the fewest documents. Splitting tokens into words is slow."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.counts = counts

    def __missing__(self, token: str) -> tuple[int, str]:
        stems = [word[:STEM_LETTERS] for word in words_of(token)]
        found = min(((self.counts.get(stem, 1), stem) for stem in stems), default=(0, ""))
        if len(token) <= LONGEST_REMEMBERED:
            if len(self) >= MOST_REMEMBERED:
                self.clear()
            self[token] = found
        return found


@dataclass(frozen=True)
class ExtractRule:
    """Makes the extract of a text: some of its words, in their order. A text with no more words is its own extract.

    Words are as a reader counts them, see `words.count_words`: runs without white space, or two letters of a script
    that has none.

    Attributes:
        words: number of words of an extract, at least 1.
        kind: `first`: up to the end of word number `words`, unchanged. `content`: the first words that are not in more
            than a tenth of the documents. `rarest`: the words in the fewest documents, each stem once; of equally rare
            ones the first. First words stand in for content words and rarest words where there are none.
        frequencies: of the collection; only `first` needs none.
    """

    words: int
    kind: ExtractKind = "first"
    frequencies: DocumentFrequencies | None = None

    def __post_init__(self) -> None:
        if self.words < 1 or self.kind not in EXTRACT_KINDS:
            raise ValueError(
                f"no extracts of the {self.kind} {self.words} words; there are: {', '.join(EXTRACT_KINDS)}"
            )
        if (self.frequencies is None) != (self.kind == "first"):
            raise ValueError(f"extracts of the {self.kind} words and document frequencies do not fit")

    def __str__(self) -> str:
        return described(self.kind, self.words)

    def of(self, text: str) -> str:
        """The extract of a text."""
        if self.frequencies is None:
            return _beginning(text, self.words)
        spans = spans_of(text)
        if len(spans) <= self.words:
            return text
        fewest = self.frequencies.fewest(text[start:end] for start, end in spans)
        if self.kind == "content":
            chosen = _content(fewest, FREQUENT * self.frequencies.documents)[: self.words]
        else:
            chosen = _rarest(fewest, self.words)
        if not chosen:
            return _beginning(text, self.words)
        return _joined(text, [spans[number] for number in chosen])

    def arrays(self) -> Mapping[str, Array]:
        """`words`; but for first words also `kind` and `stems` (UTF-8, one per line), `counts` and `documents`."""
        arrays: dict[str, Array] = {"words": np.array([self.words])}
        if self.frequencies is not None:
            arrays["kind"] = np.frombuffer(self.kind.encode(), dtype=np.uint8)
            arrays["stems"] = np.frombuffer("\n".join(self.frequencies.stems).encode(), dtype=np.uint8)
            arrays["counts"] = np.array(self.frequencies.counts, dtype=np.int64)
            arrays["documents"] = np.array([self.frequencies.documents])
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> ExtractRule:
        """The rule with these `arrays`; `ValueError`, `KeyError` or the like when they are inconsistent."""
        words = int(arrays["words"][0])
        if "kind" not in arrays:
            return cls(words)
        encoded = arrays["stems"].tobytes().decode()
        stems = tuple(encoded.split("\n")) if encoded else ()
        counts = tuple(int(count) for count in arrays["counts"])
        frequencies = DocumentFrequencies(stems, counts, int(arrays["documents"][0]))
        return cls(words, extract_kind(arrays["kind"].tobytes().decode()), frequencies)


def extract_kind(name: str) -> ExtractKind:
    """The kind of that name; `ValueError` if there is none."""
    for kind in EXTRACT_KINDS:
        if kind == name:
            return kind
    raise ValueError(f"no extracts of the {name} words; there are: {', '.join(EXTRACT_KINDS)}")


def described(kind: ExtractKind, words: int) -> str:
    """An extract in plain words, such as `first 12 content words`."""
    return f"first {words} content words" if kind == "content" else f"{kind} {words} words"


def _beginning(text: str, words: int) -> str:
    """A text up to the end of a word, unchanged."""
    spans = spans_of(text, words)
    return text[: spans[-1][1]] if len(spans) == words else text


def _content(fewest: Sequence[tuple[int, str]], frequent: float) -> list[int]:
    """Numbers of the tokens with a letter or digit whose stem is in at most so many documents."""
    return [number for number, (count, _) in enumerate(fewest) if 0 < count <= frequent]


def _rarest(fewest: Sequence[tuple[int, str]], words: int) -> list[int]:
    """Numbers of the `words` rarest tokens with a letter or digit, each stem once, in their order."""
    known: set[str] = set()
    chosen: list[int] = []
    for number in sorted(range(len(fewest)), key=lambda number: fewest[number][0]):
        count, stem = fewest[number]
        if len(chosen) == words:
            break
        if count and stem not in known:
            known.add(stem)
            chosen.append(number)
    return sorted(chosen)


def _joined(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The parts of a text between the ends of each span, with one space where something was left out."""
    parts: list[str] = []
    before = 0
    for start, end in spans:
        between = text[before:start]
        parts.append(between if not between.strip() else " ")
        parts.append(text[start:end])
        before = end
    return "".join(parts).strip()
