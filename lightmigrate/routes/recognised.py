"""Whether stored vectors are the new model's own already, or lead to them by arithmetic: then nothing is learned."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lightmigrate.projection.model import Model
from lightmigrate.projection.projection import Projection
from lightmigrate.providers.cache import Cached
from lightmigrate.quality.identity import Identity
from lightmigrate.stores.base import Page
from lightmigrate.stores.joined import JoinedCollections
from lightmigrate.training.limits import BeforePaying, SpendingLimit, unasked
from lightmigrate.training.other_form import measure_form

# What a comparison with the model finds of vectors that are not the model's, or can be computed to be.
_NOT_THE_MODELS = ("other", "form")


@dataclass(frozen=True)
class Recognised:
    """How the stored vectors of one model compare with the new model's, and what follows from that.

    Attributes:
        identity: the comparison; `None` where it could not be measured.
        dimension: of the stored vectors.
        model: the new one.
    """

    identity: Identity | None
    dimension: int
    model: Model

    @property
    def reason_to_stay(self) -> str:
        """Why nothing is to be done about the vectors unless somebody names them; empty where something is."""
        if self.dimension != self.model.dimension:
            return ""
        if self.identity is None:
            return (
                f"of the new model's dimension, {self.dimension}, and no text tells whose the vectors are, or none "
                "may be embedded for that"
            )
        return "" if self.identity.verdict in _NOT_THE_MODELS else self.identity.reason

    @property
    def of_several_models(self) -> str:
        """How the vectors are known to be of several models, the new one among them; empty where they are not."""
        return self.identity.reason if self.identity is not None and self.identity.verdict == "mixed" else ""

    @property
    def arithmetic(self) -> Projection | None:
        """What computes the new model's vectors from the stored ones, exactly; `None` where there is no such thing."""
        if self.identity is None:
            return None
        source = replace(self.model, dimension=self.dimension, normalised=False)
        return self.identity.exact(source, self.model)

    @property
    def form(self) -> str:
        """In which other form the vectors are the new model's; empty where they are not."""
        return "" if self.identity is None or self.identity.verdict != "form" else self.identity.reason

    @property
    def calculation(self) -> str:
        """The arithmetic in a few words; empty where there is none."""
        if self.arithmetic is None or self.identity is None or self.identity.form is None:
            return ""
        cut = f"cut to {self.model.dimension} numbers"
        return {"length": "rescale", "shortened": cut}.get(self.identity.form.kind, "rescale each number")


def recognise(
    collection: JoinedCollections,
    sample: Page,
    provider: Cached,
    limit: SpendingLimit,
    before_paying: BeforePaying = unasked,
) -> Recognised:
    """Compare the vectors of one model with the new model's, on a few of their texts. Calls the model; only reads.

    Args:
        collection: the collections of one model as one.
        sample: records of theirs, with their texts.
        provider: the new model.
        limit: of what may be spent on it.
        before_paying: called with what that costs.

    Raises:
        ProviderError: the model fails.
    """
    # lengths count if they do before or after the migration
    metric = collection.metric if collection.present_metric == "cosine" else collection.present_metric
    identity = measure_form(sample, provider, limit, metric, before_paying=before_paying)
    return Recognised(identity, collection.members[0].facts().dimension or 0, provider.model)
