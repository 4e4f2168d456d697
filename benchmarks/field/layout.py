"""The files of a corpus in the layout that `corpora.py` reads: `write(folder, chunks, questions, about)`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Chunk:
    """A record of a collection.

    Attributes:
        id: unique in the corpus.
        text: what is stored and embedded.
        parent: the document it is a part of; several chunks of one parent count as one result where results are
            counted by parent.
    """

    id: str
    text: str
    parent: str


@dataclass(frozen=True)
class Question:
    """A query with what answers it.

    Attributes:
        text: what is asked.
        relevant: ids of chunks, each with its grade above 0.
    """

    text: str
    relevant: Mapping[str, float]


def write(folder: Path, chunks: Sequence[Chunk], questions: Sequence[Question], about: Mapping[str, object]) -> None:
    """Write `docs.jsonl`, `queries.jsonl`, `qrels.jsonl` and `about.json`.

    JSON with escapes only, since `splitlines` takes more for the end of a line than a line feed.

    Args:
        folder: made where missing; files there are replaced.
        chunks: the records, in the order of the vectors.
        questions: the queries, in the order of the vectors.
        about: where the texts come from, their licence, seeds, how they were cut.

    Raises:
        ValueError: two chunks have the same id, or a judgement names a chunk that is not there.
    """
    known = {chunk.id for chunk in chunks}
    if len(known) < len(chunks):
        raise ValueError(f"{len(chunks)} chunks have {len(known)} different ids")
    wrong = [id_ for question in questions for id_ in question.relevant if id_ not in known]
    if wrong:
        raise ValueError(f"{len(wrong)} judgements name chunks that are not among the {len(known)}")
    folder.mkdir(parents=True, exist_ok=True)
    _lines(folder / "docs.jsonl", ({"id": one.id, "text": one.text, "parent": one.parent} for one in chunks))
    _lines(folder / "queries.jsonl", ({"id": str(at), "text": one.text} for at, one in enumerate(questions)))
    _lines(
        folder / "qrels.jsonl",
        (
            {"query_id": str(at), "doc_id": id_, "rel": grade}
            for at, one in enumerate(questions)
            for id_, grade in one.relevant.items()
        ),
    )
    counts = {
        "chunks": len(chunks),
        "parents": len({chunk.parent for chunk in chunks}),
        "queries": len(questions),
        "words": round(sum(len(chunk.text.split()) for chunk in chunks) / len(chunks), 1),
        "characters": round(sum(len(chunk.text) for chunk in chunks) / len(chunks), 1),
    }
    (folder / "about.json").write_text(json.dumps({**about, **counts}, indent=1) + "\n", encoding="ascii")


def _lines(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")
