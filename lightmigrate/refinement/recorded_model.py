"""Whether a model is still the one that a collection was migrated to: another one can have its name by now.

The migration notes some numbers of the model's vector of a fixed text, as a fingerprint. What an older lightmigrate
wrote notes none; there the name and the dimension are all there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lightmigrate.errors import LightmigrateError, ModelMismatchError
from lightmigrate.providers.base import Provider
from lightmigrate.providers.same_model import same_probe
from lightmigrate.refinement.vector_fingerprint import fingerprints_of
from lightmigrate.stores.base import Address
from lightmigrate.vectors import Vectors

# Among the facts of a collection: the fingerprint, as hexadecimal digits; empty where there is none.
PROBE = "probe"


def noted_probe(provider: Provider) -> dict[str, str]:
    """What is noted of the new model among the facts of a migration. Asks it for a short text, once in a run."""
    probe = _probe_of(provider)
    return {PROBE: "" if probe is None else fingerprints_of(probe)[0].hex()}


def is_recorded(facts: Mapping[str, Any], probe: Vectors) -> bool:
    """Whether a model is the one of a migration, as far as its facts tell.

    Args:
        facts: of the migration.
        probe: the model's vector of the fixed text, `(1, d)`.
    """
    if probe.shape[1] != facts["dimension"]:
        return False
    noted = facts.get(PROBE)
    return not noted or same_probe(_numbers(bytes.fromhex(noted)), _numbers(fingerprints_of(probe)[0]))


def require_recorded(address: Address, facts: Mapping[str, Any], provider: Provider) -> None:
    """Raise `ModelMismatchError` if another model has the name of the one that a collection was migrated to."""
    probe = _probe_of(provider)
    if probe is not None and not is_recorded(facts, probe):
        raise ModelMismatchError(
            f"collection {address} was migrated to {facts['model']} of {facts['dimension']} dimensions, and what has "
            f"this name now, of {probe.shape[1]}, gives other vectors: use the former one, or plan again:  "
            "lightmigrate plan DATABASE --target-model MODEL"
        )


def _probe_of(provider: Provider) -> Vectors | None:
    """The model's vector of the fixed text; `None` where it cannot be asked, or compared.

    That of a model that is called with a prefix cannot: an application may put the prefix before the fixed text, too.
    """
    if provider.prefix:
        return None
    try:
        return provider.probe()
    except LightmigrateError:
        return None


def _numbers(fingerprint: bytes) -> Vectors:
    return np.frombuffer(fingerprint, "<f4").astype(np.float32)
