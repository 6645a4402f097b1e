"""What tenants may take, kept: a bucket for each limit, and who has how many requests in flight. Pure.

**A bucket** is one moment, that at which it is full again (the virtual scheduling form of the generic cell
rate algorithm, ITU-T I.371): what is taken moves it on, and time brings it back. It holds what a second lets
through, and one at least. While there is one in it, whoever comes takes all that he needs, and may leave it
in debt: so a request that is larger than the whole bucket passes, and later ones pay for it. Otherwise it
never would, or small ones would always come before it. So the cost need not be known before, and cold loads,
of which one hears afterwards, are a limit like the others.

Since its state is a time, a limit that changes, or this router's share of it, keeps its fill in proportion
by itself; a debt stays what it is in requests, rows or bytes.

**What is not kept was empty when the router began.** So a bucket is forgotten once it is full, and one of a
router that has just started has one request in it and fills from there: restarts let nothing through twice.

**The bound.** Tenants without limits are known while they have a request in flight, and no longer. Of those
with limits `room` are kept as they are; with more, each new one has two old ones looked at, which go if they
are full. There are never more than `most`: then one goes that is not, and begins anew.

Cython compiles it with the types of `buckets.pxd`, since every request passes `enter` and `leave`;
uncompiled it does the same. Moments are in seconds on one monotonic clock, and passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isnan
from typing import TypeAlias

from croupier.priorities import PARTS
from version_manager.model.limits import NO_LIMITS, Limits, TenantLimits

# A bucket holds what it lets through in so long.
BURST_SECONDS = 1.0
# Of one unit, what may lack for it: sums of times are rounded.
_NEARLY = 0.999
ROOM = 2**14
MOST = 2**17

RATE, IN_FLIGHT, BYTES, ROWS, COLD_LOADS = "rate", "in_flight", "bytes", "rows", "cold_loads"
# The router's own limit.
EVERYBODY = ""

_LEAST_SHARE = 1e-6
_SPARE = 256

# Who is refused, for which limit, and for how many seconds at least; None: nobody knows.
Refuse: TypeAlias = "Callable[[Account, str, float | None], Exception]"


class Bucket:
    """Lets `rate` units a second through. It was empty but for one unit at `began`."""

    def __init__(self, rate: float, began: float) -> None:
        # Seconds in which one unit comes back, and in which a bucket fills that is empty.
        self.step = 1.0 / rate
        self.depth = max(BURST_SECONDS, self.step)
        self.full_at = began + self.depth - self.step

    def wait(self, now: float) -> float:
        """Seconds until there is a unit in it; 0 or less: there is."""
        return self.full_at - now - self.depth + self.step * _NEARLY

    def wait_behind(self, cost: float, now: float) -> float:
        """The same once so many units more were taken."""
        return max(self.full_at, now) + cost * self.step - now - self.depth + self.step * _NEARLY

    def take(self, cost: float, now: float) -> None:
        """Take so many units, whether or not they are there."""
        self.full_at = max(self.full_at, now) + cost * self.step

    def change(self, rate: float, now: float) -> None:
        """Let `rate` through from now on: what is in it stays the same part of it, a debt the same debt."""
        step, owed = self.step, self.full_at - now
        self.step = 1.0 / rate
        depth = max(BURST_SECONDS, self.step)
        if owed > 0:
            debt = max(0.0, owed - self.depth)
            self.full_at = now + (owed - debt) / self.depth * depth + debt / step * self.step
        self.depth = depth

    def fill(self, now: float) -> float:
        """Which part of it is there, from 1 down; below 0 it is in debt."""
        return 1.0 - max(0.0, self.full_at - now) / self.depth


class Account:
    """One tenant's. `limits` are those of all routers together, of which this one has `share`.

    Buckets are None where nothing limits it; `most` may be in flight here.
    """

    def __init__(self, tenant: str, most: int) -> None:
        self.tenant = tenant
        self.in_flight, self.most = 0, most
        self.epoch = 0
        self.is_limited = self.is_listed = False
        self.share = 1.0
        self.limits: Limits | None = None
        self.rate: Bucket | None = None
        self.volume: Bucket | None = None
        self.rows: Bucket | None = None
        self.cold: Bucket | None = None

    def is_empty(self, now: float) -> bool:
        """Whether a limit lets no request through now. That of cold loads lets through hot models always."""
        if self.rate is not None and self.rate.wait(now) > 0:
            return True
        if self.volume is not None and self.volume.wait(now) > 0:
            return True
        return self.rows is not None and self.rows.wait(now) > 0

    def is_full(self, now: float) -> bool:
        """Whether nobody would miss it."""
        if self.in_flight:
            return False
        return not [bucket for _, bucket in self.buckets() if bucket.full_at > now]

    def longest(self, now: float) -> tuple[str, float]:
        """The limit that lets no request through for the longest time, and how long."""
        waits = [(bucket.wait(now), kind) for kind, bucket in self.buckets() if kind != COLD_LOADS]
        wait, kind = max(waits, default=(0.0, RATE))
        return kind, wait

    def buckets(self) -> list[tuple[str, Bucket]]:
        """Those that there are, by the names of their limits."""
        kinds = ((RATE, self.rate), (BYTES, self.volume), (ROWS, self.rows), (COLD_LOADS, self.cold))
        return [(kind, bucket) for kind, bucket in kinds if bucket is not None]

    def charge(self, requests: int, rows: int, now: float) -> bool:
        """What was let in as one request turned out to be so many, of so many rows.

        Returns whether nothing may be loaded for it now.
        """
        if self.rate is not None and requests > 1:
            self.rate.take(requests - 1, now)
        if self.rows is not None:
            self.rows.take(rows, now)
        return self.cold is not None and self.cold.wait(now) > 0

    def give_back(self, requests: int, size: int, rows: int, now: float) -> None:
        """What was let in and charged so is not asked of any cell after all."""
        for bucket, cost in ((self.rate, requests), (self.volume, size), (self.rows, rows)):
            if bucket is not None:
                bucket.take(-cost, now)

    def set(self, limits: Limits, share: float, most: int, began: float, now: float) -> None:
        """Keep to `share` of `limits` from now on, and to `most` in flight in any case."""
        self.limits, self.share = limits, share
        self.rate = _changed(self.rate, limits.rate, share, began, now)
        self.volume = _changed(self.volume, limits.bytes, share, began, now)
        self.rows = _changed(self.rows, limits.rows, share, began, now)
        self.cold = _changed(self.cold, limits.cold_loads, share, began, now)
        self.most = most
        if limits.in_flight is not None:
            # A share of few is one at least, or a router would let nothing through.
            self.most = min(most, max(1, int(min(limits.in_flight * share, float(most)))))
        self.is_limited = limits.in_flight is not None or bool(self.buckets())


def _changed(
    bucket: Bucket | None, limit: float | None, share: float, began: float, now: float
) -> Bucket | None:
    if limit is None:
        return None
    if bucket is None:
        return Bucket(limit * share, began)
    if bucket.step != 1.0 / (limit * share):
        bucket.change(limit * share, now)
    return bucket


class Buckets:
    """`limit` of all requests in flight, `per_tenant` of one tenant's whatever its own limits say.

    `refuse` makes the error for whoever is not let in; `began` is when this router did.
    """

    def __init__(
        self,
        limit: int,
        per_tenant: int,
        refuse: Refuse,
        *,
        began: float,
        room: int = ROOM,
        most: int = MOST,
    ) -> None:
        self.limit, self.per_tenant = limit, per_tenant
        self.in_flight = 0
        self.accounts: dict[str, Account] = {}
        self._refuse, self._began = refuse, began
        self._room, self._most = room, most
        self._limits: TenantLimits | None = None
        # Of those that have limits of their own, where nobody else has any; None: everybody has some.
        self._own: Mapping[str, Limits] | None = {}
        # Accounts of tenants without limits that were let go: making one takes longer than all the rest.
        self._spare: list[Account] = []
        self._share_of: Callable[[str], float] | None = None
        # Accounts are of an epoch: in the next one they are looked at anew, when they are used.
        self._epoch = 1
        # Those with limits, and who of them is looked at next.
        self._listed: list[Account] = []
        self._hand = 0

    def follow(self, limits: TenantLimits | None, share_of: Callable[[str], float] | None) -> None:
        """What `limits` and `share_of` say of a tenant may have changed. None: nobody has limits."""
        self._limits, self._share_of = limits, share_of
        if limits is None:
            self._own = {}
        else:
            self._own = limits.tenants if limits.default == NO_LIMITS else None
        self._epoch += 1

    def enter(self, tenant: str, size: int, now: float, priority: int = 0) -> Account:
        """Let in one request of `size` bytes; whoever enters leaves. The lower its priority, the sooner the
        router's own limit is reached for it.

        Raises what `refuse` makes; then nothing is taken.
        """
        account = self._with_room(tenant, now, priority)
        account.in_flight += 1
        self.in_flight += 1
        if account.rate is not None:
            account.rate.take(1.0, now)
        if account.volume is not None:
            account.volume.take(size, now)
        return account

    def check(self, tenant: str, ahead: int, now: float) -> None:
        """Raise what `enter` would, once `ahead` bytes were taken that are on their way; nothing is taken."""
        account = self._with_room(tenant, now, 0)
        if account.volume is not None:
            wait = account.volume.wait_behind(ahead, now)
            if wait > 0:
                raise self._refuse(account, BYTES, wait)
        self._let_go(account)

    def leave(self, account: Account) -> None:
        account.in_flight -= 1
        self.in_flight -= 1
        self._let_go(account)

    def at_most(self) -> list[Account]:
        """Those that have as many requests in flight as they may."""
        return [account for account in self.accounts.values() if account.in_flight >= account.most]

    def _with_room(self, tenant: str, now: float, priority: int) -> Account:
        """The account of `tenant`, by the limits that hold now. Raises what `refuse` makes if it is full."""
        account = self.accounts.get(tenant)
        if account is None:
            account = self._open(tenant, now)
        elif account.epoch != self._epoch:
            self._look_at(account, now)
        if (
            account.in_flight >= account.most
            or self.in_flight >= self.limit
            or (priority > 0 and self.in_flight >= PARTS[priority] * self.limit)
            or (account.is_limited and account.is_empty(now))
        ):
            raise self._refusal(account, now)
        return account

    def _let_go(self, account: Account) -> None:
        """Forget it, if nothing is to be known of it."""
        if account.in_flight == 0 and not account.is_limited:
            self._forget(account)
            if account.limits is None and len(self._spare) < _SPARE:
                self._spare.append(account)

    def _open(self, tenant: str, now: float) -> Account:
        if self._spare:
            account = self._spare.pop()
            account.tenant, account.most = tenant, self.per_tenant
        else:
            account = Account(tenant, self.per_tenant)
        self.accounts[tenant] = account
        if self._own is not None and tenant not in self._own:
            account.epoch = self._epoch
        else:
            self._look_at(account, now)
        return account

    def _look_at(self, account: Account, now: float) -> None:
        """Have it keep to what holds now."""
        account.epoch = self._epoch
        limits, share = NO_LIMITS, 1.0
        if self._limits is not None:
            limits = self._limits.of(account.tenant)
            share = 1.0 if self._share_of is None else self._share_of(account.tenant)
        # Whatever is wrong with a share, it is no reason to let through more than all, or nothing.
        share = 1.0 if isnan(share) else min(1.0, max(_LEAST_SHARE, share))
        account.set(limits, share, self.per_tenant, self._began, now)
        if account.is_limited and not account.is_listed:
            self._list(account, now)

    def _list(self, account: Account, now: float) -> None:
        """Count it among those that are kept, and see whether others need not be."""
        account.is_listed = True
        looks = 2 if len(self._listed) >= self._room else 0
        for _ in range(looks):
            self._hand = self._hand + 1 if self._hand + 1 < len(self._listed) else 0
            old = self._listed[self._hand]
            if old.is_full(now) or (len(self._listed) >= self._most and old.in_flight == 0):
                self._listed[self._hand] = self._listed[len(self._listed) - 1]
                self._listed.pop()
                old.is_listed = False
                self._forget(old)
                if not self._listed:
                    break
        self._listed.append(account)

    def _forget(self, account: Account) -> None:
        if self.accounts.get(account.tenant) is account:
            del self.accounts[account.tenant]

    def _refusal(self, account: Account, now: float) -> Exception:
        if account.in_flight == 0 and not account.is_limited:
            # Nobody would take it out again.
            self._forget(account)
        kind, wait = account.longest(now)
        if wait > 0:
            return self._refuse(account, kind, wait)
        return self._refuse(account, IN_FLIGHT if account.in_flight >= account.most else EVERYBODY, None)
