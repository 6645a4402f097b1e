"""The error of a store that answers and will not serve us."""

from __future__ import annotations

from croupier.errors import FailedPrecondition


class StoreRefused(FailedPrecondition):
    """The store denies access, or has no such bucket. The operator's: a setting has to change."""

    reason = "STORE_REFUSED"
