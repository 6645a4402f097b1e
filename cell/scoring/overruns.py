"""Models that do not come to an end: refused for a while, then tried once more.

A run that is stopped has cost a thread all the time that it was given, and the next one will. One that its
caller gave 10 ms says little; so what counts is how long a model has run in all without coming to an end
once in between. When that is as long as one run may take, it is refused at once for a time, which doubles
each time that this happens again.

This is no quarantine: an honest model on a machine that is too busy comes back by itself. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from croupier.backoff import Backoff
from croupier.bounded import Bounded
from croupier.errors import FailedPrecondition
from croupier.recent import Recent

_MOST_KNOWN = 4_096
# Of what was stopped lately, which artifacts are told apart; and how long such a run has to be, for others
# say more of their callers' deadlines.
_MOST_TOLD = 100
_LONG = 0.5


class Overran(FailedPrecondition):
    """A model that had to be stopped again and again, and is not tried now. The publisher's."""

    reason = "RUNS_TOO_LONG"


@dataclass(slots=True)
class _Record:
    seconds: float = 0.0
    refusals: int = 0
    until: float = float("-inf")


class Overruns:
    """A model is refused after `most` seconds of runs that had to be stopped, for `first` to `longest`
    seconds.
    """

    def __init__(self, most: float, *, first: float = 30.0, longest: float = 900.0) -> None:
        self._most = most
        self._backoff = Backoff(first, longest)
        # Empty nearly always.
        self._records: Bounded[bytes, _Record] = Bounded(_MOST_KNOWN)
        self._stopped: Recent[bytes] = Recent(_MOST_TOLD)

    def check(self, digest: bytes, now: float) -> None:
        """Raises Overran if the model is not to be tried now."""
        record = self._records.get(digest)
        if record is not None and now < record.until:
            raise Overran("the model ran without an end and is not tried for a while")

    def stopped(self, digest: bytes, seconds: float, now: float) -> None:
        """A run was stopped after so long."""
        if seconds >= _LONG:
            self._stopped.note(digest, now)
        record = self._records.get(digest) or _Record()
        self._records[digest] = record
        record.seconds += seconds
        if record.seconds >= self._most:
            record.refusals += 1
            record.until = now + self._backoff.after(record.refusals)
            record.seconds = 0.0

    def lately(self, now: float) -> tuple[bytes, int]:
        """The artifact that was stopped last, and how many runs were, in the last seconds."""
        found = self._stopped.all(now)
        return next(reversed(found), b""), sum(noted.count for noted in found.values())

    def ended(self, digest: bytes) -> None:
        """A run came to its end."""
        if self._records:
            self._records.pop(digest, None)
