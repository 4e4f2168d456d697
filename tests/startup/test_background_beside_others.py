"""A background refinement waits while another process has the folder open: two that write it damage it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from langchain_chroma import Chroma

from lightmigrate import auto_migrate
from lightmigrate.refinement import background
from lightmigrate.refinement.background import BackgroundRefinement
from lightmigrate.startup.report import StartReport
from tests.processes import SERVES, another_process
from tests.startup.serving import FIRST_STEP, SERVED, fill, open_folder, require_reembedded, settings_of
from tests.startup.starts import NEW

TIMEOUT = 300

# Opens a folder, writes as many records as make the engine write its index, too, and goes on until its input ends.
WRITES = """
import sys, chromadb
client = chromadb.PersistentClient(sys.argv[1])
memory = client.get_collection('memory', embedding_function=None)
for start in range(0, 1200, 100):
    memory.add(ids=[f'o{start + row}' for row in range(100)], embeddings=[[1.0] * 255 + [row] for row in range(100)])
print('open', flush=True)
sys.stdin.read()
"""

Start = Callable[[object], BackgroundRefinement]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database of the old model, of whose users it is looked often."""
    monkeypatch.delenv("LIGHTMIGRATE_REFINE")
    for name, value in settings_of(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(background, "SECONDS_TO_COUNT_USERS", 0.2)
    with open_folder(tmp_path / "home" / "chroma_data") as client:
        fill(client)
    return tmp_path / "home" / "chroma_data"


@pytest.fixture
def started() -> Iterator[Start]:
    """Starts of the application; what they left running is ended."""
    reports: list[StartReport] = []

    def begin(database: object) -> BackgroundRefinement:
        reports.append(auto_migrate(database, NEW, **FIRST_STEP))
        refinement = reports[-1].refinement
        assert refinement is not None, reports[-1].error
        return refinement

    yield begin
    for report in reports:
        if report.refinement is not None:
            report.refinement.stop()
            assert report.refinement.wait(TIMEOUT)


def wait_for(refinement: BackgroundRefinement, reason: str) -> None:
    while refinement.status.reason != reason:
        assert not refinement.wait(0.01), refinement.status


@pytest.mark.parametrize("opened", ["folder", "client", "langchain"])
def test_it_waits_until_the_folder_is_closed_there_and_says_so_once(
    folder: Path, started: Start, opened: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = None if opened == "folder" else open_folder(folder)
    given = Chroma("memory", client=client) if opened == "langchain" else client
    refinement = started(folder if given is None else given)
    refinement.pause()
    with another_process(SERVES, folder):
        refinement.resume()
        client = client or open_folder(folder)
        wait_for(refinement, f"another process has {folder} open")
        waiting = refinement.status
    assert refinement.wait(TIMEOUT)
    assert (waiting.state, refinement.status.state) == ("waiting", "exact")
    require_reembedded(client)
    client.close()
    (line,) = [line for line in caplog.messages if "stay projected for now" in line]
    assert line.endswith(f"lightmigrate refine {folder}")


def test_a_changed_index_ends_it_while_the_application_goes_on(
    folder: Path, started: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """This process would go on from the index that it holds, and no process could read the folder any more."""
    refinement = started(folder)
    with another_process(SERVES, folder) as other, open_folder(folder):
        wait_for(refinement, f"another process has {folder} open")
        with another_process(WRITES, folder):
            pass
        assert other.stdin is not None
        other.stdin.close()
        assert refinement.wait(TIMEOUT)
    assert refinement.status.reason == f"files of {folder} were changed while another process had it open"
    (line,) = [line for line in caplog.messages if "goes on at the next start" in line]
    assert line.endswith(refinement.status.reason)
    with open_folder(folder) as client:
        memory = client.get_collection("memory", embedding_function=None)
        found = memory.query(query_embeddings=[[1.0] * 256], n_results=SERVED + 1200)["ids"][0]
    assert len(found) == SERVED + 1200
