"""A process that runs a command whose model is paid for, to be killed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from lightmigrate.cli.app import main
from lightmigrate.providers.openai import OpenAIProvider

# Texts of one request, and requests at the same time.
TOGETHER, AT_ONCE = 4, 4


def command(words: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run `lightmigrate` with some words; it sends few texts in a request, so that there are many."""
    os.environ.update(environment)
    OpenAIProvider.batch_size = TOGETHER
    main([*words])
