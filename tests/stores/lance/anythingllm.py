"""AnythingLLM's storage, and what it does when a document is added: its cache is asked before its model."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import lancedb

from lightmigrate.vectors import Vectors
from tests.databases import make_vectors

Embedder = Callable[[Vectors], Vectors]


class AnythingLLM:
    """One installation, all workspaces of which have one model.

    Args:
        storage: its folder.
        embed: makes the vectors of its model from the old model's.
    """

    def __init__(self, storage: Path, embed: Embedder = lambda vectors: vectors) -> None:
        self.storage, self.embed = storage, embed
        self.tables, self.cache = storage / "lancedb", storage / "vector-cache"

    def file(self, document: int) -> Path:
        """Where the vectors of a document are cached."""
        return self.cache / f"{uuid.uuid5(uuid.NAMESPACE_URL, f'custom-documents/{document}.json')}.json"

    def add(self, document: int, workspace: str = "docs") -> None:
        """As its `addDocumentToNamespace`: from the cache, or embedded and cached; a missing folder is created."""
        file = self.file(document)
        if file.exists():
            vector = json.loads(file.read_text())
        else:
            vector = self.embed(make_vectors(60)[document : document + 1])[0].tolist()
            if not self.cache.exists():
                self.cache.mkdir()
            file.write_text(json.dumps(vector))
        row = {"id": str(uuid.uuid4()), "vector": vector, "text": f"document {document}"}
        connection = lancedb.connect(self.tables)
        if workspace in connection.list_tables().tables:
            connection.open_table(workspace).add([row])
        else:
            connection.create_table(workspace, [row])

    def cached(self) -> dict[str, list[float]]:
        """The vectors in the cache, by file."""
        return {file.name: json.loads(file.read_text()) for file in self.cache.glob("*.json")}

    def aside(self) -> list[str]:
        """What lies beside the cache, as the key of an exchange each."""
        mark = "vector-cache.lightmigrate-old-"
        return sorted(path.name.removeprefix(mark) for path in self.storage.glob(f"{mark}*"))

    def vectors(self, workspace: str = "docs") -> Vectors:
        """The vectors of a workspace, in order."""
        found: Vectors = lancedb.connect(self.tables).open_table(workspace).to_pandas()["vector"].to_list()
        return found
