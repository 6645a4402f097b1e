"""Sheds early: what a tenant may take (`buckets`), and how many requests all together may have in flight.

Nobody waits here: a request over a limit is refused at once and told when to come back, while there is still
room to answer those that were let in. The tenant's own limits are looked at first, since "you send too much"
helps a caller more than "we are full". What is refused is not charged.

A request costs one of the rate for each of its items, since they are what routers count and `croupierctl
top` shows, and its bytes. Its rows count where a limit of rows asks for them. Opening a stream costs as much
as a request, which its first one need not pay again: or whoever opens many would be answered on none.

A large request is looked at before it is taken in (`upload`): one that would be refused once it is here is
refused at once, with what is on its way of the same tenant counted as if it were here. That is bounded
without limits too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from heapq import nsmallest

from croupier.errors import CroupierError, QuotaExceeded, Unavailable
from croupier.recent import Noted, Recent
from croupier.telemetry.metrics import LoopCounter, LoopGauge
from router.buckets import BYTES, COLD_LOADS, EVERYBODY, IN_FLIGHT, RATE, ROWS, Account, Buckets
from router.comebacks import Comebacks
from router.pressure import Pressure
from version_manager.model.limits import TenantLimits

STREAMS, UPLOADS = "streams", "uploads"
# What a limit is of, for whoever is told of it.
UNITS = {
    RATE: "requests a second",
    IN_FLIGHT: "requests in flight",
    BYTES: "bytes a second",
    ROWS: "rows a second",
    COLD_LOADS: "cold loads a second",
    STREAMS: "open streams at a router",
    UPLOADS: "bytes of large requests on their way to a router",
}
_REFUSED = LoopCounter(
    "croupier_router_limit_refusals_total",
    "Requests and streams that were refused for a limit of their tenant",
    ["limit"],
    [(kind,) for kind in UNITS],
)
_LIMITED = LoopGauge(
    "croupier_router_limited_tenants", "Tenants that were refused for a limit in the last ten seconds"
)

# Tenants and limits that refused them, of which that is remembered.
_MOST_REFUSED = 500
# The refusals of the router's own limit, which is no tenant's name.
_OWN = ("", EVERYBODY)
_MORE = "whoever operates this can raise it: croupierctl tenants limit"


class Overloaded(Unavailable):
    """The router has as many requests in flight as it may. Ours, passing."""

    reason = "ROUTER_OVERLOADED"


class OverLimit(QuotaExceeded):
    """A tenant takes more than it may. Its own, until it has waited."""


@dataclass(frozen=True, slots=True)
class Limited:
    """What a limit has refused lately. `limit` is for all routers together, and `share` of it this one's."""

    kind: str
    limit: float
    share: float
    refused: Noted


@dataclass(frozen=True, slots=True)
class Pressed:
    """A tenant that has as many requests in flight as it may, or was refused lately.

    `refused` is for the router's limit of a tenant's requests in flight, `limits` for its own.
    """

    tenant: str
    in_flight: int
    most: int
    refused: Noted = field(default=Noted())
    limits: tuple[Limited, ...] = ()


