"""`migrate --target-model` alone: routes compared, the best one taken, or none with commands that work."""

from __future__ import annotations

import io
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from chromadb.utils.embedding_functions import OpenAIEmbeddingFunction
from rich.console import Console

from lightmigrate.cli.app import main
from lightmigrate.cli.show.routes import comparison
from lightmigrate.commands.consent import LITTLE_DOLLARS
from lightmigrate.migration.history import DOING_NOTHING
from lightmigrate.providers.base import estimated_tokens
from lightmigrate.providers.careful import PLAIN_WORD
from lightmigrate.providers.same_model import PROBE
from lightmigrate.quality.retention import EVERYTHING, QualityEstimate
from lightmigrate.routes.compare import Comparison
from lightmigrate.routes.route import Route
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.training.model_speed import TIMED
from lightmigrate.training.other_form import DOCUMENTS
from tests.budget.collections import ROWS, build, require_reembedded, texts
from tests.databases import folder_hash, make_vectors
from tests.encoders import WordLlamaFunction, shared_wordllama
from tests.providers.embedding_server import KEY, EmbeddingServer, running_server

MODEL = json.dumps({"name": "test_wordllama", "config": {"dimension": 128}})
NEW = ("--target-provider", "chroma", "--target-model", MODEL)

# A model that costs money; a server on this machine answers for it. At this price, dollars for a million tokens, the
# texts that are embedded before anybody is asked cost a few cents, and all of them more.
NEW_PAID = ("--target-provider", "openai", "--target-model", "minilm", "--target-url")
PRICE = 3.0

Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command; exit code, stdout (read as JSON where it is) and stderr."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)

    def call(*words: object) -> tuple[int, Any, str]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words)])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), json.loads(out) if out.startswith(("{", "[")) else out, err

    return call


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return build(tmp_path / "my home" / "db")


