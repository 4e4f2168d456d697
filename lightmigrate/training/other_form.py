"""Whether stored vectors are the new model's own in another form: measured on a few documents, before any learning."""

from __future__ import annotations

from lightmigrate.errors import CostError
from lightmigrate.providers.base import Provider
from lightmigrate.quality.identity import Identity, identify
from lightmigrate.stores.base import Page
from lightmigrate.training.limits import BeforePaying, SpendingLimit, unasked
from lightmigrate.vectors import Metric, evenly, finite_rows

# Documents that the new model embeds. One model's vectors agree in all of them, two models' in none; the scales of
# vectors rounded to 8 bits need more.
DOCUMENTS = 30


def compared(sample: Page, documents: int = DOCUMENTS) -> Page:
    """The records of a sample that are compared: of those with a text, so many from all over."""
    with_text = [row for row, text in enumerate(sample.texts) if text and text.strip()]
    return sample.rows([with_text[place] for place in evenly(len(with_text), documents)])


def measure_form(
    sample: Page,
    provider: Provider,
    limit: SpendingLimit,
    metric: Metric,
    documents: int = DOCUMENTS,
    before_paying: BeforePaying = unasked,
) -> Identity | None:
    """Compare some stored vectors with those of a model. Calls the model.

    Args:
        sample: records with usable vectors.
        provider: the model.
        limit: of what may be spent on it.
        metric: the distance of the collection.
        documents: at most so many are embedded.
        before_paying: called with what that costs.

    Returns:
        `None` where no record has a text that the model embeds, or embedding would cost more than the limit.

    Raises:
        ProviderError: the model fails.
    """
    page = compared(sample, documents)
    if not len(page):
        return None
    texts = [text or "" for text in page.texts]
    bill = provider.bill(texts)
    try:
        limit.pay(provider, bill.dollars, "recognising the model")
    except CostError:
        return None
    before_paying(bill, "to recognise whose the stored vectors are")
    vectors = provider.embed_each(texts)
    taken = finite_rows(vectors)
    return identify(page.vectors[taken], vectors[taken], metric=metric) if taken.any() else None
