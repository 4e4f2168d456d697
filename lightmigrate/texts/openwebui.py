"""What Open WebUI embeds: the document in one line, after a prefix.

Open WebUI replaces every line break by a space before it embeds a chunk, stores the chunk as it was, and says in each
record's field `embedding_config` which engine and model embedded it. The prefix is a setting of its process,
`RAG_EMBEDDING_CONTENT_PREFIX`; no record holds it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lightmigrate.texts.fields import Fields

CONFIG_FIELD = "embedding_config"
PREFIX_VARIABLE = "RAG_EMBEDDING_CONTENT_PREFIX"


@dataclass(frozen=True)
class OpenWebUIForm:
    """The document with spaces for line breaks, after a prefix.

    Attributes:
        prefix: put before every document; empty for none.
    """

    prefix: str = ""
    kind: ClassVar[str] = "open_webui"

    def __str__(self) -> str:
        return "Open WebUI's chunk in one line" + (f", after the prefix {self.prefix!r}" if self.prefix else "")

    def text(self, document: str | None, fields: Fields) -> str | None:
        """The document as Open WebUI embeds it."""
        if document is None or not document.strip():
            return document
        return self.prefix + document.replace("\n", " ")

    def settings(self) -> Mapping[str, str]:
        """The prefix."""
        return {"prefix": self.prefix}


def config_of(fields: Fields) -> Mapping[str, object] | None:
    """The engine and the model that embedded a record, as Open WebUI notes them; `None` for other records."""
    stored = fields.get(CONFIG_FIELD)
    if isinstance(stored, str):
        try:
            stored = json.loads(stored)
        except (ValueError, RecursionError):
            return None
    return stored if isinstance(stored, Mapping) and {"engine", "model"} <= stored.keys() else None
