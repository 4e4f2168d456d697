"""What the options offer, by the names that the rooms have for it.

It stands here a second time so that `--help` need not import the rooms, and NumPy with them; a test compares the two.
"""

from __future__ import annotations

from typing import Literal

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
REGISTRY_VARIABLE = "LIGHTMIGRATE_REGISTRY"
