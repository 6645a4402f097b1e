"""Whether and when a failed call is tried again: a pure decision.

Only `Unavailable` is: it alone says that the same request may succeed later. Waits double from
50 ms to 1 s and are drawn at random below that, so that the clients of a restarted router do not
come back as one; a server's `retry_after` is a floor (infinity: it is not to be). A wait that would reach
past the deadline is not begun: the caller has the real error now instead of a DeadlineExceeded later.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from croupier_client.deadline import Deadline
from croupier_client.errors import InvalidRequest, Unavailable

_FIRST = 0.05
_LONGEST = 1.0
_SPREAD = 0.25


@dataclass(frozen=True)
class RetryPolicy:
    """At most `retries` more attempts after the first one; 0 tries once.

    Raises:
        InvalidRequest: `retries` is below 0.
    """

    retries: int = 2

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise InvalidRequest("retries is below 0", field="retries")

    def wait(
        self, errors: Sequence[object], failures: int, deadline: Deadline, now: float, rng: random.Random
    ) -> float | None:
        """Seconds to wait after the `failures`-th failure in a row (from 1); None to give up.

        `errors` is what the next attempt is to mend; anything but `Unavailable` in it is not mended.
        """
        passing = [error.retry_after for error in errors if isinstance(error, Unavailable)]
        if not passing or failures > self.retries:
            return None
        backoff = rng.uniform(0.0, min(_LONGEST, _FIRST * 2 ** (failures - 1)))
        wait = max(backoff, max(passing) * rng.uniform(1.0, 1.0 + _SPREAD))
        return wait if now + wait < deadline.at else None
