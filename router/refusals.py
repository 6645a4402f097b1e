"""Statuses of refusals, made once.

What comes in floods when there is too much to do takes as long to put together as a request to serve, and
little to find again.
"""

from __future__ import annotations

from croupier.errors import QuotaExceeded, Unavailable
from croupier.transport.status import Status, from_error

MOST = 4096
_made: dict[tuple[object, ...], Status] = {}


def status_of(error: Exception) -> Status:
    """The status for `error`; the same one for all that say the same."""
    if not isinstance(error, (QuotaExceeded, Unavailable)):
        return from_error(error)
    # All that a status says.
    key = (type(error), error.message, error.reason, error.retry_after, *error.metadata.items())
    status = _made.get(key)
    if status is None:
        if len(_made) >= MOST:
            _made.clear()
        _made[key] = status = from_error(error)
    return status
