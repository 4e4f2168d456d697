"""Pages of the site for files outside `docs/` that pages link to: results, scripts, licences, examples.

On a code host such a link shows the file. In the site the file becomes a page under `repository/`, as Markdown or as
code, and the link leads there. A link to a file that does not exist stays as it is, so that a strict build refuses it.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

FOLDER = "repository"
LINK = re.compile(r"(?<=\]\()([^)\s#]+)(#[^)\s]*)?(?=[)\s])")
LANGUAGES = {".py": "python", ".toml": "toml", ".jsonl": "text", ".json": "json"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every file that is linked to, and those that the added pages link to."""
    root = Path(config.docs_dir).parent.resolve()
    waiting = [file.src_uri for file in files.documentation_pages()]
    while waiting:
        page = waiting.pop()
        origin = _file_of(page, root)
        for link, _ in LINK.findall(_content(origin)):
            target = _outside(origin, link, root)
            if target is None or files.get_file_from_path(uri := _uri(target, root)):
                continue
            if uri.endswith(".md"):
                files.append(_page(uri, target, config))
                waiting.append(uri)
            else:
                files.append(File.generated(config, uri, abs_src_path=str(target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links out of `docs/` to the pages that stand for those files."""
    root = Path(config.docs_dir).parent.resolve()
    here = page.file.src_uri
    origin = _file_of(here, root)

    def led(found: re.Match[str]) -> str:
        target = _outside(origin, found[1], root)
        if target is None:
            return found[0]
        return posixpath.relpath(_uri(target, root), posixpath.dirname(here)) + (found[2] or "")

    return LINK.sub(led, markdown)


def _file_of(uri: str, root: Path) -> Path:
    """The file of the repository that a page of the site shows."""
    parts = PurePosixPath(uri).parts
    if parts[0] != FOLDER:
        return root / "docs" / uri
    path = root.joinpath(*parts[1:])
    return path if path.exists() else path.with_suffix("")  # `x.py.md` shows `x.py`


def _content(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.suffix == ".md" and path.exists() else ""


def _outside(origin: Path, link: str, root: Path) -> Path | None:
    """The file that a relative link leads to, where it is in the repository and not itself a page of `docs/`."""
    if "://" in link or link.startswith(("/", "mailto:")):
        return None
    target = Path(os.path.normpath(origin.parent / link))
    inside_docs = target.is_relative_to(root / "docs")
    from_docs = origin.is_relative_to(root / "docs")
    if not target.exists() or not target.is_relative_to(root) or (inside_docs and from_docs):
        return None
    return target


def _uri(target: Path, root: Path) -> str:
    """Where the site has a file: Markdown and pictures under their own name, everything else as a page of code."""
    if target.is_relative_to(root / "docs"):
        return target.relative_to(root / "docs").as_posix()
    name = target.relative_to(root).as_posix()
    return f"{FOLDER}/{name}" if target.suffix in (".md", ".png") else f"{FOLDER}/{name}.md"


def _page(uri: str, target: Path, config: MkDocsConfig) -> File:
    """A page that is in no navigation."""
    if target.suffix == ".md":
        content = target.read_text(encoding="utf-8")
        if not content.startswith("# "):
            content = f"# {target.name}\n\n{content}"
    elif target.is_dir():
        content = f"# {target.name}\n\n" + "\n".join(f"- `{path.name}`" for path in sorted(target.iterdir())) + "\n"
    else:
        language = LANGUAGES.get(target.suffix, "text")
        content = f"# {target.name}\n\n````{language}\n{target.read_text(encoding='utf-8')}\n````\n"
    file = File.generated(config, uri, content=content)
    file.inclusion = InclusionLevel.NOT_IN_NAV
    return file
