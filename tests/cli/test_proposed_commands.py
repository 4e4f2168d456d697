"""Every command that a message proposes can be run as it stands on that database: none is a wrong usage."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lightmigrate import CollectionJob, Migrator
from lightmigrate.cli.app import main
from lightmigrate.errors import LightmigrateError
from lightmigrate.projection.model import Model
from lightmigrate.providers.openai import OpenAIProvider
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.collection import ChromaCollection
from tests.databases import make_projection
from tests.encoders import WordLlamaFunction
from tests.migration.test_damaged import index_of

# A command in a message stands between two spaces, or at the end.
_COMMAND = re.compile(r"lightmigrate ((?:train|plan|migrate|refine|status|resume|rollback|clean|verify|doctor|registry"
                      r"|bridge|inspect)\b.*?)(?=  |; |, |\n|$)")  # fmt: skip

# What typer, and the commands themselves, say to a call that is wrong.
_WRONG_USAGE = (
    "no such option", "missing", "unexpected", "got unexpected", "see lightmigrate --help", "give --projection",
    "name one database", "no such folder", "no such command", "needs the new model", "name each with", "is not a share",
)  # fmt: skip


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command prints, in one line for each that it prints."""
    with pytest.raises(SystemExit):
        main(list(words))
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A database with a blank in its name, as on a Mac."""
    place = tmp_path / "my data" / "chroma"
    with open_client(place) as client:
        for name in ("two words", "notes"):
            collection = client.create_collection(
                name.replace(" ", "-"),
                embedding_function=None,
                configuration={"hnsw": {"sync_threshold": 10, "batch_size": 5}},
            )
            vectors = np.random.default_rng(0).normal(size=(20, 16)).astype(np.float32)
            collection.add([f"r{row}" for row in range(20)], vectors, documents=[f"text {row}" for row in range(20)])
    return place


class KilledError(BaseException):
    """Stands in for a signal, as Ctrl-C does."""


def interrupted(folder: Path) -> None:
    def die(progress: object) -> None:
        if getattr(progress, "step", "") == "project":
            raise KilledError

    with pytest.raises(KilledError):
        Migrator(folder, on_progress=die).migrate([CollectionJob("notes", make_projection())])


def damaged(folder: Path) -> None:
    shutil.rmtree(index_of(folder, "two-words"))


def stated(folder: Path) -> None:
    """The metadata state another distance than the index has, as Chroma 0.4 and 0.5 allowed."""
    with open_client(folder) as client:
        handle = client.get_collection("two-words", embedding_function=None)
        ChromaCollection(client, handle).set_metadata({"hnsw:space": "cosine"})


def images(folder: Path) -> None:
    """Records that are no texts, beside texts."""
    with open_client(folder) as client:
        vectors = np.random.default_rng(1).normal(size=(5, 16)).astype(np.float32)
        uris = [f"/{row}.png" for row in range(5)]
        client.get_collection("notes", embedding_function=None).add([f"i{row}" for row in range(5)], vectors, uris=uris)


def nothing(folder: Path) -> None:
    """As it is."""


SITUATIONS: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "status without a plan": (nothing, ["status", "PATH"]),
    "thresholds without a migration": (nothing, ["status", "PATH", "--thresholds", ".3"]),
    "refine without a plan": (nothing, ["refine", "PATH"]),
    "verify without a migration": (nothing, ["verify", "PATH"]),
    "doctor": (nothing, ["doctor", "PATH"]),
    "doctor of another distance": (stated, ["doctor", "PATH"]),
    "plan of another distance": (stated, ["plan", "PATH", "-p", "PROJECTION"]),
    "doctor of a damaged one": (damaged, ["doctor", "PATH"]),
    "train on a damaged one": (damaged, ["train", "--from", "PATH", "--collection", "two-words", "--target-model", "M",
                                         "--target-provider", "openai"]),
    "plan of a damaged one": (damaged, ["plan", "PATH", "-p", "PROJECTION"]),
    "migrate of a damaged one": (damaged, ["migrate", "PATH", "-p", "PROJECTION", "-c", "two-words", "-y"]),
    "an interrupted one": (interrupted, ["doctor", "PATH"]),
    "plan of an interrupted one": (interrupted, ["status", "PATH"]),
    "no plan in the file": (nothing, ["migrate", "PATH", "--plan", "PROJECTION"]),
    "too few texts": (nothing, ["plan", "PATH", "-c", "notes", "--target-model", "M", "--target-provider", "openai",
                                "--samples", "100"]),
    "plan with a projection": (nothing, ["plan", "PATH", "-p", "PROJECTION"]),
    "migrate with a projection": (nothing, ["migrate", "PATH", "-p", "PROJECTION", "-y", "--force"]),
}  # fmt: skip


@pytest.fixture(autouse=True)
def unreachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No model is reached: a command that would call one ends there, at the first try."""
    defaults = OpenAIProvider.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "retries", 0)
    monkeypatch.setenv("OPENAI_API_KEY", "no key")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_proposed_commands_run(
    situation: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare, words = SITUATIONS[situation]
    prepare(folder)
    projection = make_projection().save(tmp_path / "p.npz")
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(f"a text about {row}" for row in range(60)))
    filled = [str({"PATH": folder, "PROJECTION": projection}.get(word, word)) for word in words]
    printed = run(capsys, *filled)
    assert "DATABASE" not in printed
    proposed = [shlex.split(found) for found in _COMMAND.findall(printed)]
    assert proposed or "migrate with" in situation, printed
    for command in proposed:
        model = ["--target-provider", "openai"] if "--target-model" in command else []
        consent = ["--yes"] if command[0] in ("migrate", "refine") else []
        places = {
            "FILE": str(texts if {"--texts", "--queries"} & set(command) else projection),
            "NEW_MODEL": "M",
            "MODEL": "M",
            "OLD": "O",
            "NEW": "N",
        }
        ready = [places.get(word, word) for word in command]
        answer = run(capsys, *ready, *model, *consent).lower()
        assert not any(wrong in answer for wrong in _WRONG_USAGE), (command, answer)


