"""Embeds texts through the cache, in a process that a test kills: `run_embedding.py URL CACHE COUNT`."""

import sys
from pathlib import Path

from lightmigrate.providers.cache import Cached
from lightmigrate.providers.openai import OpenAIProvider

provider = OpenAIProvider("minilm", base_url=sys.argv[1])
provider.batch_size = 4
Cached(provider, Path(sys.argv[2])).embed(
    [f"text number {row}" for row in range(int(sys.argv[3]))],
    lambda done, _: print(done, flush=True),
)
