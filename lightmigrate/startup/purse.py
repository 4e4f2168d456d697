"""What a start may spend on embedding, all collections together."""

from __future__ import annotations

from lightmigrate.errors import CostError
from lightmigrate.providers.base import Provider


class Purse:
    """So many dollars.

    Args:
        dollars: `None` for no limit.
    """

    def __init__(self, dollars: float | None) -> None:
        self._allowed = dollars
        self._spent = 0.0

    def pay(self, provider: Provider, dollars: float | None, what: str) -> None:
        """Set aside what something costs, before it is bought.

        Args:
            provider: who is paid.
            dollars: as its bill says; `None` when no price is known.
            what: it is paid for.

        Raises:
            CostError: it would cost more than is left, or nobody knows what it costs.
        """
        if self._allowed is not None and dollars is None:
            raise CostError(
                f"nobody knows what {provider.name} costs, and {what} may cost ${self._allowed:.2f} at most: leave "
                "max_cost out, or calibrate=0",
                spent=self._spent,
                allowed=self._allowed,
            )
        if self._allowed is not None and self._spent + (dollars or 0.0) > self._allowed:
            raise CostError(
                f"{what} would cost ${dollars:.2f}, ${self._spent:.2f} of ${self._allowed:.2f} are spent: "
                "calibrate on fewer documents, or raise max_cost",
                spent=self._spent,
                allowed=self._allowed,
            )
        self._spent += dollars or 0.0
