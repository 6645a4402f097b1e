"""When a request stops being worth answering, as one moment on a monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass

from croupier_client.errors import DeadlineExceeded


@dataclass(frozen=True)
class Deadline:
    """A moment in seconds on a monotonic clock; `math.inf` when the caller set none."""

    at: float

    @classmethod
    def after(cls, seconds: float | None, now: float) -> Deadline:
        """The deadline `seconds` from `now`; `None` means none."""
        return NEVER if seconds is None else cls(now + seconds)

    def remaining(self, now: float) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.at - now)

    def timeout(self, now: float) -> float | None:
        """Seconds left as a timeout argument: `None` when there is no deadline."""
        return None if self.at == float("inf") else self.remaining(now)

    def check(self, now: float) -> None:
        """Raises DeadlineExceeded if the moment has passed."""
        if now >= self.at:
            raise DeadlineExceeded("the deadline has passed")


NEVER = Deadline(float("inf"))
