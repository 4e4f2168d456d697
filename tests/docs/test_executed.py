"""What README and how-to pages tell to run, run: a page's blocks in order, on a real database, with real models.

The models are behind a server that speaks OpenAI's API on this machine, so that the commands can be run as they stand.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from lightmigrate import BudgetPlan, Migrator, Model, fit
from lightmigrate.cli.app import application, main
from lightmigrate.demo.data import load_corpus
from lightmigrate.stores.chroma.client import open_client
from tests.docs.blocks import PAGES, ROOT, Block, blocks_of, name_of
from tests.encoders import WordLlamaFunction, shared_wordllama
from tests.migration.shadow.server import running_server as running_chroma
from tests.providers.embedding_server import KEY, EmbeddingServer, running_server

ROWS = 120
DATABASE = Path("path/to/chroma_data")
INSTALLERS = ("pip", "python3")  # what installs is tested by `test_packaging`
FOLLOWED = re.compile(r"README\.md|docs/quickstart\.md|docs/(how-to|contribute)/.*")


def runnable(page: Path) -> list[Block]:
    """The blocks of a page that are commands or Python."""
    return [block for block in blocks_of(page) if block.language in ("sh", "python") and not block.not_run]


EXECUTED = [name_of(page) for page in PAGES if FOLLOWED.fullmatch(name_of(page)) and runnable(page)]
Template = Callable[[str], Path]
CORPUS = load_corpus()


def documents() -> list[str]:
    return list(CORPUS.documents[:ROWS])


def two_collections(folder: Path) -> None:
    """Abstracts as the old model embedded them, in the two collections that the pages name."""
    with open_client(folder) as client:
        for name in ("thought_nodes", "abstracts"):
            client.create_collection(name, embedding_function=None).add(
                ids=[f"n{row}" for row in range(ROWS)],
                documents=documents(),
                embeddings=CORPUS.new_documents[:ROWS],
            )


def migrated(folder: Path) -> None:
    """The same after a migration, from a model that is still at hand."""
    old, new = shared_wordllama(128).embed(documents()), shared_wordllama().embed(documents())
    with open_client(folder) as client:
        client.create_collection("thought_nodes", embedding_function=None).add(
            ids=[f"n{row}" for row in range(ROWS)], documents=documents(), embeddings=old
        )
    Migrator(folder).migrate_collection("thought_nodes", fit(old, new, method="ridge"))


def with_projection(folder: Path) -> None:
    """A projection as `train` has saved it, and no database."""
    source, target = Model("all-MiniLM-L6-v2", 384), Model("text-embedding-3-small", 256)
    (folder.parents[2] / "projections").mkdir(parents=True)
    fit(
        CORPUS.new_documents[:ROWS],
        shared_wordllama().embed(documents()),
        method="ridge",
        source_model=source,
        target_model=target,
    ).save(folder.parents[2] / "projections" / f"{source.name}_to_{target.name}.npz")


def texts_elsewhere(folder: Path) -> None:
    """A collection whose texts are in its metadata, and one without texts."""
    rows = [text.partition(". ") for text in documents()]
    vectors = shared_wordllama(128).embed([f"{title} {rest}" for title, _, rest in rows])
    ids = [f"n{row}" for row in range(ROWS)]
    with open_client(folder) as client:
        client.create_collection("titled", embedding_function=None).add(
            ids=ids, embeddings=vectors, metadatas=[{"title": title, "abstract": rest} for title, _, rest in rows]
        )
        client.create_collection("bare", embedding_function=None).add(ids=ids, embeddings=vectors)
    lines = [
        json.dumps({"id": name, "text": f"{title} {rest}"}) for name, (title, _, rest) in zip(ids, rows, strict=True)
    ]
    (folder.parents[2] / "texts.jsonl").write_text("\n".join(lines))


PREPARE: dict[str, Callable[[Path], None]] = {
    "docs/how-to/texts.md": texts_elsewhere,
    "docs/how-to/thresholds.md": migrated,
    "docs/how-to/roll-back.md": migrated,
    "docs/how-to/registry.md": with_projection,
}


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


# What the Python of a page uses and does not make itself; made before the first block that names it.
NAMES: dict[str, Callable[[], Any]] = {
    "old_vectors": lambda: CORPUS.new_documents[:ROWS],
    "new_vectors": lambda: shared_wordllama().embed(documents()),
    "texts": documents,
    "my_embedding_function": lambda: WordLlamaFunction(),
    "new_function": lambda: WordLlamaFunction(),
}


class Place:
    """Where a page is followed: the current folder, and what its blocks share."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._names: dict[str, Any] = {}
        self._stack = stack
        self._port = ""

    def run(self, block: Block) -> None:
        """Run a block, as a user would."""
        if block.language == "python":
            self._run_python(block.code)
            return
        for first, *words in block.commands():
            if first not in INSTALLERS:
                assert first == "lightmigrate", first
                run_command([self.port if word == "8000" else word for word in words])

    def _run_python(self, code: str) -> None:
        made = {"client": lambda: self._stack.enter_context(open_client(DATABASE)), **NAMES}
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

    A plan that surely keeps less than doing nothing is refused, as so few documents may make it; then by --force.
    """
    group: Any = typer.main.get_command(application(words[0]))
    asks = any("--yes" in parameter.opts for parameter in group.commands[words[0]].params)
    words = [*words, *(["--yes"] if asks and words[0] != "clean" and "--yes" not in words else [])]
    if is_below_nothing(words):
        assert ended_with(words) == 2, words
        words.append("--force")
    assert not ended_with(words), words


def ended_with(words: list[str]) -> object:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code


def is_below_nothing(words: list[str]) -> bool:
    return "--plan" in words and BudgetPlan.load(Path(words[words.index("--plan") + 1])).is_below_nothing


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
