"""The table of all terms. To add a term, write its class in a new file and list it here."""

from __future__ import annotations

from collections.abc import Mapping

from lightmigrate.projection.terms.base import Term
from lightmigrate.projection.terms.extract import Extract
from lightmigrate.projection.terms.kernel import Kernel
from lightmigrate.projection.terms.lexical import Lexical
from lightmigrate.projection.terms.linear import Linear
from lightmigrate.projection.terms.network import Network

TERMS: Mapping[str, type[Term]] = {term.kind: term for term in (Linear, Kernel, Lexical, Extract, Network)}
