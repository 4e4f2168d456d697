"""What README and how-to pages tell to run, run: a page's blocks in order, on a real database, with real models.

The models are behind a server that speaks OpenAI's API on this machine, so that the commands can be run as they stand.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from lightmigrate import BudgetPlan
from lightmigrate.cli.app import application, main
from lightmigrate.stores.chroma.client import open_client
from tests.docs.addresses import Addresses
from tests.docs.blocks import PAGES, ROOT, Block, blocks_of, name_of
from tests.docs.prepared import CORPUS, DATABASE, NAMES, PREPARE, documents, two_collections
from tests.encoders import shared_wordllama
from tests.migration.shadow.server import running_server as running_chroma
from tests.providers.embedding_server import KEY, EmbeddingServer, running_server

# What pages call a model of the reader's choice.
MODELS = ("MODEL", "NEW_MODEL")
INSTALLERS = ("pip", "python3")  # what installs is tested by `test_packaging`


def runnable(page: Path) -> list[Block]:
    """The blocks of a page that are commands or Python."""
    return [block for block in blocks_of(page) if block.language in ("sh", "python") and not block.not_run]


EXECUTED = [name_of(page) for page in PAGES if runnable(page)]
Template = Callable[[str], Path]


@pytest.fixture(scope="module")
def models() -> Iterator[EmbeddingServer]:
    with running_server() as server:
        server.others = {
            "text-embedding-3-small": shared_wordllama().embed,
            "old-model": shared_wordllama(128).embed,
        }
        yield server


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    made: dict[Callable[[Path], None], Path] = {}

    def get(page: str) -> Path:
        prepare = PREPARE.get(page, two_collections)
        if prepare not in made:
            place = tmp_path_factory.mktemp("docs")
            prepare(place / DATABASE)
            made[prepare] = place
        return made[prepare]

    return get


class Place:
    """Where a page is followed: the current folder, and what its blocks share."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._names: dict[str, Any] = {}
        self._stack = stack
        self._port = ""

    def run(self, block: Block) -> None:
        """Run a block, as a user would; each has servers of its own."""
        addresses = Addresses(self._stack, documents())
        if block.language == "python":
            self._run_python(addresses.replaced(block.code))
            return
        for first, *words in block.commands():
            if first not in INSTALLERS:
                assert first == "lightmigrate", first
                run_command(
                    [real for before, word in pairwise(["", *words]) for real in self._real(word, before, addresses)]
                )

    def _real(self, word: str, before: str, addresses: Addresses) -> Sequence[str]:
        """What a word of a command stands for here."""
        if word in MODELS:
            return ("text-embedding-3-small", "--target-provider", "openai")
        if word == "8000":
            return (self.port,)
        return (addresses.empty(word) if before == "--to" else addresses.replaced(word),)

    def _run_python(self, code: str) -> None:
        made = {"client": lambda: self._stack.enter_context(open_client(DATABASE)), **NAMES}
        made = {name: make for name, make in made.items() if not re.search(rf"^{name} = ", code, re.MULTILINE)}
        for name, make in made.items():
            if name not in self._names and re.search(rf"\b{name}\b", code):
                self._names[name] = make()
        exec(compile(code, "block", "exec"), self._names)

    @property
    def port(self) -> str:
        """Of a Chroma server of a copy of the database, started when it is first asked for."""
        if not self._port:
            folder = Path(shutil.copytree(DATABASE, "served")).resolve()
            self._port = str(self._stack.enter_context(running_chroma(folder)).port)
        return self._port


def run_command(words: list[str]) -> None:
    """A command, with consent where it asks.

    A plan that is expected to keep too little is refused, as so few documents may make it; then by --force.
    """
    group: Any = typer.main.get_command(application(words[0]))
    asks = any("--yes" in parameter.opts for parameter in group.commands[words[0]].params)
    words = [*words, *(["--yes"] if asks and words[0] != "clean" and "--yes" not in words else [])]
    if is_refused(words):
        assert ended_with(words) == 2, words
        words.append("--force")
    assert not ended_with(words), words


def ended_with(words: list[str]) -> object:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code


def is_refused(words: list[str]) -> bool:
    return "--plan" in words and BudgetPlan.load(Path(words[words.index("--plan") + 1])).objection is not None


@pytest.fixture
def surroundings(
    models: EmbeddingServer, template: Template, request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with a database and files as a page names them, and an environment with a key."""
    shutil.copytree(template(request.param), tmp_path, dirs_exist_ok=True)
    (tmp_path / "searches.txt").write_text("\n".join(CORPUS.queries[:120]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", models.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)


@pytest.mark.parametrize(
    ("page", "surroundings"), [(page, page) for page in EXECUTED], ids=EXECUTED, indirect=["surroundings"]
)
@pytest.mark.usefixtures("surroundings")
def test_the_blocks_of_a_page_run(page: str) -> None:
    with contextlib.ExitStack() as stack:
        place = Place(stack)
        for block in runnable(ROOT / page):
            place.run(block)
