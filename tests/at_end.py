"""What is released when the tests of this process end.

`atexit` does not do for that: the worker processes that run the tests may end without it.
"""

from __future__ import annotations

import contextlib

AT_END = contextlib.ExitStack()
