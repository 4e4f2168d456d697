"""Pages cut as LangChain's and LlamaIndex's splitters cut them, and which chunks answer which question.

A splitter sees the page as a whole, so chunks run over the ends of parts as they do in real collections. Needs
`langchain-text-splitters`, or `llama-index-core`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from field.layout import Chunk, Question
from field.pages import Page, Part

# A text, cut: each piece with where it begins in the text.
Split = Callable[[str], list[tuple[int, str]]]

FEWEST_CHARACTERS = 20  # of a chunk


def langchain(characters: int, overlap: int, separators: Sequence[str] | None = None, language: str = "") -> Split:
    """`RecursiveCharacterTextSplitter`: of prose, or of source code in a language.

    Args:
        characters: of a chunk, at most.
        overlap: characters that a chunk has in common with the one before, at most.
        separators: instead of the splitter's own.
        language: as the splitter knows it, as in "python".
    """
    from langchain_text_splitters import Language, RecursiveCharacterTextSplitter

    if language:
        separators = RecursiveCharacterTextSplitter.get_separators_for_language(Language(language))
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=characters,
        chunk_overlap=overlap,
        separators=None if separators is None else list(separators),
        is_separator_regex=bool(language),
        add_start_index=True,
    )
    return lambda text: [
        (document.metadata["start_index"], document.page_content) for document in splitter.create_documents([text])
    ]


def llama_index(tokens: int, overlap: int) -> Split:
    """`SentenceSplitter`.

    Args:
        tokens: of a chunk, at most.
        overlap: tokens that a chunk has in common with the one before, at most.
    """
    from llama_index.core import Document
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.core.schema import TextNode

    splitter = SentenceSplitter(chunk_size=tokens, chunk_overlap=overlap)

    def split(text: str) -> list[tuple[int, str]]:
        nodes = splitter.get_nodes_from_documents([Document(text=text)])
        return [
            (node.start_char_idx, node.text)
            for node in nodes
            if isinstance(node, TextNode) and node.start_char_idx is not None
        ]

    return split


def cut(
    pages: Sequence[Page], split: Split, most_chunks: int, most_questions: int, seed: int = 0
) -> tuple[list[Chunk], list[Question]]:
    """Chunks of random pages, and random questions that these answer.

    A chunk answers a question where it and the question's part have half of the shorter of both in common. A question
    that stands above more than one part of all pages asks for nothing in particular, and is none.

    Args:
        pages: what there is.
        split: the splitter.
        most_chunks: pages are taken while they fit.
        most_questions: so many are taken, at random.
        seed: of both choices.
    """
    rng = np.random.default_rng(seed)
    often = Counter(part.question.lower() for page in pages for part in page.parts)
    chunks: list[Chunk] = []
    questions: list[Question] = []
    for row in rng.permutation(len(pages)).tolist():
        page = pages[row]
        pieces = [(start, text) for start, text in split(page.text) if len(text.strip()) >= FEWEST_CHARACTERS]
        if len(chunks) + len(pieces) > most_chunks:
            continue
        own = [Chunk(f"{page.name}:{start}:{at}", text, page.name) for at, (start, text) in enumerate(pieces)]
        chunks += own
        for part in page.parts:
            answers = {
                chunk.id: 1.0
                for chunk, (start, text) in zip(own, pieces, strict=True)
                if _shares(part, start, start + len(text))
            }
            if answers and often[part.question.lower()] == 1 and _is_a_question(part.question):
                questions.append(Question(part.question, answers))
    chosen = np.sort(rng.permutation(len(questions))[:most_questions])
    return chunks, [questions[row] for row in chosen]


def _shares(part: Part, start: int, end: int) -> bool:
    common = min(part.end, end) - max(part.start, start)
    return common >= min(part.end - part.start, end - start) / 2


def _is_a_question(text: str) -> bool:
    """Two words or more, or five characters where words have no spaces between them."""
    return len(text.split()) > 1 or (not text.isascii() and len(text) >= 5)
