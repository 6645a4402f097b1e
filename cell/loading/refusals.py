"""Models whose load failed, refused at once for a while, so that a broken one costs no fetch a request. Pure.

Three kinds of failure:

    of the model    the engine refused it, or it is too large: the digest says that it will stay so. Kept for
                    long, half as long when a request has met it than when something in the background did
    of the store    it has no such artifact, or a damaged one: publishing again mends it. Kept shortly
    passing         the store is away, there is no room: not kept at all

Each is kept for a time of its own, up to a fifth more or less, so that a fleet of cells that met a failure
together does not ask again together.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

from croupier.bounded import Bounded
from croupier.errors import CroupierError, FailedPrecondition, QuotaExceeded, Unavailable

_COLD_RETRY_AFTER = 1.0
_STORE_SECONDS = 5.0
_SPREAD = 0.2
_MOST = 10_000


class ColdLoads(QuotaExceeded):
    """The tenant has had as many models loaded as it may, and this one is cold. Its own, passing.

    Said of a request that the router marked so, before anything is loaded for it; what is resident is served.
    """

    reason = "COLD_LOADS"

    def __init__(self) -> None:
        super().__init__(
            "the model is not loaded, and the tenant has had as many loaded as it may",
            retry_after=_COLD_RETRY_AFTER,
        )


class Refusals:
    """`seconds`: how long a failure of the model is kept. `uniform`: a number between two, at random."""

    def __init__(self, seconds: float, uniform: Callable[[float, float], float], most: int = _MOST) -> None:
        self._seconds = seconds
        self._uniform = uniform
        # Until when, and what to say.
        self._kept: Bounded[bytes, tuple[float, CroupierError]] = Bounded(most)

    @property
    def kept(self) -> Mapping[bytes, tuple[float, CroupierError]]:
        """By digest, until when and what is said; some may be over."""
        return self._kept

    def check(self, digest: bytes, now: float) -> None:
        """Raises what the load of `digest` raised, if that is still kept."""
        until, error = self._kept.get(digest, (0.0, None))
        if error is None:
            return
        if now < until:
            raise copy.copy(error)
        del self._kept[digest]

    def note(self, digest: bytes, error: BaseException, now: float, *, was_wanted: bool) -> None:
        """The load of `digest` failed; `was_wanted`: a request waited for it."""
        if not isinstance(error, CroupierError) or isinstance(error, Unavailable):
            return
        seconds = _STORE_SECONDS
        if isinstance(error, FailedPrecondition):
            seconds = self._seconds / 2 if was_wanted else self._seconds
        seconds *= self._uniform(1 - _SPREAD, 1 + _SPREAD)
        # A copy has neither traceback nor cause, whose frames hold the artifact's bytes.
        self._kept[digest] = (now + seconds, copy.copy(error))
