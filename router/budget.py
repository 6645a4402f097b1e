"""How many retries the router may afford: a share of its requests, and a few a second besides.

When everything fails, retries only add load; when little does, they hide it. So a retry costs a token,
every request brings a fraction of one, and time brings the rest (Finagle's retry budget). Without
tokens the first failure is the answer.
"""

from __future__ import annotations


class RetryBudget:
    """`share` of a token for each request, `per_second` for each second, never more than `most`.

    It begins with ten seconds' worth. Times are seconds on a monotonic clock, passed in.
    """

    def __init__(
        self, *, now: float, share: float = 0.2, per_second: float = 10.0, most: float = 1000.0
    ) -> None:
        self._share = share
        self._per_second = per_second
        self._most = most
        self._tokens = min(most, 10 * per_second)
        self._at = now

    def tokens(self, now: float) -> float:
        """How many retries it would pay for now."""
        return min(self._most, self._tokens + (now - self._at) * self._per_second)

    def deposit(self) -> None:
        """A request came."""
        self._tokens = min(self._most, self._tokens + self._share)

    def take(self, now: float) -> bool:
        """Whether one retry may be made now; it is paid for if so."""
        self._tokens = self.tokens(now)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
