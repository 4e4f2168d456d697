"""Technical documentation and source code, cut by the splitters of LangChain and LlamaIndex.

Run `python -m field.documentation OUTPUT_DIR` in `benchmarks/`; packages are fetched to `OUTPUT_DIR/packages`.

- `pydoc-langchain`, `pydoc-llamaindex`: the pages of Python's documentation without their headings; a heading asks for
  the chunks of what stands below it, down to the next heading.
- `code-langchain`: Python's library without the docstrings of its functions and classes; the first paragraph of a
  docstring asks for the chunks of its function or class.

The parent of a chunk is its page or module.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from general.fetch import members

from field.layout import write
from field.pages import Page, Part, read_page
from field.sources import PYTHON_DOCUMENTATION, PYTHON_LIBRARY
from field.splitters import cut, langchain, llama_index

MOST_CHUNKS, MOST_QUESTIONS, SEED = 3000, 300, 0
_PAGES, _MODULES = "usr/share/doc/python3.11/html/", "usr/lib/python3.11/"
_LICENCE = "PSF License"


def main(output: Path) -> None:
    """Build all three."""
    pages = list(documentation(PYTHON_DOCUMENTATION.fetched(output / "packages")))
    modules = list(code(PYTHON_LIBRARY.fetched(output / "packages")))
    for name, documents, split, how in (
        ("pydoc-langchain", pages, langchain(500, 50), "RecursiveCharacterTextSplitter, 500 characters, overlap 50"),
        ("pydoc-llamaindex", pages, llama_index(256, 20), "SentenceSplitter, 256 tokens, overlap 20"),
        (
            "code-langchain",
            modules,
            langchain(800, 0, language="python"),
            "RecursiveCharacterTextSplitter for Python, 800 characters",
        ),
    ):
        source = PYTHON_LIBRARY if documents is modules else PYTHON_DOCUMENTATION
        chunks, questions = cut(documents, split, MOST_CHUNKS, MOST_QUESTIONS, SEED)
        about = {"source": source.file, "sha256": source.sha256, "licence": _LICENCE, "cut": how, "seed": SEED}
        write(output / name, chunks, questions, about)


def documentation(package: Path) -> Iterator[Page]:
    """The pages of the reference, the library, the tutorial and the guides; no indexes, no lists of changes."""
    for name, content in members(package, _PAGES, ".html"):
        folder, _, page = name.removeprefix(_PAGES).partition("/")
        if page and folder != "whatsnew" and page != "index.html":
            found = read_page(f"{folder}/{page}", content.decode("utf-8"), ['<div class="clearer">'])
            if found.parts:
                yield found


def code(package: Path) -> Iterator[Page]:
    """The modules of the library without their tests."""
    for name, content in members(package, _MODULES, ".py"):
        module = name.removeprefix(_MODULES)
        if "test" not in module and "/pydoc_data/" not in module:
            found = without_docstrings(module, content.decode("utf-8"))
            if found.parts:
                yield found


def without_docstrings(name: str, source: str) -> Page:
    """A module with a question for each docstring of a function or class, from which the docstring is taken out."""
    lines = source.splitlines(keepends=True)
    gone: set[int] = set()
    asked: list[tuple[str, int, int]] = []
    for node in ast.walk(ast.parse(source)):
        docstring = ast.get_docstring(node) if isinstance(node, (ast.ClassDef, ast.FunctionDef)) else None
        if not docstring or not isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            continue
        first, body = node.body[0], node.body[1:]
        if not body or first.end_lineno is None or node.end_lineno is None:
            continue  # nothing would be left
        gone.update(range(first.lineno - 1, first.end_lineno))
        asked.append((" ".join(docstring.split("\n\n")[0].split()), node.lineno - 1, node.end_lineno))
    at, starts = 0, []
    for row, line in enumerate(lines):
        starts.append(at)
        at += 0 if row in gone else len(line)
    starts.append(at)
    text = "".join(line for row, line in enumerate(lines) if row not in gone)
    return Page(name, text, tuple(Part(question, starts[first], starts[end]) for question, first, end in asked))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
