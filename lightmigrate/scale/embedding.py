"""How workers embed texts: each with a provider of its own, all through one cache, paid from one purse."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lightmigrate.providers.base import Provider
from lightmigrate.providers.cache import Cached
from lightmigrate.providers.cache_file import CacheFile, VectorFile
from lightmigrate.providers.open import open_provider
from lightmigrate.providers.parallel import CALLS_AT_ONCE
from lightmigrate.providers.purse import SharedPurse
from lightmigrate.scale.executor import Executor


@dataclass(frozen=True)
class Embedding:
    """What a worker opens the new model with. Can be pickled.

    Attributes:
        purse: name of the purse, which nobody else has.
        model: how the model is opened, as JSON: `provider`, `model` and options, without secrets.
        cache: path of the cache, for messages.
        file: the cache, as the worker reaches it.
        whole: file with the digests of the texts that are embedded whole.
        calls: of the model at the same time.
    """

    purse: str
    model: str = field(compare=False)
    cache: Path = field(compare=False)
    file: VectorFile = field(compare=False)
    whole: Path = field(compare=False)
    calls: int = field(compare=False)

    def open(self) -> Cached:
        """The new model; loads nothing yet, and reads keys from the environment.

        Raises:
            ProviderError: it cannot be opened.
        """
        provider = _opened(json.loads(self.model), SharedPurse(self.file, self.purse))
        provider.parallel.most = min(provider.parallel.most, self.calls)
        return Cached(provider, self.cache, shared=self.file)


@dataclass(frozen=True)
class NewModel:
    """The new model of a run, as its driver knows it.

    Attributes:
        opened_by: how it is opened: `provider`, `model` and options, without secrets.
        cache: file that keeps embeddings.
        purse: name of the purse of this run.
    """

    opened_by: Mapping[str, object]
    cache: Path
    purse: str = field(default_factory=lambda: secrets.token_hex(8))

    def open(self) -> Cached:
        """The model for the driver, before its workers begin: it pays from the same purse."""
        return Cached(_opened(self.opened_by, SharedPurse(CacheFile(self.cache, shared=True), self.purse)), self.cache)

    @contextlib.contextmanager
    def for_workers(self, executor: Executor, whole: Path) -> Iterator[Embedding]:
        """The model for workers, as long as the block lasts.

        All workers together make as many calls at the same time as one process, or one each where they are more.

        Args:
            executor: of the workers.
            whole: file with the digests of the texts that are embedded whole.
        """
        with executor.sharing(self.cache) as file:
            calls = max(1, CALLS_AT_ONCE // max(1, executor.workers))
            yield Embedding(self.purse, json.dumps(dict(self.opened_by)), self.cache, file, whole, calls)

    def forget(self) -> None:
        """Delete what the purse has counted, at the end of the run. Writes."""
        file = CacheFile(self.cache, shared=True)
        SharedPurse(file, self.purse).forget()
        file.close()


def _opened(opened_by: Mapping[str, object], purse: SharedPurse) -> Provider:
    options = {name: value for name, value in opened_by.items() if name not in ("provider", "model")}
    provider = open_provider(str(opened_by["provider"]), str(opened_by["model"]), **options)
    provider.purse = purse
    return provider
