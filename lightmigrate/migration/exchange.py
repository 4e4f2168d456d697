"""Two folders change names, in one step where the operating system has such a step."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

from lightmigrate.files import sync_folder

_EXCHANGE = 2  # RENAME_EXCHANGE on Linux, RENAME_SWAP on macOS
_AT_FDCWD = -100
_NOT_POSSIBLE_HERE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


def put_in_place(incoming: Path, live: Path, outgoing: Path) -> None:
    """`incoming` becomes `live`, what was `live` becomes `outgoing`. All on one file system.

    Atomic where the system can exchange two names: then `live` is at every instant one whole folder or
    the other. Elsewhere two renames, between which `live` is missing for an instant; both whole folders
    exist all the time, and `cutover.recover` finishes the second rename after a crash.
    """
    if exchange_names(incoming, live):
        incoming.rename(outgoing)
    else:
        live.rename(outgoing)
        incoming.rename(live)
    for parent in {incoming.parent, live.parent, outgoing.parent}:
        sync_folder(parent)


def exchange_names(one: Path, other: Path) -> bool:
    """Exchange two names atomically; `False`, and nothing done, where the system has no such call."""
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        failed = library.renamex_np(os.fsencode(one), os.fsencode(other), _EXCHANGE)
    elif library is not None and hasattr(library, "renameat2"):
        failed = library.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)
    else:
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in _NOT_POSSIBLE_HERE:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))
