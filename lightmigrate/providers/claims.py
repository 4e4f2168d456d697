"""Who embeds a text that several workers need at the same time: one of them, and the others wait for it."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator, Sequence

from lightmigrate.providers.cache_file import VectorFile, selected

# A claim ends when its worker has not renewed it for so many seconds: it died.
SECONDS_OF_CLAIM, SECONDS_TO_RENEW = 10.0, 2.0

# Between two looks for what another worker embeds.
SECONDS_TO_LOOK = 0.05

# By the clock of whoever has the file open; those of many machines differ.
_END_OLD = "DELETE FROM claims WHERE until < julianday('now') * 86400.0"
_CLAIM = "INSERT OR IGNORE INTO claims VALUES (?, ?, ?, julianday('now') * 86400.0 + ?)"
_RENEW = "UPDATE claims SET until = julianday('now') * 86400.0 + ? WHERE owner = ?"
_END = "DELETE FROM claims WHERE owner = ?"


class Claims:
    """The texts that one worker embeds just now, in the file of the cache that all share.

    Args:
        file: the file.
    """

    def __init__(self, file: VectorFile) -> None:
        self._file = file
        self._owner = secrets.token_hex(8)

    @contextlib.contextmanager
    def of(self, model: str, digests: Sequence[bytes]) -> Iterator[set[bytes]]:
        """Claim texts that nobody else embeds just now, until the end of the block. Writes.

        Args:
            model: the key of the model.
            digests: of the texts.

        Yields:
            Those that are this worker's now.
        """
        claims = [(model, digest, self._owner, SECONDS_OF_CLAIM) for digest in digests]
        self._file.change((_END_OLD, [()]), (_CLAIM, claims))
        owners = selected(self._file, "claims", "owner", model, digests)
        ended = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(ended,), daemon=True)
        renewing.start()
        try:
            yield {digest for digest, owner in owners.items() if owner == self._owner}
        finally:
            ended.set()
            renewing.join()
            self._file.change((_END, [(self._owner,)]))

    def _renew(self, ended: threading.Event) -> None:
        while not ended.wait(SECONDS_TO_RENEW):
            self._file.change((_RENEW, [(SECONDS_OF_CLAIM, self._owner)]))
