"""Which texts of a collection a starting server reads: as the policy says, or as its records tell."""

from __future__ import annotations

from dataclasses import dataclass

from lightmigrate.providers.base import Provider
from lightmigrate.startup.projection_source import ProjectionSource
from lightmigrate.stores.base import Collection, CollectionFacts
from lightmigrate.texts.collection import WithTexts
from lightmigrate.texts.find import FoundTexts, find_texts
from lightmigrate.texts.forms import DOCUMENT
from lightmigrate.texts.source import TextSource, chosen_form


@dataclass(frozen=True)
class StartupTexts:
    """A collection with its embedded texts.

    Attributes:
        collection: to be read by all that embeds texts or looks at them.
        found: how the texts were found; `None` where the policy says what they are.
    """

    collection: WithTexts
    found: FoundTexts | None

    @property
    def line(self) -> str:
        """Where the texts come from, for reports; empty for documents that nobody doubts."""
        form = self.collection.source.form
        if self.found is None:
            return f"{form}, as the policy says"
        return "" if form == DOCUMENT and len(self.found.candidates) < 2 else str(self.found)

    def require_decided(self) -> None:
        """Raise `AmbiguousTextsError` when it is not known which texts were embedded."""
        if self.found is not None:
            self.found.require_decided()


def startup_texts(collection: Collection, facts: CollectionFacts, source: ProjectionSource) -> StartupTexts:
    """The collection with its embedded texts. Only reads; calls a model only to compare candidates.

    Args:
        collection: the open collection.
        facts: about it.
        source: the models and the policy.
    """
    form = chosen_form(source.policy.text_field, source.policy.text_template)
    if form is not None:
        return StartupTexts(WithTexts(collection, TextSource(form)), None)
    found = find_texts(collection, _old_model(facts, source))
    return StartupTexts(WithTexts(collection, TextSource(found.form)), found)


def _old_model(facts: CollectionFacts, source: ProjectionSource) -> Provider | None:
    """A model that may have made the vectors and that costs nothing to ask, where there is a limit."""
    for model in (source.previous, source.target.provider):
        if model is None or (source.policy.max_cost is not None and model.priced(1000).dollars != 0):
            continue
        if model.model.dimension == facts.dimension:
            return model
    return None
