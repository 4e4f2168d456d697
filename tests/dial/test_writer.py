"""What the application writes at any moment of a refinement is not lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import AnotherRunError, BudgetPlan, ChromaMigrator, Setting, migrate_by_plan, refine, status
from lightmigrate.dial.alone import alone
from lightmigrate.dial.database import opened
from lightmigrate.dial.provenance import Kind, Provenance
from lightmigrate.dial.refit import better_map
from lightmigrate.projection.vectors import Vectors
from lightmigrate.providers.cache import Cached
from lightmigrate.stores.chroma import ChromaCollection, open_client
from tests.dial.collections import NEW, NOTES, Counting, build, cached, curve, migrated, vectors_in

OWN = np.ones(128, dtype=np.float32) / np.sqrt(128)


class Application:
    """Writes to the first mapped row, once, when it is its turn."""

    def __init__(self, folder: Path, **written: Any) -> None:
        self._folder, self._written = folder, written
        with Provenance.of(folder) as provenance:
            self.ids = provenance.ids(NOTES, Kind.MAPPED, Kind.ABRIDGED)
        self.row = ""

    def write(self, ids: Sequence[str]) -> None:
        if not self.row and len(ids):
            self.row = ids[0]
            with open_client(self._folder) as client:
                client.get_collection("notes", embedding_function=None).update(ids=[self.row], **self._written)

    def held(self) -> Any:
        return vectors_in(self._folder)[self.row]

    def kind(self) -> Kind | None:
        with Provenance.of(self._folder) as provenance:
            noted = provenance.some(NOTES, [self.row])
        return noted[self.row].kind if noted else None


@pytest.fixture(params=["refine", "remap"])
def refined(request: pytest.FixtureRequest) -> Callable[[Path, Cached], int]:
    """A run that writes vectors: of the new model, or of a map that an earlier run has made."""

    def run(folder: Path, provider: Cached) -> int:
        if request.param == "remap":
            with Provenance.of(folder) as provenance:
                provenance.put_map(NOTES, provenance.maps(NOTES)[0], [])
        return refine(folder, "notes", provider, documents=5, refit=False).found_written

    return run


def test_a_vector_written_right_before_the_rows_are_compared_stays(
    refined: Callable[[Path, Cached], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same text: nothing but the vector tells that somebody wrote."""
    folder, provider = migrated(tmp_path)
    application = Application(folder, embeddings=[OWN])
    mark = Provenance.mark

    def raced(provenance: Provenance, address: Any, ids: Sequence[str], marks: Sequence[bytes]) -> None:
        mark(provenance, address, ids, marks)
        application.write(ids)

    monkeypatch.setattr(Provenance, "mark", raced)
    assert refined(folder, provider) == 1
    np.testing.assert_allclose(application.held(), OWN, atol=1e-6)
    assert application.kind() is None  # the application's: exact by definition


def test_a_vector_written_while_the_model_is_asked_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, provider = migrated(tmp_path)
    application = Application(folder, embeddings=[OWN])
    encode, by_text = Counting.encode, {}
    with open_client(folder) as client:
        rows = client.get_collection("notes", embedding_function=None).get(ids=application.ids)
        by_text = dict(zip(rows["documents"], rows["ids"], strict=True))

    def raced(model: Counting, texts: Sequence[str], queries: bool = False) -> Any:
        application.write([by_text[text] for text in texts])
        return encode(model, texts, queries)

    monkeypatch.setattr(Counting, "encode", raced)
    done = refine(folder, "notes", provider, documents=5, refit=False)
    np.testing.assert_allclose(application.held(), OWN, atol=1e-6)
    assert (done.found_written, done.embedded) == (1, 4)


def test_a_vector_written_right_afterwards_stays(
    refined: Callable[[Path, Cached], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, provider = migrated(tmp_path)
    application = Application(folder, embeddings=[OWN])
    replace = ChromaCollection.replace_vectors

    def raced(collection: ChromaCollection, ids: Sequence[str], vectors: Vectors) -> None:
        replace(collection, ids, vectors)
        application.write(ids)

    monkeypatch.setattr(ChromaCollection, "replace_vectors", raced)
    assert refined(folder, provider) == 1
    np.testing.assert_allclose(application.held(), OWN, atol=1e-6)
    assert application.kind() is None


def test_a_text_written_between_comparing_and_writing_is_embedded(
    refined: Callable[[Path, Cached], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its vector is overwritten, and put back."""
    folder, provider = migrated(tmp_path)
    vector = np.asarray(NEW.embed(["another text"]), dtype=np.float32)
    application = Application(folder, documents=["another text"], embeddings=vector)
    replace = ChromaCollection.replace_vectors

    def raced(collection: ChromaCollection, ids: Sequence[str], vectors: Vectors) -> None:
        application.write(ids)
        replace(collection, ids, vectors)

    monkeypatch.setattr(ChromaCollection, "replace_vectors", raced)
    refined(folder, provider)
    np.testing.assert_allclose(application.held(), vector[0], atol=1e-6)
    assert application.kind() is None


def test_what_the_application_has_changed_teaches_no_map(tmp_path: Path) -> None:
    """The old vector of such a row is that of another text. Without first words, so that a better map is to be had."""
    folder, provider = build(tmp_path / "db"), cached(tmp_path)
    drawn = curve(folder, provider, lengths=(12,))
    option = drawn.option(Setting(reads_texts=True, first_words=0, documents=drawn.calibration))
    migrate_by_plan(ChromaMigrator(folder), BudgetPlan.of(NOTES, drawn, option), provider, force=True)
    refine(folder, "notes", provider, documents=110, refit=False)
    with Provenance.of(folder) as provenance:
        changed = provenance.ids(NOTES, Kind.EXACT)[:20]
        with open_client(folder) as client:
            client.get_collection("notes", embedding_function=None).update(
                ids=changed, documents=["new"] * 20, embeddings=[OWN] * 20
            )
        with opened(folder) as store:
            found = better_map(NOTES, store.collection(NOTES), provenance, provider, 0)
    assert found is not None
    assert not set(changed) & set(found[1])


def test_one_run_at_a_time(tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    with alone(folder), pytest.raises(AnotherRunError, match="another refine"):
        refine(folder, "notes", provider)
    assert status(folder)[0].share_exact < 1
