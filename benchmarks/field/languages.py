"""The help of LibreOffice, the same pages in English, German, Japanese and Chinese.

Run `python -m field.languages OUTPUT_DIR` in `benchmarks/`; packages are fetched to `OUTPUT_DIR/packages`. Writes
`help-en`, `help-de`, `help-ja` and `help-zh`. Pages are cut by LangChain's splitter after their headings were taken
out, each of which asks for the chunks below it. Chunks of languages without spaces have fewer characters, so that they
hold about as much. Only pages that are translated into all of the languages are taken; what is left in English on
them stays.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from general.fetch import members

from field.layout import write
from field.pages import Page, read_page
from field.sources import OFFICE_HELP
from field.splitters import cut, langchain

MOST_CHUNKS, MOST_QUESTIONS, SEED = 3000, 300, 0
FOLDERS = {"en": "en-US", "de": "de", "ja": "ja", "zh": "zh-CN"}
CHARACTERS = {"en": 500, "de": 500, "ja": 220, "zh": 160}
# LangChain's own advice for languages without spaces between words.
SEPARATORS = ["\n\n", "\n", "。", "！", "？", "、", "，", " ", ""]
PAGES = 800
ENDS = ('<div class="relatedtopics"', '<div id="SearchFrame"', "<footer")
# Of a page that is translated, so many of its lines at most stand in the English one.
SAME_LINES = 0.3


def main(output: Path) -> None:
    """Build all four."""
    packages = {language: package.fetched(output / "packages") for language, package in OFFICE_HELP.items()}
    pages = {language: help_pages(path, FOLDERS[language]) for language, path in packages.items()}
    common = [
        name
        for name, page in sorted(pages["en"].items())
        if all(name in own and translated(own[name], page) for language, own in pages.items() if language != "en")
    ]
    chosen = [common[row] for row in np.random.default_rng(SEED).permutation(len(common))[:PAGES]]
    for language, own in pages.items():
        without_spaces = language in ("ja", "zh")
        split = langchain(CHARACTERS[language], 0, SEPARATORS if without_spaces else None)
        chunks, questions = cut([own[name] for name in chosen], split, MOST_CHUNKS, MOST_QUESTIONS, SEED)
        package = OFFICE_HELP[language]
        about = {
            "source": package.file,
            "sha256": package.sha256,
            "licence": "MPL 2.0",
            "cut": f"RecursiveCharacterTextSplitter, {CHARACTERS[language]} characters",
            "seed": SEED,
        }
        write(output / f"help-{language}", chunks, questions, about)


def help_pages(package: Path, folder: str) -> dict[str, Page]:
    """The pages of a language by name."""
    prefix = f"usr/share/libreoffice/help/{folder}/text/"
    pages = {
        name.removeprefix(prefix): read_page(name.removeprefix(prefix), content.decode("utf-8"), ENDS)
        for name, content in members(package, prefix, ".html")
    }
    return {name: page for name, page in pages.items() if page.parts}


def translated(page: Page, english: Page) -> bool:
    """Whether most of a page is in another language than English."""
    lines, known = page.text.splitlines(), set(english.text.splitlines())
    return sum(line in known for line in lines) <= SAME_LINES * len(lines)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
