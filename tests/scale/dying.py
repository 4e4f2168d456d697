"""A task whose worker dies. Alone in its file: every new worker imports that, and one of a test imports all stores."""

from __future__ import annotations

import os


def die(task: int) -> int:
    """Its number; number 1 ends the process."""
    if task == 1:
        os._exit(9)
    return task
