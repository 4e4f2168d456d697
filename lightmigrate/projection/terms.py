"""All terms there are. To add one: write its class in a file of its own and name it here."""

from __future__ import annotations

from collections.abc import Mapping

from lightmigrate.projection.abridged import Abridged
from lightmigrate.projection.kernel import Kernel
from lightmigrate.projection.lexical import Lexical
from lightmigrate.projection.linear import Linear
from lightmigrate.projection.network import Network
from lightmigrate.projection.term import Term

TERMS: Mapping[str, type[Term]] = {term.kind: term for term in (Linear, Kernel, Lexical, Abridged, Network)}
