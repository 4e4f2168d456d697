"""The projections that come with lightmigrate: general maps between models whose weights are packages too."""

from __future__ import annotations

from pathlib import Path

# A registry like any other. `benchmarks/build_packaged.py` made it; what it keeps stands in its entries.
PACKAGED = Path(__file__).parent / "packaged"
