"""Which texts of a collection have occurred before, so that equal ones count once."""

from __future__ import annotations

from collections.abc import Iterable

from lightmigrate.stores.record_tables import RecordTables
from lightmigrate.training.text_digest import text_digest


class SeenTexts:
    """A digest of every different text, outside of memory."""

    def __init__(self) -> None:
        self._table = RecordTables().table()

    def __len__(self) -> int:
        """Number of different texts."""
        return len(self._table)

    def among(self, texts: Iterable[str]) -> set[bytes]:
        """Digests of those of some texts that have occurred."""
        return {bytes.fromhex(digest) for digest in self._table.get([text_digest(text).hex() for text in texts])}

    def add(self, digests: Iterable[bytes]) -> None:
        """Note the digests of texts that occur."""
        self._table.put({digest.hex(): b"" for digest in digests})

    def new(self, texts: Iterable[str]) -> dict[bytes, str]:
        """The texts that occur for the first time, in order, each once, by digest; they are noted."""
        by_digest = {text_digest(text): text for text in texts}
        before = self.among(by_digest.values())
        new = {digest: text for digest, text in by_digest.items() if digest not in before}
        self.add(new)
        return new
