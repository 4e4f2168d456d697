"""The same estimators on torch tensors, and the network on top of a closed form."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lightmigrate import Projection, WordVectors, fit
from lightmigrate.demo.data import load_corpus
from lightmigrate.errors import ProjectionError
from lightmigrate_train import fit_mlp, fit_network

CORPUS = load_corpus()
OLD, NEW, TEXTS = CORPUS.old_documents, CORPUS.new_documents, CORPUS.documents
WORDS = WordVectors(["cells", "protein", "patients"], NEW[:3], [300, 200, 100], 1200)


@pytest.mark.parametrize("method", ["ridge", "procrustes", "low_rank", "kernel", "lexical", "averaged", "auto"])
@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_torch_finds_the_projection_numpy_finds(method: Any, device: str) -> None:
    X, Y = (torch.as_tensor(rows[:300], device=device) for rows in (OLD, NEW))
    here = fit(OLD[:300], NEW[:300], TEXTS[:300], method=method, words=WORDS)
    there = fit(X, Y, TEXTS[:300], method=method, words=WORDS)
    assert here.info.training["method"] == there.info.training["method"]
    some = OLD[300:400], TEXTS[300:400]
    np.testing.assert_allclose(there.apply(*some), here.apply(*some), atol=1e-4)


def test_the_network_is_never_worse_than_its_closed_form_and_needs_no_torch_to_run(tmp_path: Path) -> None:
    network = fit_mlp(OLD[:800], NEW[:800])
    closed = fit(OLD[:800], NEW[:800], method="kernel")
    errors = [float(np.mean((p.apply(OLD[800:]) - NEW[800:]) ** 2)) for p in (network, closed)]
    assert errors[0] < errors[1] * 1.05  # it was fitted to 85 % of the pairs
    graph = Projection.load(network.export_onnx(tmp_path / "p.onnx"))
    again = Projection.load(network.save(tmp_path / "p.npz"))
    np.testing.assert_array_equal(again.apply(OLD[800:]), network.apply(OLD[800:]))
    np.testing.assert_allclose(graph.apply(OLD[800:]), network.apply(OLD[800:]), atol=1e-5)
    script = (
        "import sys; sys.modules['torch'] = None; import numpy, lightmigrate;"
        f"print(lightmigrate.Projection.load({str(tmp_path / 'p.npz')!r}).apply(numpy.ones((1, 256))).shape)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "(1, 384)\n"


def test_a_network_that_learns_nothing_is_the_closed_form() -> None:
    network = fit_mlp(OLD[:100], NEW[:100], epochs=0)
    rows = np.random.default_rng(0).permutation(100)[15:]
    closed = fit(OLD[rows], NEW[rows], method="kernel")
    np.testing.assert_allclose(network.apply(OLD[100:200]), closed.apply(OLD[100:200]), atol=1e-5)


def test_few_pairs_are_refused() -> None:
    with pytest.raises(ProjectionError, match="19 pairs are too few for a network"):
        fit_mlp(OLD[:19], NEW[:19])


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "lightmigrate_train", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--target-model" in done.stdout


def test_the_command_trains_a_network_and_the_gate_judges_it() -> None:
    """Judged by networks that have not seen the documents, like every other method."""
    from lightmigrate.providers.base import Provider
    from lightmigrate.training.calibration_data import CalibrationData
    from lightmigrate.training.train import train

    class Stored(Provider):
        """The demo's real vectors of the new model, looked up by text; sentences stand for their documents."""

        provider = "stored"

        def encode(self, texts: Any, queries: bool = False) -> Any:
            whole = dict(zip(TEXTS, NEW, strict=True))
            return [whole.get(text, NEW[len(text) % 1200]) for text in texts]

    done = train(
        CalibrationData(TEXTS[:120], OLD[:120], None, 1200), Stored("minilm"), method="mlp", fitter=fit_network
    )
    assert done.projection.info.training["method"] == "mlp"
    assert done.gate.n_documents == 120
    assert 0 < done.gate.cosine < 1
