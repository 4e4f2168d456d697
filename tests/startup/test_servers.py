"""Real servers: one that is restarted with another model, and four processes that start at once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.processes import wait_until_open
from tests.startup.starts import CORPUS, MINILM, ROWS, WORDLLAMA, database_of, registry

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def serving(command: Sequence[str], folder: Path, function: str, log: Path, **environment: str) -> Iterator[str]:
    """A server; its address."""
    port = free_port()
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "CHROMA_FOLDER": str(folder),
        "EMBEDDING_FUNCTION": f"tests.encoders:{function}",
        **environment,
    }
    with log.open("wb") as output:
        line = [part.format(port=port) for part in command]
        process = subprocess.Popen(
            [sys.executable, "-m", *line], stdout=output, stderr=output, env=variables, cwd=ROOT, start_new_session=True
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until_open(port, process)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


def get(address: str, path: str) -> Any:
    with urllib.request.urlopen(address + path, timeout=600) as answer:
        return json.loads(answer.read())


def search(address: str, text: str) -> list[str]:
    return list(get(address, "/search?" + urllib.parse.urlencode({"q": text}))["ids"])


UVICORN = ("uvicorn", "examples.server:app", "--host", "127.0.0.1", "--port", "{port}")
GUNICORN = (
    "gunicorn", "examples.server:app", "-w", "4", "-k", "uvicorn.workers.UvicornWorker", "--bind", "127.0.0.1:{port}",
    "--timeout", "600",
)  # fmt: skip


def test_a_server_that_is_restarted_with_another_model_goes_on_answering(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "chroma_data"
    settings = {"LIGHTMIGRATE_CALIBRATE": "100", "LIGHTMIGRATE_MIN_QUALITY": "0.3"}
    with serving(UVICORN, folder, "WordLlamaFunction", tmp_path / "first.log") as address:
        for one, text in zip(CORPUS.ids[:120], CORPUS.documents[:120], strict=True):
            body = json.dumps({"id": one, "text": text}).encode()
            urllib.request.urlopen(urllib.request.Request(f"{address}/documents", body, method="POST")).read()
        assert get(address, "/start")["action"] == "nothing"
        assert search(address, CORPUS.documents[7][:200])[0] == CORPUS.ids[7]
    with serving(UVICORN, folder, "ShortWordLlamaFunction", tmp_path / "second.log", **settings) as address:
        started = get(address, "/start")
        assert (started["action"], started["collections"][0]["origin"]) == ("migrated", "arithmetic")
        hits = sum(search(address, CORPUS.documents[row][:200])[0] == CORPUS.ids[row] for row in range(0, 120, 6))
        assert hits >= 15, "of 20 documents found by their first words"
        body = json.dumps({"id": "new", "text": "a document in the words of the new model"}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{address}/documents", body, method="POST")).read()
        assert search(address, "a document in the words of the new model")[0] == "new"
    said = (tmp_path / "second.log").read_text()
    assert "; computing them..." in said, "the new model is the first numbers of the old one"
    assert "INFO: ✓ Migration complete: 120 vectors migrated" in said
    assert not any(text[:60] in said for text in CORPUS.documents[:120])


def test_of_four_workers_that_start_at_once_one_migrates(tmp_path: Path) -> None:
    folder = database_of(MINILM, tmp_path / "home" / "chroma_data")
    registry(tmp_path / "registry", (MINILM, WORDLLAMA))
    settings = {"LIGHTMIGRATE_CALIBRATE": "0", "LIGHTMIGRATE_MIN_QUALITY": "0.2"}
    log = tmp_path / "workers.log"
    with serving(GUNICORN, folder, "WordLlamaFunction", log, **settings) as address:
        assert search(address, CORPUS.documents[7][:200])[0] == CORPUS.ids[7]
        for _ in range(12):
            search(address, CORPUS.documents[3][:200])
    said = log.read_text()
    assert said.count(f"✓ Migration complete: {ROWS} vectors migrated") == 1
    assert said.count("Application startup complete") == 4
    assert "Traceback" not in said
    assert len(list(folder.parent.glob("chroma_backup_*"))) == 1
