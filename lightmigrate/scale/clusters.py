"""The executors of clusters, by their addresses. To add a kind of cluster, write a module with one and list it here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import cast

from lightmigrate.errors import LightmigrateError
from lightmigrate.scale.executor import Executor

# The executor of each scheme: `MODULE:CLASS`, which is called with the address.
_CLUSTERS: Mapping[str, str] = {"ray": "lightmigrate.scale.ray_tasks:RayTasks"}


def open_cluster(address: str) -> Executor:
    """The executor of a cluster, such as `ray` or `ray://HOST:10001`. Connects to nothing yet.

    Raises:
        LightmigrateError: no such kind of cluster is known.
        MissingExtraError: its package is not installed.
    """
    scheme = address.partition("://")[0]
    if scheme not in _CLUSTERS:
        raise LightmigrateError(f"{scheme} is no cluster that is known: {', '.join(_CLUSTERS)}, as ray://HOST:10001")
    module, _, name = _CLUSTERS[scheme].partition(":")
    return cast(Executor, getattr(importlib.import_module(module), name)(address))
