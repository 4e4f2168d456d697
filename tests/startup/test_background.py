"""While an application serves, every projected row becomes exact, and goes on doing so after a kill."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import auto_migrate
from lightmigrate.providers.base import Bill
from lightmigrate.providers.chroma import ChromaProvider
from lightmigrate.refinement.ledger import Ledger
from lightmigrate.refinement.lock import elected
from lightmigrate.refinement.provenance import NOT_EXACT, Provenance, VectorOrigin
from lightmigrate.startup.report import StartReport
from lightmigrate.stores.base import Address
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.vectors import Vectors
from tests import encoders
from tests.migration.shadow.server import running_server
from tests.processes import start, was_killed
from tests.startup.serving import (
    FIRST_STEP,
    IDS,
    SERVED,
    fill,
    open_folder,
    require_reembedded,
    search,
    serve,
    settings_of,
)
from tests.startup.starts import CORPUS, NEW, WORDLLAMA, vectors_of

MEMORY = Address("memory")
TIMEOUT = 300

# For a whole refinement of more records than usual.
SECONDS = max(120.0, SERVED / 10)

# In the middle of a batch, before half of the rows are exact.
KILLED_AT = SERVED // 5 - 6


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    settings = settings_of(tmp_path)
    monkeypatch.delenv("LIGHTMIGRATE_REFINE")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return settings


@pytest.fixture
def folder(tmp_path: Path, environment: dict[str, str]) -> Path:
    """A database of the old model."""
    with open_folder(tmp_path / "home" / "chroma_data") as client:
        fill(client)
    return tmp_path / "home" / "chroma_data"


@pytest.fixture
def started(folder: Path) -> Iterator[Callable[..., StartReport]]:
    """Starts of the application; what they left running is ended."""
    reports: list[StartReport] = []

    def begin(**options: Any) -> StartReport:
        reports.append(auto_migrate(folder, NEW, **{**FIRST_STEP, **options}))
        return reports[-1]

    yield begin
    for report in reports:
        if report.refinement is not None:
            report.refinement.stop()
            assert report.refinement.wait(TIMEOUT)


def projected(place: Path) -> list[str]:
    with Provenance.existing(place) as provenance:
        return list(provenance.ids(MEMORY, *NOT_EXACT))


def test_a_folder_that_is_killed_twice_ends_exact(folder: Path, environment: dict[str, str]) -> None:
    left: list[int] = []
    for _ in range(2):
        assert was_killed(start(serve, str(folder), environment, KILLED_AT), SECONDS)
        left.append(len(projected(folder)))
    assert left[0] > left[1] > 0, "each run made some rows exact, and none all of them"
    assert not was_killed(start(serve, str(folder), environment, 10 * SERVED), SECONDS)
    assert projected(folder) == []
    calls = encoders._Function.calls
    report = auto_migrate(folder, NEW, **FIRST_STEP)
    assert report.action == "nothing"
    assert report.refinement is not None, "are all rows still reachable, as the index was read from its file?"
    with open_folder(folder) as client:
        assert report.refinement.wait(TIMEOUT)
        assert report.refinement.status.state == "exact"
        require_reembedded(client)
    assert encoders._Function.calls == calls + 1, "is it still the same model?"


def test_a_server_whose_application_is_killed_twice_ends_exact(tmp_path: Path, environment: dict[str, str]) -> None:
    with running_server(tmp_path / "db") as server:
        fill(server.client())
        for _ in range(2):
            assert was_killed(start(serve, str(server.port), environment, KILLED_AT), SECONDS)
        assert not was_killed(start(serve, str(server.port), environment, 10 * SERVED), SECONDS)
        require_reembedded(server.client())


def test_what_the_application_does_meanwhile_is_kept_and_seen(
    folder: Path, started: Callable[..., StartReport], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "lightmigrate"):
        report = started()
        assert report.refinement is not None
        assert report.to_json()["refinement"]["state"] == "waiting"
        report.refinement.pause()
        waiting = projected(folder)
        changed, deleted, *others = waiting
        with open_folder(folder) as client:
            memory = client.get_collection("memory", embedding_function=None)
            vector = vectors_of(WORDLLAMA)[:1]
            memory.update(ids=[changed], documents=["another text"], embeddings=NEW.embed(["another text"]))
            memory.delete(ids=[deleted])
            memory.add(ids=["late"], documents=[CORPUS.documents[0]], embeddings=vector[:, ::-1])
            report.refinement.resume()
            search(client, report)
            held = memory.get(ids=["late", changed, *others], include=["embeddings"])
            vectors = dict(zip(held["ids"], np.asarray(held["embeddings"]), strict=True))
            np.testing.assert_allclose(vectors["late"], vector[0, ::-1], atol=1e-6)
            np.testing.assert_allclose(vectors[changed], NEW.embed(["another text"])[0], atol=1e-6)
            row_of = {record: row for row, record in enumerate(IDS)}
            for record in others:
                np.testing.assert_allclose(vectors[record], vectors_of(WORDLLAMA)[row_of[record]], atol=1e-5)
            assert memory.get(ids=[deleted])["ids"] == []
            assert report.refinement.status.exact == len(others)
    lines = [line for line in caplog.messages if "background" in line or "is exact now" in line]
    assert len(lines) == 2
    assert lines[0].startswith(f"refining in the background: {len(waiting)} rows of memory are projected")
    assert lines[1].startswith(f"✓ every row of memory is exact now: {len(others)} rows were embedded in ")


def test_rows_that_searches_returned_come_first(
    folder: Path, started: Callable[..., StartReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    replace_vectors = ChromaCollection.replace_vectors

    def noted(collection: ChromaCollection, ids: Sequence[str], vectors: Vectors) -> None:
        written.extend(ids)
        replace_vectors(collection, ids, vectors)

    report = started()
    assert report.refinement is not None
    report.refinement.pause()
    waiting = projected(folder)
    row = IDS.index(waiting[-1])
    report.refinement.searched([waiting[7]])
    monkeypatch.setattr(ChromaCollection, "replace_vectors", noted)
    with open_folder(folder) as client:
        memory = client.get_collection("memory", embedding_function=None)
        while "_query" not in vars(client._server):
            report.refinement.wait(0.01)  # it has found the database
        found = memory.query(query_embeddings=vectors_of(WORDLLAMA)[row : row + 1], n_results=3)["ids"][0]
        first = [record for record in [waiting[7], *found] if record in waiting]
        assert len(first) >= 2
        report.refinement.resume()
        while len(written) < len(first) and not report.refinement.wait(0.01):
            pass  # other searches would have others written first
        search(client, report)
    assert written[: len(first)] == first


def test_closing_the_database_ends_it_and_the_next_start_goes_on(
    folder: Path, started: Callable[..., StartReport]
) -> None:
    refinement = started().refinement
    assert refinement is not None
    with open_folder(folder) as client:
        while not refinement.status.exact:
            client.heartbeat()
            refinement.wait(0.01)
    assert refinement.wait(TIMEOUT)
    if refinement.status.state != "exact":
        assert (refinement.status.state, refinement.status.reason) == (
            "stopped", "the application closed the database",
        )  # fmt: skip
    again = started().refinement
    assert again is not None
    with open_folder(folder) as client:
        assert again.wait(TIMEOUT)
        assert again.status.state == "exact"
        require_reembedded(client)


def test_another_process_does_it(folder: Path, started: Callable[..., StartReport]) -> None:
    lock = elected(folder)
    assert lock is not None
    refinement = started().refinement
    assert refinement is not None
    with open_folder(folder):
        with lock:
            while refinement.status.reason != "another process does it":
                refinement.wait(0.01)
            assert refinement.status.exact == 0
        assert refinement.wait(TIMEOUT), "the other one has ended"
        assert refinement.status.reason == "every row is exact"


def test_a_folder_that_another_process_has_open_is_left_alone(
    folder: Path, started: Callable[..., StartReport], caplog: pytest.LogCaptureFixture
) -> None:
    report = started()
    assert report.refinement is not None
    program = f"file = open({str(folder / 'chroma.sqlite3')!r}); print(flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with other:
        assert other.stdout is not None
        other.stdout.readline()
        with open_folder(folder):
            while report.refinement.status.reason != f"another process has {folder} open":
                assert not report.refinement.wait(0.01)
            assert report.refinement.status.state == "waiting"
            report.refinement.stop()
            assert report.refinement.wait(TIMEOUT)
        other.kill()
    (line,) = [line for line in caplog.messages if "stay projected for now" in line]
    assert line.endswith(f"lightmigrate refine {folder}")
    assert report.refinement.status.exact == 0


def test_a_model_that_fails_ends_it_with_one_line(
    folder: Path,
    started: Callable[..., StartReport],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    report = started()
    assert report.refinement is not None

    def fail(provider: ChromaProvider, texts: Any, queries: bool = False) -> Any:
        raise OSError("not a matter of the server")

    monkeypatch.setattr(ChromaProvider, "encode", fail)
    with open_folder(folder) as client:
        assert report.refinement.wait(TIMEOUT)
        assert client.get_collection("memory", embedding_function=None).count() == SERVED
    assert report.refinement.status.state == "failed"
    assert [record.levelname for record in caplog.records if "in the background" in record.message] == ["WARNING"]


def test_it_can_be_off_and_says_how_where_it_may_not(
    folder: Path, started: Callable[..., StartReport], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert started(refine="off").refinement is None
    monkeypatch.setattr(ChromaProvider, "priced", lambda provider, tokens: Bill(tokens, tokens / 1000))
    with caplog.at_level(logging.INFO, "lightmigrate"):
        assert started().refinement is None
    (line,) = [line for line in caplog.messages if "stay projected" in line]
    assert f"{len(projected(folder))} rows of memory stay projected (the model costs money" in line
    assert line.endswith(f"lightmigrate refine {folder}")
    allowed = started(max_cost_per_day=1e-9).refinement
    assert allowed is not None
    with open_folder(folder):
        assert allowed.wait(TIMEOUT)
    assert "more than" in allowed.status.reason or "are spent" in allowed.status.reason
    assert allowed.status.exact == 0
    with Provenance.existing(folder) as provenance:
        assert provenance.counts(MEMORY)[VectorOrigin.EXACT] == SERVED - len(projected(folder))


def test_what_a_start_pays_counts_for_later_ones_whatever_becomes_of_it(
    folder: Path, started: Callable[..., StartReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChromaProvider, "priced", lambda provider, tokens: Bill(tokens, tokens / 1000))
    assert started(refine="off").action == "migrated"
    ledger = Ledger(Provenance.file_in(folder))
    paid = ledger.spent()
    assert paid > 0, "although nothing is refined"

    def another_model(texts: Sequence[str]) -> Any:
        return [vector[::-1] for vector in NEW.embed(list(texts))]

    refused = auto_migrate(folder, another_model, calibrate=0, refine="off")
    assert refused.action == "refused"
    assert ledger.spent() > paid
    paid = ledger.spent()
    assert started(refine="off").action == "nothing"
    assert ledger.spent() == paid
