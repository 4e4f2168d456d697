"""`inspect`: what does a projection say of itself?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightmigrate.projection.projection import Projection


def inspect(file: Path) -> Projection:
    """Read a projection: its `info` has models, training and measured quality. Only reads.

    Raises:
        ProjectionFileError: no such file, or it is not a projection.
    """
    from lightmigrate.projection.projection import Projection

    return Projection.load(file)
