"""What `fuzz.py` fuzzes: for every kind of foreign bytes, files to begin with and the reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import fuzz_readers as readers
import fuzz_seeds as seeds

Seeds = Callable[[Path], Iterator[bytes]]
Reader = Callable[[bytes, Path], None]

# For each: the files to begin with, the reader, and the modules whose branches lead.
TARGETS: Mapping[str, tuple[Seeds, Reader, Sequence[str]]] = {
    "npz": (seeds.projections(".npz"), readers.load_projection(".npz"), ("projection.projection",)),
    "onnx": (seeds.projections(".onnx"), readers.load_projection(".onnx"), ("projection.projection",)),
    "manifest": (seeds.manifest_seeds, readers.read_manifest, ("registry.manifest",)),
    "plan": (seeds.plan_seeds, readers.read_plan, ("budget.plan",)),
    "journal": (
        seeds.of_tests("journal.json"),
        readers.read_journal,
        ("migration.aside.workspace", "migration.request"),
    ),
    "record": (
        seeds.of_tests("lightmigrate.json", "lightmigrate-scores.json"),
        readers.read_record,
        ("migration.aside.record", "scores.stored"),
    ),
    "provenance": (seeds.provenance_seeds, readers.read_provenance, ("refinement.provenance",)),
    "index": (
        seeds.index_seeds,
        readers.read_index,
        ("stores.chroma.graph", "stores.chroma.hnsw", "stores.chroma.health"),
    ),
    "labels": (seeds.label_seeds, readers.read_labels, ("stores.chroma.labels",)),
    "parquet": (
        seeds.footer_seeds,
        readers.read_footer,
        ("stores.vector_files.parquet_footer", "stores.vector_files.thrift"),
    ),
    "late": (seeds.late_seeds, readers.read_late, ("migration.shadow.late_note",)),
    "docstore": (seeds.docstore_seeds, readers.read_docstore, ("stores.vector_files.langchain",)),
}