@pytest.fixture
def metered(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    """The server of a model that costs money."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with running_server() as server:
        server.model = shared_wordllama(128).embed
        yield server


def test_a_small_database_comes_out_exact(run: Run, folder: Path) -> None:
    code, out, shown = run("migrate", folder, *NEW, "--yes", "--json")
    assert (code, out[0]["n_migrated"], out[0]["current_dim"]) == (0, ROWS, 128)
    assert f"embed all {ROWS}" in shown
    assert "exact, and nothing else was measured" in shown
    with open_client(folder) as client:
        require_reembedded(client)
    code, out, _ = run("status", folder, "--json")
    assert (code, out[0]["share_exact"]) == (0, 1.0)
    assert run("verify", folder)[0] == 0
    assert run("rollback", folder, "--yes")[0] == 0
    assert run("doctor", folder, "--json")[1]["collections"][0]["dimension"] == 256


def test_nothing_is_changed_before_a_yes(run: Run, folder: Path) -> None:
    before = folder_hash(folder)
    code, _, message = run("migrate", folder, *NEW)
    assert (code, "not confirmed" in message) == (2, True)
    assert folder_hash(folder) == before


def paid(server: EmbeddingServer) -> list[str]:
    """The texts of the database that a model was asked for, without the words that tell which model it is."""
    return [text for text in server.texts if text not in (PROBE, PLAIN_WORD)]


def test_little_is_spent_before_a_yes_and_nothing_where_nothing_may_be(
    run: Run, folder: Path, metered: EmbeddingServer
) -> None:
    before, words = folder_hash(folder), ("migrate", folder, *NEW_PAID, metered.url, "--price", PRICE)
    code, _, message = run(*words, "--max-cost", "0", "--yes")
    assert (code, "within" in message) == (2, True)
    assert paid(metered) == []
    code, _, message = run(*words)
    assert (code, "not confirmed" in message) == (2, True)
    spent = PRICE / 1e6 * estimated_tokens(metered.texts)
    assert 0 < spent <= LITTLE_DOLLARS
    assert len(paid(metered)) <= DOCUMENTS + TIMED
    texts_before = len(metered.texts)
    code, _, message = run(*words, "--max-cost", ".01", "--yes")
    assert (code, "within" in message) == (2, True)
    assert 0 < PRICE / 1e6 * estimated_tokens(metered.texts[texts_before:]) <= 0.01
    assert folder_hash(folder) == before
    assert run(*words, "--yes")[0] == 0
    assert sorted(paid(metered)) == sorted(set(paid(metered))), "what was asked for before the yes is not paid twice"


def test_a_limit_is_of_all_that_a_run_asks_for(run: Run, folder: Path, metered: EmbeddingServer) -> None:
    """What recognises the vectors, measures the model and measures projections, together."""
    words = ("migrate", folder, *NEW_PAID, metered.url, "--price", PRICE)
    assert run(*words, "--max-cost", ".05", "--yes")[0] == 2
    assert 0.03 < PRICE / 1e6 * estimated_tokens(metered.texts) <= 0.05


@pytest.mark.parametrize("answer", ["n", "y"])
def test_more_than_a_little_is_asked_about_before_it_is_spent(
    run: Run, folder: Path, metered: EmbeddingServer, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """A dollar is asked about to recognise the vectors, another one to measure, and the migration; yes to the first."""
    before, questions = folder_hash(folder), []

    def answered(text: str, **options: Any) -> bool:
        questions.append(text)
        spent.append(len(paid(metered)))
        return len(questions) == 1 and answer == "y"

    spent: list[int] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "confirm", answered)
    code, _, message = run("migrate", folder, *NEW_PAID, metered.url, "--price", "100")
    assert (code, "not confirmed: nothing was changed" in " ".join(message.split())) == (2, True)
    assert folder_hash(folder) == before
    assert questions[0].startswith("Embed up to ")
    assert questions[0].endswith("to recognise whose the stored vectors are?")
    assert "about $" in questions[0]
    assert spent[0] == 0
    if answer == "n":
        assert (len(questions), paid(metered)) == (1, [])
    else:
        assert questions[1].endswith("to measure what projections keep?")
        assert len(questions) == 2
        assert len(paid(metered)) <= DOCUMENTS + TIMED, "what it agreed to, and little more"


def test_limits_that_no_route_keeps_name_commands_that_work(run: Run, folder: Path) -> None:
    before = folder_hash(folder)
    code, _, message = run("migrate", folder, *NEW, "--max-seconds", "0", "--yes")
    assert (code, "within 0 s" in message) == (2, True)
    assert folder_hash(folder) == before
    (command,) = [part for part in message.replace("\n", " ").split(":  ") if part.startswith("lightmigrate migrate")]
    words = shlex.split(command.strip())[1:]
    assert words[words.index("--max-seconds") + 1] != "0"
    words[words.index("--max-seconds") + 1] = "600"  # what was predicted on a busy machine may be short
    assert run(*words, "--yes")[0] == 0


def test_plan_shows_the_routes_and_the_command_that_takes_the_best(run: Run, folder: Path) -> None:
    before = folder_hash(folder)
    code, out, _ = run("plan", folder, *NEW, "--samples", 60)
    assert code == 0
    for expected in ("do nothing", f"embed all {ROWS}", "others", "ready", "expected quality"):
        assert expected in out
    assert folder_hash(folder) == before
    command = out[out.index("lightmigrate migrate") :].splitlines()[0]
    assert run(*shlex.split(command)[1:], "--yes")[0] == 0
    code, out, _ = run("plan", folder, *NEW, "--json")
    assert {"comparison", "curve", "plan"} <= out.keys()


def test_texts_and_limits_that_make_no_sense(run: Run, folder: Path) -> None:
    for words in (("--quality", "2"), ("--quality", "0"), ("--max-seconds", "-1"), ("--max-cost", "nan")):
        code, _, message = run("migrate", folder, *NEW, *words, "--yes")
        assert (code, words[0] in message) == (1, True)
    assert run("migrate", folder, "--yes")[0] == 1


def test_records_without_a_text_are_projected_from_the_others(run: Run, tmp_path: Path, folder: Path) -> None:
    some = [text if row % 10 else None for row, text in enumerate(texts())]
    from tests.budget.collections import add_records

    place = tmp_path / "half" / "db"
    with open_client(place) as client:
        add_records(client.create_collection("notes", embedding_function=None), some)
    code, _, message = run("migrate", place, *NEW, "--yes", "--json")
    assert code == 2
    assert "--quality" in message, "a tenth of the records cannot be embedded"
    code, out, _ = run("migrate", place, *NEW, "--quality", ".5", "--yes", "--json")
    assert (code, out[0]["n_migrated"]) == (0, ROWS)
    _, status, _ = run("status", place, "--json")
    assert (status[0]["exact"], status[0]["projected"]) == (ROWS - ROWS // 10, ROWS // 10)


@pytest.mark.parametrize("way", ["the best route", "embed again", "by a plan"])
def test_a_function_that_does_not_make_the_new_vectors_is_no_longer_recorded(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """An application that opened the collection without a function would search with the old model."""
    for name in ("OPENAI_API_KEY", "CHROMA_OPENAI_API_KEY", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, KEY if "KEY" in name else str(tmp_path / "cache"))
    place = tmp_path / "db"
    with open_client(place) as client:
        recorded = OpenAIEmbeddingFunction(model_name="text-embedding-ada-002")
        collection = client.create_collection("notes", embedding_function=recorded)
        collection.add([f"n{row}" for row in range(ROWS)], make_vectors(ROWS, 64), documents=texts())
    with running_server() as server:
        server.model = shared_wordllama().embed
        words: tuple[str, ...] = ("--target-provider", "openai", "--target-model", "minilm", "--target-url", server.url)
        if way == "by a plan":
            plan = tmp_path / "plan.json"
            assert run("plan", place, *words, "--budget", "80%", "-o", plan)[0] == 0
            words = ("--plan", str(plan), "--force")
        elif way == "embed again":
            words = (*words, "--embed-again", "-c", "notes")
        assert run("migrate", place, *words, "--yes")[0] == 0
    with open_client(place) as client:
        opened = client.get_collection("notes", embedding_function=WordLlamaFunction())
        assert opened.query(query_texts=[texts()[3]], n_results=1)["ids"] == [["n3"]]
    assert run("rollback", place, "--yes")[0] == 0
    (facts,) = run("doctor", place, "--json")[1]["collections"]
    assert (facts["dimension"], facts["embedding_function"]["name"]) == (64, "openai")


@pytest.mark.parametrize(("width", "with_texts"), [(80, False), (100, True)])
def test_the_number_of_texts_is_shown_where_it_fits_into_a_line(width: int, with_texts: bool) -> None:
    half = QualityEstimate(0.5, 0.4, 0.6)
    described = "embed 1,233, 8 content words of others"
    routes = (
        Route("nothing", DOING_NOTHING, 0, 0, 0.0, 0.0, None, None, half, False),
        Route("extracts", described, 2512, 141_000, 0.0, 88.0, 180.0, 0.0, half, True),
        Route("everything", "embed all 2,399", 2399, 252_000, 0.0, 120.0, 120.0, 0.0, EVERYTHING, True),
    )
    compared = Comparison(
        "new", "notes", 2400, 0, None, routes, routes[2], "exact", "embed again", (), 0, "", curve=None, known=None
    )
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(comparison(compared, width))
    head, _, extracts, everything, *_ = console.export_text().splitlines()
    assert ("texts" in head) == ("2.5 k" in extracts) == ("2.4 k" in everything) == with_texts
    assert described in extracts, "no line is broken for it"