def test_messages_of_python_name_the_database_as_well(folder: Path) -> None:
    damaged(folder)
    job = CollectionJob("two-words", make_projection(source=Model("old", 16)))
    with pytest.raises(LightmigrateError) as caught:
        Migrator(folder).migrate([job])
    (command,) = _COMMAND.findall(str(caught.value))
    assert shlex.split(command)[:2] == ["migrate", str(folder)]


# A model that this process has, whose function is registered with Chroma.
OWN_MODEL = (
    "--target-provider", "chroma", "--target-model",
    json.dumps({"name": WordLlamaFunction.name(), "config": {"dimension": 64}}, separators=(",", ":")),
)  # fmt: skip


def test_records_that_are_no_texts_are_refused_with_the_command_that_insists(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images(folder)
    printed = run(capsys, "migrate", str(folder), "-c", "notes", *OWN_MODEL, "--calibrate", "50")
    (command,) = (shlex.split(found) for found in _COMMAND.findall(printed))
    assert command[:4] == ["migrate", str(folder), "--collection", "notes"]
    assert "20 different documents" in run(capsys, *command), "it goes on to the texts"


def test_a_limit_of_cost_holds_for_every_provider(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No provider but openai limits what it spends itself: the commands that propose `--max-cost` do."""
    for words in (
        ("plan", str(folder), "-c", "notes", *OWN_MODEL, "--max-cost", "1"),
        ("migrate", str(folder), "-c", "notes", *OWN_MODEL, "--max-cost", "1", "--yes"),
    ):
        assert "has no option" not in run(capsys, *words), words
    with open_client(folder) as client:
        assert client.get_collection("notes", embedding_function=None).get(include=["embeddings"])[
            "embeddings"
        ].shape == (
            20,
            64,
        )


def test_a_model_of_a_known_provider_is_not_asked_of_another(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = run(capsys, "migrate", str(folder), "--target-model", "text-embedding-3-large")
    assert "add --target-provider openai" in printed
