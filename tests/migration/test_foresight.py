"""Whether a graph is kept is known before anything is written: searches through it give what Chroma will give."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lightmigrate import ChromaMigrator, CollectionJob, Model, Projection
from lightmigrate.migration import verify
from lightmigrate.migration.aside import build
from lightmigrate.migration.recall import Exact
from lightmigrate.migration.results import MigrationResult
from lightmigrate.stores.chroma import foresight
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.graph import Graph
from lightmigrate.stores.chroma.hnsw import HnswFiles
from lightmigrate.stores.chroma.replacement import ChromaReplacement
from lightmigrate.vectors import Metric, Vectors

ROWS, DIMENSION = 1300, 12
A, B = Model("a", DIMENSION), Model("b", DIMENSION)


def vectors(rows: int = ROWS, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).normal(size=(rows, DIMENSION)).astype(np.float32)


def projection(*, keeps: bool) -> Projection:
    """A rotation, which changes no neighbour; or one number of twelve, which leaves few of them."""
    weights = np.linalg.qr(vectors(DIMENSION, seed=5))[0].astype(np.float32)
    if not keeps:
        weights = np.diag([1.0, 1.0, *[0.01] * (DIMENSION - 2)]).astype(np.float32)
    return Projection.affine(weights, np.zeros(DIMENSION, np.float32), source=A, target=B)


def database(folder: Path, space: Metric, *, changed: bool = False) -> Path:
    """A sparse graph with a short list, so that searches miss some.

    Where it was `changed`, records were deleted, and some are only in the log: Chroma links these anew.
    """
    settings = {"space": space, "ef_search": 12, "ef_construction": 30, "max_neighbors": 6, "sync_threshold": 1250}
    with open_client(folder) as client:
        collection = client.create_collection("notes", embedding_function=None, configuration={"hnsw": settings})
        ids = [f"r{row}" for row in range(ROWS)]
        collection.add(ids=ids[:1250], embeddings=vectors()[:1250])
        if changed:
            collection.delete(ids=ids[100:140])
            collection.add(ids=ids[1250:], embeddings=vectors()[1250:])
    return folder


@pytest.fixture
def recalls(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every recall that is measured: of the old index, of its kept graph (once, or twice), of the new index."""
    measured: list[float] = []
    plain = Exact.recalls_of

    def recalls_of(self: Exact, distances: Sequence[Sequence[float]] | Vectors) -> npt.NDArray[np.float64]:
        found = plain(self, distances)
        measured.append(float(found.mean()))
        return found

    monkeypatch.setattr(Exact, "recalls_of", recalls_of)
    return measured


def migrate(folder: Path, projection: Projection, *, soon_exact: bool = False) -> MigrationResult:
    (result,) = ChromaMigrator(folder).migrate([CollectionJob("notes", projection, soon_exact=soon_exact)], force=True)
    return result


@pytest.mark.parametrize("space", ["cosine", "l2", "ip"])
@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("changed", [False, True])
def test_it_is_known_what_chroma_will_find_through_a_graph_that_is_kept(
    space: Metric, keeps: bool, changed: bool, tmp_path: Path, recalls: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "LOSS", 1.0)  # it is kept whatever it finds
    monkeypatch.setattr(build, "FIRST_SEARCHES", 10**6)
    monkeypatch.setattr(verify, "FOUND_TOLERANCE", 1.0)
    if keeps:
        monkeypatch.setattr(foresight, "MOST_IN_MEMORY", 0)  # vectors are read from the draft at every step
    folder = database(tmp_path / "home" / "db", space, changed=changed)
    result = migrate(folder, projection(keeps=keeps))
    before, foreseen, after = recalls
    assert result.index == "keep"
    assert result.verification is not None
    assert (result.verification.recall_before, result.verification.recall) == (before, after)
    assert foreseen == pytest.approx(after, abs=0.06 if changed else 0.001)  # Chroma links some anew
    assert before < 1.0, "otherwise this shows nothing"


