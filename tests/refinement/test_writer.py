"""What the application writes at any moment of a refinement is not lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightmigrate import BudgetPlan, Migrator
from lightmigrate.budget.settings import BudgetSetting
from lightmigrate.errors import AnotherRunError
from lightmigrate.providers.cache import Cached
from lightmigrate.refinement import reachable
from lightmigrate.refinement.lock import only_run
from lightmigrate.refinement.provenance import Provenance, VectorOrigin
from lightmigrate.refinement.refit import refit_projection
from lightmigrate.stores.base import Page
from lightmigrate.stores.chroma.client import open_client
from lightmigrate.stores.chroma.collection import ChromaCollection
from lightmigrate.stores.chroma.exclusive import ChromaFolderStore
from lightmigrate.vectors import Metric, Vectors
from tests.budget.collections import NEW, NOTES, Counting, build, cached, curve, migrated, vectors_in

OWN = np.ones(128, dtype=np.float32) / np.sqrt(128)


class KilledError(BaseException):
    """The process ends here."""


class Application:
    """Writes to the first projected row, once, when it is its turn."""

    def __init__(self, folder: Path, **written: Any) -> None:
        self._folder, self._written = folder, written
        with Provenance.of(folder) as provenance:
            self.ids = list(provenance.ids(NOTES, VectorOrigin.PROJECTED, VectorOrigin.EXTRACT))
        self.row = ""

    def write(self, ids: Sequence[str]) -> None:
        if not self.row and len(ids):
            self.row = ids[0]
            with open_client(self._folder) as client:
                client.get_collection("notes", embedding_function=None).update(ids=[self.row], **self._written)

    def held(self) -> Any:
        return vectors_in(self._folder)[self.row]

    def origin(self) -> VectorOrigin | None:
        with Provenance.of(self._folder) as provenance:
            noted = provenance.rows_by_id(NOTES, [self.row])
        return noted[self.row].origin if noted else None


@pytest.fixture(params=["refine", "reproject"])
def refined(request: pytest.FixtureRequest) -> Callable[[Path, Cached], int]:
    """A run that writes vectors: of the new model, or of a projection that an earlier run has fitted."""

    def run(folder: Path, provider: Cached) -> int:
        if request.param == "reproject":
            with Provenance.of(folder) as provenance:
                provenance.add_projection(NOTES, provenance.projections(NOTES)[0], [])
        return Migrator(folder).refine("notes", provider, documents=5, refit=False).written_by_application

    return run


def test_a_vector_written_right_before_the_rows_are_compared_stays(
    refined: Callable[[Path, Cached], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same text: nothing but the vector tells that somebody wrote."""
    folder, provider = migrated(tmp_path)
    application = Application(folder, embeddings=[OWN])
    set_fingerprints = Provenance.set_fingerprints

    def raced(provenance: Provenance, address: Any, ids: Sequence[str], fingerprints: Sequence[bytes]) -> None:
        set_fingerprints(provenance, address, ids, fingerprints)
        application.write(ids)

    monkeypatch.setattr(Provenance, "set_fingerprints", raced)
    assert refined(folder, provider) == 1
    np.testing.assert_allclose(application.held(), OWN, atol=1e-6)
    assert application.origin() is None  # the application's: exact by definition


def test_a_vector_written_while_the_model_is_asked_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, provider = migrated(tmp_path)
    application = Application(folder, embeddings=[OWN])
    encode, by_text = Counting.encode, {}
    with open_client(folder) as client:
        rows = client.get_collection("notes", embedding_function=None).get(ids=application.ids)
        by_text = dict(zip(rows["documents"], rows["ids"], strict=True))

    def raced(model: Counting, texts: Sequence[str], queries: bool = False) -> Any:
        application.write([by_text[text] for text in texts if text in by_text])
        return encode(model, texts, queries)

    monkeypatch.setattr(Counting, "encode", raced)
    done = Migrator(folder).refine("notes", provider, documents=5, refit=False)
    np.testing.assert_allclose(application.held(), OWN, atol=1e-6)
    assert (done.written_by_application, done.embedded) == (1, 4)


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
    assert application.origin() is None


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
    assert application.origin() is None


def test_a_text_written_while_a_row_is_written_again_is_embedded_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends after the application's vector was overwritten, and before its text is embedded."""
    folder, provider = migrated(tmp_path)
    vector = np.asarray(NEW.embed(["another text"]), dtype=np.float32)
    application = Application(folder, documents=["another text"], embeddings=vector)
    replace, encode, again = ChromaCollection.replace_vectors, Counting.encode, list[int]()

    def all_missed(collection: ChromaCollection, page: Page, metric: Metric) -> Page:
        again.append(len(page))
        return page

    def raced(collection: ChromaCollection, ids: Sequence[str], vectors: Vectors) -> None:
        if again:
            application.write(ids)
        replace(collection, ids, vectors)

    def killed(model: Counting, texts: Sequence[str], queries: bool = False) -> Any:
        if again:
            raise KilledError
        return encode(model, texts, queries)

    monkeypatch.setattr(reachable, "unreached", all_missed)
    monkeypatch.setattr(ChromaCollection, "replace_vectors", raced)
    monkeypatch.setattr(Counting, "encode", killed)
    with pytest.raises(KilledError):
        Migrator(folder).refine("notes", provider, documents=5, refit=False)
    monkeypatch.undo()
    assert np.abs(application.held() - vector[0]).max() > 0.01
    Migrator(folder).refine("notes", provider, documents=0, refit=False)
    np.testing.assert_allclose(application.held(), vector[0], atol=1e-6)


def test_what_the_application_has_changed_is_not_fitted_to(tmp_path: Path) -> None:
    """The old vector of such a row is that of another text. Without extracts, so that a refit helps."""
    folder, provider = build(tmp_path / "db"), cached(tmp_path)
    drawn = curve(folder, provider, lengths=(12,))
    option = drawn.option(BudgetSetting(reads_texts=True, extract_words=0, documents=drawn.calibration))
    Migrator(folder).migrate_by_plan(BudgetPlan.of(NOTES, drawn, option), provider, force=True)
    Migrator(folder).refine("notes", provider, documents=110, refit=False)
    with Provenance.of(folder) as provenance:
        changed = list(provenance.ids(NOTES, VectorOrigin.EXACT))[:20]
        with open_client(folder) as client:
            client.get_collection("notes", embedding_function=None).update(
                ids=changed, documents=["new"] * 20, embeddings=[OWN] * 20
            )
        with ChromaFolderStore(folder) as store:
            found = refit_projection(NOTES, store.collection(NOTES), provenance, provider, 0)
    assert found is not None
    assert not set(changed) & set(found[1])


def test_one_run_at_a_time(tmp_path: Path) -> None:
    folder, provider = migrated(tmp_path)
    with only_run(folder), pytest.raises(AnotherRunError, match="another refine"):
        Migrator(folder).refine("notes", provider)
    assert Migrator(folder).status()[0].share_exact < 1
