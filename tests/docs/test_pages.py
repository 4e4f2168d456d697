"""README and documentation say what there is: every error, every variable, every benchmark; and not too much."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from lightmigrate.startup.policy import Policy
from tests.docs.blocks import PAGES, ROOT, name_of
from website.reference import error_names

README = ROOT / "README.md"
LINK = re.compile(r"\]\(([^)\s#]+)[^)]*\)")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_readme_is_short() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert len(text.encode()) <= 8_000


def test_links_of_the_readme_lead_somewhere() -> None:
    # Those of the other pages are checked where the site is built.
    links = [link for link in LINK.findall(README.read_text(encoding="utf-8")) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_error_has_its_paragraph() -> None:
    sections = dict(re.findall(r"^### (\w+)\n(.+?)$", text_of("docs/troubleshooting.md"), re.M))
    assert sections.keys() == set(error_names())


def test_every_variable_of_a_start_is_explained() -> None:
    page = text_of("docs/how-to/server-start.md")
    variables = {f"LIGHTMIGRATE_{field.name.upper()}" for field in fields(Policy)}
    assert sorted(name for name in variables if f"`{name}`" not in page) == []


def test_every_benchmark_is_explained() -> None:
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")}
    assert sorted(scripts - set(re.findall(r"`(\w+\.py)`", text_of("benchmarks/README.md")))) == []


def test_tables_hold_what_the_committed_results_say() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "documentation_tables.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_pictures_and_results_of_pages_are_committed_ones() -> None:
    named = {link for page in PAGES for link in re.findall(r"benchmarks/results/[\w./-]+", page.read_text())}
    assert [link for link in sorted(named) if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=map(name_of, PAGES))
def test_extras_that_a_page_names_exist(page: Path) -> None:
    extras = set(re.findall(r"^([\w-]+) = \[", text_of("pyproject.toml"), re.M))
    named = {name for group in re.findall(r"lightmigrate\[([\w,-]+)\]", page.read_text()) for name in group.split(",")}
    assert named <= extras
