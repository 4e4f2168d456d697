"""A folder of real abstracts as an old model embedded them, and a plan for it with a new model behind a real server."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lightmigrate import BudgetPlan, Migrator
from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.openai import OpenAIProvider
from lightmigrate.providers.same_model import PROBE
from lightmigrate.stores.base import Address
from lightmigrate.vectors import Vectors
from tests.encoders import shared_wordllama
from tests.providers.embedding_server import MODEL, EmbeddingServer
from tests.startup.starts import CORPUS, MINILM, vectors_of

FILES, ROWS = 8, 40
PRICE = 1000.0  # a thousandth of a dollar a token
WORDS = 8  # of an extract


@dataclass(frozen=True)
class Case:
    """What a test migrates, of its own.

    Attributes:
        server: of the new model.
        folder: the files.
        single: the same rows in one file.
        plan: the plan's file.
        cache: what was embedded for the plan.
    """

    server: EmbeddingServer
    folder: Path
    single: Path
    plan: Path
    cache: Path

    def provider(self) -> Cached:
        """The new model with the cache."""
        return Cached(OpenAIProvider(MODEL, base_url=self.server.url, price=PRICE), self.cache)

    def words(self, *more: object) -> list[str]:
        """The words of the command that migrates the folder."""
        words = ["migrate", self.folder, "--plan", self.plan, "--cache", self.cache, "--force", "--yes", *more]
        return [str(word) for word in words]

    def asked(self) -> list[str]:
        """What the server was asked for, but for the question which model it is."""
        return [text for text in self.server.texts if text != PROBE]

    def copied(self, place: Path) -> Case:
        """The same in another folder."""
        shutil.copytree(self.folder.parent, place)
        return replace(
            self, **{name: place / getattr(self, name).name for name in ("folder", "single", "plan", "cache")}
        )


def build(place: Path, server: EmbeddingServer) -> Case:
    """Files of abstracts, some of them in several files, some records without a text; and a plan of extracts."""
    server.model = shared_wordllama().embed
    case = Case(server, place / "vectors", place / "single.parquet", place / "plan.json", place / "cache.sqlite3")
    texts: list[str | None] = list(CORPUS.documents[: FILES * ROWS])
    for number in range(FILES):
        texts[number * ROWS + 3] = CORPUS.documents[1000]  # in every file
        texts[number * ROWS + 5] = f"{' '.join(CORPUS.documents[1001].split()[:20])} and more of it, {number}"
        texts[number * ROWS + 7] = None
    vectors = vectors_of(MINILM)[: FILES * ROWS]
    case.folder.mkdir(parents=True)
    for number in range(FILES):
        _write(case.folder / f"part-{number}.parquet", texts, vectors, range(number * ROWS, (number + 1) * ROWS))
    _write(case.single, texts, vectors, range(FILES * ROWS))
    provider = case.provider()
    curve = Migrator(case.folder).cost_quality_curve(None, provider, samples=60, lengths=(WORDS,))
    kind = max(curve.extract_kinds, key=curve.extract_kinds.__getitem__)
    option = curve.option(BudgetSetting(True, WORDS, curve.calibration + 60, kind))
    opened_by = {"provider": "openai", "model": MODEL, "base_url": server.url, "price": PRICE}
    plan = BudgetPlan.of(Address(case.folder.name), curve, option, opened_by)
    # fitted to few documents, so that most of what it pays for is embedded by workers
    replace(plan, sampled=curve.calibration).save(case.plan)
    provider.close()
    return case


def _write(path: Path, texts: Sequence[str | None], vectors: Vectors, rows: range) -> None:
    own = vectors[rows.start : rows.stop]
    column = pa.FixedSizeListArray.from_arrays(pa.array(own.ravel()), own.shape[1])
    table = {"id": [f"r{row}" for row in rows], "text": [texts[row] for row in rows], "embedding": column}
    pq.write_table(pa.table(table), path, row_group_size=25)


def vectors_in(place: Path) -> dict[str, Vectors]:
    """The vectors of a file, or of all files of a folder, by id."""
    found: dict[str, Vectors] = {}
    for path in sorted(place.glob("*.parquet")) if place.is_dir() else [place]:
        table = pq.read_table(path)
        rows = np.asarray(table.column("embedding").to_pylist(), np.float32)
        found.update(zip(table.column("id").to_pylist(), rows, strict=True))
    return found


def by_one_process(case: Case) -> dict[str, Vectors]:
    """The vectors that the engine without workers gives the same rows, by the same plan."""
    plan = replace(BudgetPlan.load(case.plan), collection_name=case.single.stem)
    Migrator(case.single).migrate_by_plan(plan, case.provider(), force=True)
    return vectors_in(case.single)


def require_equal(found: dict[str, Vectors], expected: dict[str, Vectors]) -> None:
    """Every row is there, with the same vector; projections of other pages differ in the last bit."""
    assert found.keys() == expected.keys()
    assert len(found) == FILES * ROWS
    for name, vector in expected.items():
        np.testing.assert_allclose(found[name], vector, atol=1e-6, err_msg=name)


def stored_of(case: Case) -> set[str]:
    """The texts that were asked for and are in the cache."""
    asked = list(dict.fromkeys(case.asked()))
    return set(case.provider()._stored.read(asked, queries=False))


@contextlib.contextmanager
def held_when(server: EmbeddingServer, happened: Callable[[], bool]) -> Iterator[Callable[[], None]]:
    """Within the block the server's model answers nothing once something has happened, until what this gives is called.

    So whoever is to be killed then is still at work, however fast the machine is.
    """
    answering, let_go = server.model, threading.Event()

    def model(texts: list[str]) -> Vectors:
        if happened():
            let_go.wait()
        return answering(texts)

    server.model = model
    try:
        yield let_go.set
    finally:
        let_go.set()
        server.model = answering
