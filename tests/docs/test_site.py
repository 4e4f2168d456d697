"""The site builds: every link and anchor leads somewhere, nothing is fetched, the reference is complete."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from website.reference import command_line, error_names, public_names

# What a browser loads for a page, as opposed to where a reader may go.
LOADED = re.compile(
    r'<(?:script|img|iframe|source)[^>]+src="(https?:)?//'
    r'|<link[^>]+rel="(?:stylesheet|preconnect|preload)"[^>]+href="(https?:)?//'
    r"|@import|url\((https?:)?//"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_nothing_is_fetched(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    assert [page.name for page in pages if LOADED.search(page.read_text(encoding="utf-8"))] == []


def test_every_command_and_every_public_name_is_in_the_reference(site: Path) -> None:
    from lightmigrate.cli.app import COMMANDS

    commands = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f'id="lightmigrate-{name}"' not in commands] == []
    names = (site / "reference" / "api.html").read_text(encoding="utf-8")
    wanted = [*public_names().values(), *(f"lightmigrate.errors.{name}" for name in error_names())]
    assert [path for path in wanted if f'id="{path}"' not in names] == []


def test_the_reference_of_commands_has_all_options_and_no_folder_of_this_machine() -> None:
    page = command_line()
    assert "`--target-query-prefix" in page
    assert str(Path.home()) not in page
    assert "| `-c, --collection" in page
