"""Embeds texts as one of several workers, for tests: `run_worker.py URL CACHE PURSE DOLLARS FIRST COUNT`."""

import sys
from pathlib import Path

from lightmigrate.errors import CostError
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.cache_file import CacheFile
from lightmigrate.providers.openai import OpenAIProvider
from lightmigrate.providers.purse import SharedPurse

url, cache, purse, dollars, first, count = sys.argv[1:]
file = CacheFile(Path(cache), shared=True)
provider = OpenAIProvider("minilm", base_url=url, price=1_000_000.0, max_cost=float(dollars))
provider.batch_size = 2
provider.purse = SharedPurse(file, purse)
try:
    Cached(provider, Path(cache), shared=file).embed(
        [f"text number {row}" for row in range(int(first), int(first) + int(count))],
        lambda done, _: print(done, flush=True),
    )
except CostError as error:
    print(f"spent {error.spent:.0f} of {error.allowed:.0f}", flush=True)