class Admission:
    """`limit` for all requests in flight, `per_tenant` for one tenant's, whatever its own limits are.

    One tenant may have `streams` open, and `uploads` bytes of large requests on their way.

    `retry_after` in seconds, where nobody knows when there will be room. `clock` is monotonic, in seconds,
    and asked when a request is refused; `random` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        limit: int,
        per_tenant: int,
        *,
        streams: int = 256,
        uploads: int = 48 * 2**20,
        retry_after: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.buckets = Buckets(limit, per_tenant, self._refuse, began=clock())
        # Straight to those that every request asks.
        self.enter, self.leave = self.buckets.enter, self.buckets.leave
        self._pressure = Pressure(limit)
        self._retry_after = retry_after
        self._clock = clock
        self._comebacks = Comebacks(random)
        self._refused: Recent[tuple[str, str]] = Recent(_MOST_REFUSED)
        self._own = {STREAMS: streams, UPLOADS: uploads}
        self._streams: Counter[str] = Counter()
        self._uploading: Counter[str] = Counter()
        self._limits = TenantLimits()

    @property
    def in_flight(self) -> int:
        return self.buckets.in_flight

    @property
    def limit(self) -> int:
        """How many may be in flight now; less than it was made with while the loop is late."""
        return self.buckets.limit

    def beat(self, late: float, now: float) -> None:
        """The loop has come to a beat, and was so late."""
        self.buckets.limit = self._pressure.beat(late, self.buckets.in_flight, now)

    @property
    def per_tenant(self) -> int:
        return self.buckets.per_tenant

    def follow(self, limits: TenantLimits, share_of: Callable[[str], float] | None = None) -> None:
        """Keep tenants to `limits` from now on, of which `share_of` says what part of it is this router's."""
        self._limits = limits
        self.buckets.follow(limits if limits != TenantLimits() else None, share_of)

    @contextmanager
    def stream(self, tenant: str) -> Iterator[Callable[[], None]]:
        """While a stream of `tenant` is open; gives what is to be called before each request on it.

        Raises OverLimit, or Overloaded.
        """
        if self.streams(tenant) >= self._own[STREAMS]:
            raise self.over(tenant, STREAMS, self._own[STREAMS], None)
        self.leave(self.enter(tenant, 0, self._clock()))
        self._streams[tenant] += 1
        is_paid = True

        def asks() -> None:
            nonlocal is_paid
            account = self.buckets.accounts.get(tenant)
            if is_paid and account is not None:
                account.give_back(1, 0, 0, self._clock())
            is_paid = False

        try:
            yield asks
        finally:
            self._streams[tenant] -= 1
            if not self._streams[tenant]:
                del self._streams[tenant]

    def upload(self, tenant: str, size: int) -> Callable[[], None]:
        """A request of `size` bytes begins to arrive; returns what to call once it is here, or will not be.

        The first is let in at any size that a request may have. Raises OverLimit, or Overloaded.
        """
        ahead = self._uploading.get(tenant, 0)
        if ahead and ahead + size > self._own[UPLOADS]:
            raise self.over(tenant, UPLOADS, self._own[UPLOADS], None)
        self.buckets.check(tenant, ahead, self._clock())
        self._uploading[tenant] = ahead + size
        return partial(self._uploaded, tenant, size)

    def _uploaded(self, tenant: str, size: int) -> None:
        self._uploading[tenant] -= size
        if not self._uploading[tenant]:
            del self._uploading[tenant]

    def uploading(self, tenant: str) -> int:
        """How many bytes of large requests are on their way."""
        return self._uploading.get(tenant, 0)

    def streams(self, tenant: str) -> int:
        """How many it has open."""
        return self._streams.get(tenant, 0)

    def over(self, tenant: str, kind: str, limit: float, wait: float | None) -> OverLimit:
        """Note that `tenant` was refused for a limit, and say so; there is room in `wait` seconds at least.

        What is said is the same for many requests, so that it is put into a status once (`server`).
        """
        now = self._clock()
        self._refused.note((tenant, kind), now)
        _REFUSED.values[kind,] += 1
        return OverLimit(
            f"tenant {tenant} is at its limit of {limit:,.15g} {UNITS[kind]}; {_MORE}",
            retry_after=self._retry_after if wait is None else self._after(tenant, kind, limit, wait, now),
            subject=tenant,
            limit=kind,
            value=f"{limit:.15g}",
        )

    def _after(self, tenant: str, kind: str, limit: float, wait: float, now: float) -> float:
        account = self.buckets.accounts.get(tenant)
        rate = limit * (1.0 if account is None else account.share)
        return self._comebacks.after(tenant, kind, wait, 1.0 / rate if rate else 0.0, now)

    @property
    def refused(self) -> Noted:
        """What the router's own limit has refused lately."""
        return self._refused.of(_OWN, self._clock())

    def pressed(self, most: int) -> tuple[list[Pressed], int]:
        """The tenants in trouble with their limits, the most refused first, and how many there are."""
        refused: dict[str, dict[str, Noted]] = {}
        for (tenant, kind), noted in self._refused.all(self._clock()).items():
            refused.setdefault(tenant, {})[kind] = noted
        refused.pop("", None)
        _LIMITED.value = len(refused)
        for account in self.buckets.at_most():
            refused.setdefault(account.tenant, {})
        worst = nsmallest(
            most,
            refused.items(),
            key=lambda one: (-sum(noted.count for noted in one[1].values()), one[0]),
        )
        return [self._pressed(tenant, kinds) for tenant, kinds in worst], len(refused)

    def _pressed(self, tenant: str, kinds: dict[str, Noted]) -> Pressed:
        account = self.buckets.accounts.get(tenant)
        limits = self._limits.of(tenant)
        share = 1.0 if account is None else account.share
        most = self.per_tenant if account is None else account.most
        told: list[Limited] = []
        for kind, noted in sorted(kinds.items(), key=lambda one: (-one[1].count, one[0])):
            limit = self._own[kind] if kind in self._own else getattr(limits, kind)
            # None: there was one when it refused, or it is the router's.
            if limit is not None and not (kind == IN_FLIGHT and most >= self.per_tenant):
                told.append(Limited(kind, limit, 1.0 if kind in self._own else share, noted))
        is_own = any(limited.kind == IN_FLIGHT for limited in told)
        return Pressed(
            tenant,
            0 if account is None else account.in_flight,
            most,
            Noted() if is_own else kinds.get(IN_FLIGHT, Noted()),
            tuple(told),
        )

    def _refuse(self, account: Account, kind: str, wait: float | None) -> CroupierError:
        if kind == EVERYBODY:
            self._refused.note(_OWN, self._clock())
            return Overloaded("the router has too many requests in flight", retry_after=self._retry_after)
        limits, limit = account.limits, float(self.per_tenant)
        if limits is not None and (kind != IN_FLIGHT or account.most < self.per_tenant):
            limit = getattr(limits, kind)
        return self.over(account.tenant, kind, limit, wait)
