"""Abstracts in chunks of a few sentences, without their titles.

Run `python -m field.abstracts DATA_DIR OUTPUT_DIR` in `benchmarks/`; DATA_DIR holds `scifact` and `cranfield` in the
layout of `corpora.py`. Writes `OUTPUT_DIR/CORPUS-N` for N = 1, 3 and 8 sentences a chunk, and
`OUTPUT_DIR/CORPUS-3-part` with fewer documents, for what takes long.

An abstract there begins with its title, as its first sentence; where the title has no full stop, the sentence that
follows goes with it. Judgements are carried to the chunks: each chunk of a relevant document is relevant, with the
document's grade, and the document is the chunk's parent. A document of one sentence has no chunk, and a query without
a relevant chunk is left out. Where all documents would give too many chunks, those that are judged relevant stay and
as many of the others as fit, at random.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from corpora import read_lines

from field.layout import Chunk, Question, write

# The end of a corpus's name, sentences of a chunk, chunks at most.
CUTS = (("1", 1, 16_000), ("3", 3, 16_000), ("8", 8, 16_000), ("3-part", 3, 3_000))
# A sentence ends at a full stop before a capital or a number, as "e.g. the" does not; Cranfield has no capitals, but a
# space before its full stops.
ENDS = {"scifact": re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9(])"), "cranfield": re.compile(r"(?<=\s[.!?])\s+")}
FEWEST_WORDS = 4
SEED = 0
LICENCES = {
    "scifact": "claims CC BY 4.0, abstracts ODC-By 1.0",
    "cranfield": "classic public test set, no licence stated",
}


def main(data: Path, output: Path) -> None:
    """Cut both corpora."""
    for name, end in ENDS.items():
        documents = {line["id"]: sentences(line["text"], end)[1:] for line in read_lines(data / name / "docs.jsonl")}
        queries = {line["id"]: line["text"] for line in read_lines(data / name / "queries.jsonl")}
        judged: dict[str, dict[str, float]] = {query: {} for query in queries}
        for line in read_lines(data / name / "qrels.jsonl"):
            if line["rel"] > 0:
                judged[line["query_id"]][line["doc_id"]] = line["rel"]
        for end_of_name, size, most in CUTS:
            every: dict[str, Sequence[Chunk]] = {
                id_: [Chunk(f"{id_}:{at}", " ".join(parts[at : at + size]), id_) for at in range(0, len(parts), size)]
                for id_, parts in documents.items()
            }
            of_document = within(every, {id_ for grades in judged.values() for id_ in grades}, most)
            questions = [
                Question(text, {chunk.id: rel for id_, rel in judged[query].items() for chunk in of_document[id_]})
                for query, text in queries.items()
            ]
            write(
                output / f"{name}-{end_of_name}",
                [chunk for chunks in of_document.values() for chunk in chunks],
                [question for question in questions if question.relevant],
                {
                    "source": f"{name} without titles, {size} sentences a chunk",
                    "licence": LICENCES[name],
                    "documents": f"{len(of_document)} of {len(documents)}",
                    "seed": SEED,
                },
            )


def within(of_document: Mapping[str, Sequence[Chunk]], relevant: set[str], most: int) -> Mapping[str, Sequence[Chunk]]:
    """At most so many chunks: of the documents that answer nothing, a random part."""
    if sum(map(len, of_document.values())) <= most:
        return of_document
    ids = list(of_document)
    shuffled = [ids[row] for row in np.random.default_rng(SEED).permutation(len(ids))]
    left = most
    kept = set()
    for id_ in sorted(shuffled, key=lambda id_: id_ not in relevant):
        if id_ in relevant or len(of_document[id_]) <= left:
            kept.add(id_)
            left -= len(of_document[id_])
    return {id_: chunks for id_, chunks in of_document.items() if id_ in kept}


def sentences(text: str, end: re.Pattern[str]) -> list[str]:
    """The sentences of a text; one of fewer than four words is joined to the one before."""
    found: list[str] = []
    for part in end.split(text.strip()):
        if found and len(part.split()) < FEWEST_WORDS:
            found[-1] += f" {part}"
        elif part:
            found.append(part)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
