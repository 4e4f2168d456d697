"""What the options offer, by the names that the rooms have for it.

It stands here a second time so that `--help` need not import the rooms, and NumPy with them; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

PROVIDERS = ("sentence-transformers", "openai", "onnx", "chroma")
# Without those that start from first words: only the dial (`plan`) has the new model read these.
METHODS = ("procrustes", "low_rank", "ridge", "kernel", "lexical", "averaged")
InvalidVectors = Literal["refuse", "centre"]
OnWritten = Literal["refuse", "carry", "discard"]
Order = Literal["random", "newest", "retrieved", "uncertain"]
Route = Literal["keep", "rebuild", "rewrite"]
DEFAULT_TENANT, DEFAULT_DATABASE = "default_tenant", "default_database"
# Of a longer list of users' queries so many are drawn: embedding more costs more and hardly narrows the interval.
MOST_QUERIES = 1000
# Texts that the database does not store.
TextsById = Annotated[
    Path | None,
    typer.Option(
        "--texts", help='Texts that are kept elsewhere, .jsonl, a line {"id": …, "text": …}.', show_default=False
    ),
]
TextKey = Annotated[str, typer.Option(help="Field of the texts.")]
IdKey = Annotated[str, typer.Option(help="Field of the ids.")]
REGISTRY_VARIABLE = "LIGHTMIGRATE_REGISTRY"
