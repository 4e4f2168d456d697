"""Short messages: `python -m field.messages OUTPUT_DIR` in `benchmarks/`; packages go to `OUTPUT_DIR/packages`.

- `commits`: messages of commits without their subjects, which are the queries.
- `chat`: what was answered in conversations; what was said before is the query.
- `messages-ar`: messages of a program in Arabic; the English message is the query for its translation.
- `descriptions`: what is said of the packages of a distribution, without the line above each, which is the query.

No message is cut, and each is its own parent.
"""

from __future__ import annotations

import gettext
import gzip
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from general.fetch import Package, members

from field.layout import Chunk, Question, write
from field.sources import COMMITS, CONVERSATIONS, DESCRIPTIONS, OFFICE_ARABIC, Descriptions

MOST_CHUNKS, MOST_QUESTIONS, SEED = 3000, 300, 0
FEWEST_WORDS = 3
_COMMIT = re.compile(r"\n\d{4}-\d\d-\d\d  [^\n]*<[^\n]*>\n\n")
_MARKUP = re.compile(r"[~_]|<[^>]+>")

# A question with its answers.
Exchange = tuple[str, list[str]]


def main(output: Path) -> None:
    """Build all four."""
    packages = output / "packages"
    for name, package, read, licence in (
        ("commits", COMMITS, commits, "GFDL and GPL"),
        ("chat", CONVERSATIONS, conversations, "BSD 3-Clause"),
        ("messages-ar", OFFICE_ARABIC, translations, "MPL 2.0"),
        ("descriptions", DESCRIPTIONS, descriptions, "of each package its own"),
    ):
        chunks, questions = choose(list(read(package.fetched(packages))))
        write(output / name, chunks, questions, _about(package, licence))


def choose(exchanges: list[Exchange]) -> tuple[list[Chunk], list[Question]]:
    """Random exchanges: all their answers are chunks, some of their questions are asked; no text stands there twice."""
    rng = np.random.default_rng(SEED)
    chunks: dict[str, Chunk] = {}
    questions = []
    asked: set[str] = set()
    for row in rng.permutation(len(exchanges)).tolist():
        question, answers = exchanges[row]
        if len(chunks) + len(answers) > MOST_CHUNKS:
            break
        for answer in answers:
            chunks.setdefault(answer, Chunk(str(len(chunks)), answer, str(len(chunks))))
        if question not in asked:
            asked.add(question)
            questions.append(Question(question, {chunks[answer].id: 1.0 for answer in answers}))
    chosen = np.sort(rng.permutation(len(questions))[:MOST_QUESTIONS])
    return list(chunks.values()), [questions[row] for row in chosen]


def commits(package: Path) -> Iterator[Exchange]:
    """Subject and message of each commit of a history that `gitlog-to-changelog` wrote."""
    ((_, content),) = members(package, suffix="doc/gnulib/changelog.gz")
    for entry in _COMMIT.split("\n" + gzip.decompress(content).decode("utf-8")):
        lines = [line.removeprefix("\t") for line in entry.strip("\n").splitlines()]
        if len(lines) > 1 and not lines[0].startswith("*"):
            message = "\n".join(lines[1:]).partition("\n\n")[0].strip()  # one commit, where a day has several
            if len(message.split()) >= FEWEST_WORDS <= len(lines[0].split()):
                yield lines[0], [message]


def conversations(package: Path) -> Iterator[Exchange]:
    """What was said, and the answers to it, in English."""
    for _, content in members(package, "chatterbot_corpus/data/english/", ".yml"):
        question, answers = "", list[str]()
        for line in content.decode("utf-8").splitlines():
            said = line.strip().lstrip("- ").strip("'\"")
            if line.startswith("- - "):
                if answers:
                    yield question, answers
                question, answers = said, []
            elif line.startswith("  - ") and question and len(said.split()) >= FEWEST_WORDS:
                answers.append(said)
        if answers:
            yield question, answers


def translations(package: Path) -> Iterator[Exchange]:
    """English messages with their translations, without marks of accelerators and fields."""
    for _, content in members(package, suffix=".mo"):
        catalogue: dict[object, str] = vars(gettext.GNUTranslations(io.BytesIO(content)))["_catalog"]
        for key, translated in catalogue.items():
            if isinstance(key, str) and key and not translated.isascii():
                english, arabic = (
                    _MARKUP.sub("", text).strip() for text in (key.partition("\4")[2] or key, translated)
                )
                if min(len(english.split()), len(arabic.split())) >= FEWEST_WORDS:
                    yield english, [arabic]


def descriptions(index: Path) -> Iterator[Exchange]:
    """The line above, with the descriptions below it: several packages may have the same line."""
    found: dict[str, list[str]] = {}
    for entry in index.read_text(encoding="utf-8").split("\n\n"):
        line, _, below = entry.partition("\nDescription-en: ")[2].partition("\n")
        text = "\n\n".join(" ".join(part.split()) for part in below.split("\n .\n"))
        if min(len(line.split()), len(text.split())) >= FEWEST_WORDS:
            found.setdefault(line.strip(), []).append(text)
    yield from found.items()


def _about(package: Package | Descriptions, licence: str) -> dict[str, object]:
    return {"source": package.file, "sha256": package.sha256, "licence": licence, "seed": SEED}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
