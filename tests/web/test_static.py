"""What is vendored is what its package holds."""

from __future__ import annotations

import hashlib
import re

from lightmigrate.web.pages import HERE


def test_vendored_files_are_those_that_are_listed() -> None:
    row = re.compile(r"^\| `([\w.-]+)` \| `[^`]+` \| `([0-9a-f]{64})` \|$", re.MULTILINE)
    listed = row.findall((HERE / "static" / "README.md").read_text())
    assert {name for name, _ in listed} == {file.name for file in (HERE / "static").glob("*.min.js")}
    for name, digest in listed:
        assert hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest() == digest


def test_pages_hold_no_script_and_no_style_of_their_own() -> None:
    for template in (HERE / "templates").glob("*.html"):
        text = template.read_text()
        if template.name == "report.html":  # one file, which nothing serves: it carries the style sheet
            text = text.replace("<style>{{ style }}</style>", "", 1)
        assert not re.search(r"<style|style=|\son\w+=|javascript:|\|\s*safe", text), template.name
        assert not re.search(r"<script(?! src=\"/static/)", text), template.name
        assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", text), template.name
