"""Which texts of a collection a starting server reads: as the policy says, or as its records tell."""

from __future__ import annotations

from dataclasses import dataclass

from lightmigrate.providers.base import Provider
from lightmigrate.startup.projection_source import ProjectionSource
from lightmigrate.stores.base import Collection, CollectionFacts
from lightmigrate.texts.collection import WithTexts
from lightmigrate.texts.find import SAMPLED, FoundTexts, found_in
from lightmigrate.texts.forms import DOCUMENT
from lightmigrate.texts.not_texts import require_texts, rows_by_uri
from lightmigrate.texts.source import TextSource, chosen_form


@dataclass(frozen=True)
class StartupTexts:
    """A collection with its embedded texts.

    Attributes:
        collection: to be read by all that embeds texts or looks at them.
        facts: about it.
        found: how the texts were found; `None` where the policy says what they are.
    """

    collection: WithTexts
    facts: CollectionFacts
    found: FoundTexts | None

    @property
    def line(self) -> str:
        """Where the texts come from, for reports; empty for documents that nobody doubts."""
        form = self.collection.source.form
        if self.found is None:
            return f"{form}, as the policy says"
        line = "" if form == DOCUMENT and len(self.found.candidates) < 2 else str(self.found)
        if not self.found.without_text or not self.found.candidates:
            return line
        without = f"{self.found.without_text} of {self.found.sampled} sampled records have no text"
        return f"{line or form}; {without} and are projected from their vectors alone"

    def require_known(self) -> None:
        """Raise when a projection must not be learned from the texts and applied to all records.

        Raises:
            AmbiguousTextsError: it is not known which texts were embedded.
            NotTextsError: many of the records are no texts.
        """
        if self.found is not None:
            self.found.require_decided()
            require_texts(self.facts.address, self.found.by_uri, self.found.sampled)
            return
        page = self.collection.sample(SAMPLED)
        require_texts(self.facts.address, rows_by_uri(page, page.texts), len(page))


def startup_texts(
    collection: Collection, facts: CollectionFacts, source: ProjectionSource, *, beside_documents: bool = False
) -> StartupTexts:
    """The collection with its embedded texts. Only reads; calls a model only to compare candidates.

    Args:
        collection: the open collection.
        facts: about it.
        source: the models and the policy.
        beside_documents: whether a title or another field may have been embedded with the documents. It is believed
            only where a model shows it: a field that repeats words of the document may explain vectors better than the
            document does, although it was not embedded.
    """
    form = chosen_form(source.policy.text_field, source.policy.text_template)
    if form is not None:
        return StartupTexts(WithTexts(collection, TextSource(form)), facts, None)
    page, model = collection.sample(SAMPLED), _old_model(facts, source)
    found = None
    if beside_documents and model is not None:
        found = found_in(page, facts.address, model, beside_documents=True)
    if found is None or found.how != "measured":
        found = found_in(page, facts.address, model)
    return StartupTexts(WithTexts(collection, TextSource(found.form)), facts, found)


def _old_model(facts: CollectionFacts, source: ProjectionSource) -> Provider | None:
    """A model that may have made the vectors and that costs nothing to ask, where there is a limit."""

    def may_be_asked(model: Provider | None) -> bool:
        return model is not None and (source.policy.max_cost is None or model.priced(1000).dollars == 0)

    previous, target = source.previous, source.target
    if may_be_asked(previous) and previous is not None and previous.model.dimension == facts.dimension:
        return previous
    return target.provider if may_be_asked(target.provider) and target.dimension == facts.dimension else None
