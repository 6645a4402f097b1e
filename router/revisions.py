"""Requests that wait until this router knows a revision of the catalog.

A write is told to its publisher when the version manager serves it, and routers hear of it some
milliseconds later. So the answer to a write names where it stands, and a request that shows this as
`croupier-min-revision` is answered from a catalog that has it, whichever router it comes to:

    known already ──▶ at once, as without             (a comparison)
    not yet       ──▶ waits for the view that has it, for half of its time and no longer than two seconds
                      ├─ it comes            ──▶ goes its way
                      ├─ it does not         ──▶ UNAVAILABLE, to be tried again
                      └─ another catalog is served ──▶ FAILED_PRECONDITION

`CATALOG:REVISION` is opaque to callers. Revisions of catalogs of different names do not compare: etcd was
restored, or another version manager counts them otherwise (`version_manager/map/mirror.py`).

What waits is bounded, for a tenant and in all, so that nobody can park requests here. Pure but for the wheel.
"""

from __future__ import annotations

import re
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from croupier.errors import CroupierError, FailedPrecondition, InvalidRequest, Unavailable
from croupier.telemetry.metrics import Counter
from router.view import View
from router.wheel import Item, Wheel

MIN_REVISION = "croupier-min-revision"
MIN_REVISION_KEY = MIN_REVISION.encode()
MOST = 1024
MOST_OF_A_TENANT = 64
# Seconds; a watch that works brings a revision in a few milliseconds.
WAIT_SECONDS = 2.0
_RETRY_AFTER = 0.1
_FORM = re.compile(rb"([!-9;-~]{1,64}):([0-9]{1,19})")
_WAITS = Counter(
    "croupier_router_revision_waits_total", "Requests that had to wait for a revision, by their end", ["end"]
)

# Is told None once the revision is known, else why the request is not answered.
Then: TypeAlias = Callable[[CroupierError | None], None]


class RevisionNotReached(Unavailable):
    """The router does not know the revision in time, or too many wait for theirs. Passing."""

    reason = "REVISION_NOT_REACHED"


class OtherCatalog(FailedPrecondition):
    """The revision is of another catalog than the router's. The caller's: ask without it."""

    reason = "OTHER_CATALOG"


@dataclass(frozen=True, slots=True)
class Wanted:
    """At least `revision` of `catalog`."""

    catalog: str
    revision: int


def read_wanted(values: Sequence[bytes]) -> Wanted:
    """What the values of `croupier-min-revision` want. Raises InvalidRequest."""
    found = _FORM.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        raise InvalidRequest(f"{MIN_REVISION} is not as a publisher was given it", field=MIN_REVISION)
    return Wanted(found[1].decode(), int(found[2]))


class Waiter:
    """One request that waits; `cancel` forgets it."""

    __slots__ = ("_revisions", "slot", "tenant", "then", "wanted")

    def __init__(self, revisions: Revisions, wanted: Wanted, tenant: str, then: Then) -> None:
        self.slot: set[Item] | None = None
        self.wanted = wanted
        self.tenant = tenant
        # None once it waits no longer: the call holds on to this, and nothing may hold on to the call.
        self.then: Then | None = then
        self._revisions = revisions

    def expire(self, now: float) -> None:
        self._revisions.give_up(self)

    def cancel(self) -> None:
        self._revisions.forget(self)


class Revisions:
    """The catalog's revision as this router knows it, and who waits for a later one.

    `clock` is that of `wheel`, in seconds.
    """

    def __init__(self, wheel: Wheel, *, clock: Callable[[], float]) -> None:
        self._wheel = wheel
        self._clock = clock
        self._known = Wanted("", 0)
        # In the order that they came.
        self._waiting: dict[Waiter, None] = {}
        self._of_tenant: Tally[str] = Tally()

    def __len__(self) -> int:
        return len(self._waiting)

    def follow(self, view: View) -> None:
        """`view` is what requests are answered from: let those go that waited for it."""
        self._known = Wanted(view.catalog.name, view.catalog.revision)
        for waiter in [waiter for waiter in self._waiting if self.reached(waiter.wanted)]:
            self._end(waiter, "reached", None)

    def reached(self, wanted: Wanted) -> bool:
        return wanted.catalog == self._known.catalog and wanted.revision <= self._known.revision

    def wait(self, wanted: Wanted, tenant: str, deadline: float, then: Then) -> Waiter:
        """Have `then` called, once, unless what is returned is cancelled before.

        Raises:
            RevisionNotReached: too many wait.
        """
        if len(self._waiting) >= MOST or self._of_tenant[tenant] >= MOST_OF_A_TENANT:
            _WAITS.labels("refused").inc()
            raise RevisionNotReached("too many requests wait for a revision", retry_after=_RETRY_AFTER)
        waiter = Waiter(self, wanted, tenant, then)
        self._waiting[waiter] = None
        self._of_tenant[tenant] += 1
        now = self._clock()
        # An answer after the deadline is none, and one well before it leaves time to try again.
        self._wheel.add(waiter, now + min(WAIT_SECONDS, max(0.0, deadline - now) / 2))
        return waiter

    def forget(self, waiter: Waiter) -> Then | None:
        """What `waiter` waited with, which it does no longer; None if it did not wait."""
        then, waiter.then = waiter.then, None
        if then is not None:
            del self._waiting[waiter]
            self._wheel.remove(waiter)
            self._of_tenant[waiter.tenant] -= 1
            # A Counter keeps its zeros.
            if not self._of_tenant[waiter.tenant]:
                del self._of_tenant[waiter.tenant]
        return then

    def give_up(self, waiter: Waiter) -> None:
        """`waiter` has waited for long enough."""
        wanted, known = waiter.wanted, self._known
        error: CroupierError = RevisionNotReached(
            f"revision {wanted.revision} is not known here yet, but {known.revision}",
            retry_after=_RETRY_AFTER,
        )
        if known.catalog and wanted.catalog != known.catalog:
            error = OtherCatalog(f"the revision is not one of catalog {known.catalog}, which is served")
        self._end(waiter, "late", error)

    def _end(self, waiter: Waiter, end: str, error: CroupierError | None) -> None:
        then = self.forget(waiter)
        # One that was let go may have cancelled another.
        if then is not None:
            _WAITS.labels(end).inc()
            then(error)