def test_a_graph_that_would_find_less_is_not_written_at_all(
    tmp_path: Path, recalls: list[float], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def never(*given: Any) -> None:
        raise AssertionError("the graph was written")

    monkeypatch.setattr(ChromaReplacement, "_exchange_vectors", never)
    folder = database(tmp_path / "home" / "db", "cosine")
    with caplog.at_level("INFO", "lightmigrate"):
        result = migrate(folder, projection(keeps=False))
    _, foreseen, after = recalls
    assert result.index == "rebuild"
    assert after > foreseen
    assert f"would find {foreseen:.3f} of the nearest" in caplog.text
    assert ChromaMigrator(folder).verify()[0].vectors_equal


@pytest.mark.parametrize(("most", "index"), [(0.9, "keep"), (0.05, "rebuild")])
def test_for_vectors_that_are_replaced_soon_a_graph_may_find_less(
    most: float, index: str, tmp_path: Path, recalls: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "LOSS_BEFORE_EXACT", most)
    folder = database(tmp_path / "home" / "db", "cosine")
    assert migrate(folder, projection(keeps=False), soon_exact=True).index == index
    before, foreseen, _ = recalls
    assert before - 0.9 < foreseen < before - 0.05, "otherwise this shows nothing"
    assert ChromaMigrator(folder).verify()[0].vectors_equal


def test_a_graph_that_serves_as_well_is_kept_and_nothing_is_said(
    tmp_path: Path, recalls: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "lightmigrate"):
        result = migrate(database(tmp_path / "home" / "db", "cosine"), projection(keeps=True))
    assert result.index == "keep"
    assert len(recalls) == 3, "before, by the first searches, after: each finds what it found before"
    assert not caplog.messages


@pytest.mark.parametrize(("small", "measured"), [(True, 3), (False, 4)])
def test_what_the_first_searches_leave_open_the_others_decide_unless_a_new_index_is_built_as_soon(
    small: bool, measured: int, tmp_path: Path, recalls: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "CERTAIN", 100.0)
    monkeypatch.setattr(build, "QUICKLY_BUILT", ROWS if small else 0)
    assert migrate(database(tmp_path / "home" / "db", "cosine"), projection(keeps=False)).index == "rebuild"
    assert len(recalls) == measured


def test_a_graph_that_surely_serves_as_well_is_searched_no_longer(tmp_path: Path, recalls: list[float]) -> None:
    folder = tmp_path / "home" / "db"
    with open_client(folder) as client:
        collection = client.create_collection("notes", embedding_function=None)
        collection.add(ids=[f"r{row}" for row in range(ROWS)], embeddings=vectors())
    assert migrate(folder, projection(keeps=True)).index == "keep"
    assert len(recalls) == 3, "before, by the first searches, after"


def test_links_that_lead_nowhere_are_an_unknown_layout(tmp_path: Path) -> None:
    (header,) = database(tmp_path / "db", "cosine").glob("*/header.bin")
    index = HnswFiles.open(header.parent)
    file = header.parent / "data_level0.bin"
    content = bytearray(file.read_bytes())
    for element in range(index.elements):
        content[element * index.size : element * index.size + 8] = struct.pack("<II", 1, index.elements + 7)
    file.write_bytes(content)
    graph = Graph.open(HnswFiles.open(header.parent))
    with pytest.raises(ValueError, match="does not have"):
        graph.search(1, lambda queries, elements: np.ones(len(elements), np.float32), 10)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="maps of a process are listed by Linux only")
def test_what_was_read_of_an_index_does_not_stay_in_memory(tmp_path: Path) -> None:
    (header,) = database(tmp_path / "db", "cosine").glob("*/header.bin")
    graph = Graph.open(HnswFiles.open(header.parent))
    graph.search(1, lambda queries, elements: np.ones(len(elements), np.float32), 10)
    assert str(header.parent) not in Path("/proc/self/maps").read_text()
