"""How much each tenant and each model asks for, and gets: what routers count, added up over them.

A router tells all managers once a second what it has counted since it started: cumulative, so that nothing
depends on a single report. What is new since its report before is added here, once:

- **a router that restarts** counts from nothing, under another incarnation: all of that is new. A late report
  of its life before is passed over;
- **a router that is heard for the first time** and has counted for long, as after a restart of this manager,
  adds nothing yet: what it counted in hours was not asked for in this second;
- **a key that the router dropped**, for busier ones, and took up again has another admission: as a restart;
- **a router that is gone** adds nothing any more, so that it is in no window soon.

Memory is bounded: by `MOST_KEYS` tenants and as many models, and by `MOST_KNOWN` counts that routers told
last. What a report may hold is checked before anything of it is taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping
from math import isfinite
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from croupier.bounded import Bounded
from croupier.errors import InvalidRequest
from croupier.latencies import BUCKETS, MIDDLES
from croupier.names import MAX_VERSION, check_name
from protos.versions.v1 import versions_pb2 as pb
from version_manager.rate_table import Key, Matrix, RateTable, Window
from version_manager.shares import Shares

# The first of a row's columns; a row's buckets stand behind them.
FIELDS = ("requests", "refused", "failed", "cold", "retried", "slow")
COLUMNS = len(FIELDS) + BUCKETS

MOST_KEYS = 2048
MOST_ROUTERS = 1000
# Of all routers together.
MOST_KNOWN = 100_000
# Of one report, as many as two tables of `router.settings.MOST_RATES`.
MOST_TOLD = 2000
MOST_ROWS = 1000
# Keys that are taken in one go, in less than a millisecond.
_SLICE = 50
_FEW_ROWS = 20
# More than any router counts, and less than numbers lose their last digit.
_MOST_COUNT = 2**53
# A router that is heard for the first time has just started if it is not older; and it is gone after so long.
_FRESH = 10.0
_SILENT = 10.0
_FORGOTTEN = 60.0

_Known: TypeAlias = tuple[int, NDArray[np.uint64]]
_QUANTILES = (0.5, 0.99)
_ORDERED_BY = {pb.GetRatesRequest.ERRORS: ["refused", "failed"], pb.GetRatesRequest.COLD: ["cold"]}
_MIDDLES = np.array(MIDDLES)


class Asked(NamedTuple):
    """Requests a second: of the busiest tenants, by name, and of everybody together."""

    tenants: Mapping[str, float]
    total: float


class Used(NamedTuple):
    """By one tenant, a second."""

    requests: float = 0.0
    cold: float = 0.0


class _Router:
    """What a life of a router told last: for each key its admission and its counts."""

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.heard_at = -np.inf
        self.known: dict[Key, _Known] = {}


class Rates:
    """`clock` is monotonic, in seconds. `shares` hears what a router was asked for since its last report."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, shares: Shares | None = None) -> None:
        self._clock = clock
        self._shares = shares
        self._routers: Bounded[str, _Router] = Bounded(MOST_ROUTERS)
        self._tenants = RateTable(COLUMNS, MOST_KEYS, clock)
        self._models = RateTable(COLUMNS, MOST_KEYS, clock)
        self._all = RateTable(COLUMNS, 1, clock)

    @property
    def nbytes(self) -> int:
        """The memory of all counts."""
        known = sum(len(router.known) for router in self._routers.values()) * COLUMNS * 8
        return known + sum(table.nbytes for table in (self._tenants, self._models, self._all))

    def take(self, router: str, rates: pb.Rates) -> Generator[None, None, bool]:
        """Add what is new in a report; returns whether this life of the router had told before.

        A report may be long: it yields after each slice of it. All of it makes sense before any of it counts.
        Of two reports that are taken at once each key's larger counts hold, as of two that come one by one.

        Raises:
            InvalidRequest: it makes no sense.
        """
        keys, told, rows = yield from _checked(rates)
        yield
        now = self._clock()
        self._forget_silent(now)
        heard = self._routers.get(router)
        if heard is not None and heard.incarnation > rates.incarnation:
            return True
        if heard is None or heard.incarnation != rates.incarnation:
            heard = _Router(rates.incarnation)
        self._routers[router] = heard
        is_known = isfinite(heard.heard_at)
        # What began since then is new as a whole.
        fresh = max(_FRESH, now - heard.heard_at) if is_known else _FRESH
        seconds = now - heard.heard_at if is_known else min(rates.age, _FRESH)
        heard.heard_at = now
        asked: dict[str, int] = {}
        for start in range(0, len(keys), _SLICE):
            part = slice(start, start + _SLICE)
            grown = self._grown(heard, keys[part], told[part], rows[part], fresh)
            self._add(keys[part], grown)
            asked |= _requests(keys[part], grown)
            yield
            if self._routers.get(router) is not heard:
                # It began anew meanwhile, and that has been told already.
                return is_known
        if self._shares is not None:
            yield from self._shares.asked(router, asked, seconds)
        return is_known

    def _add(self, keys: list[Key], grown: Matrix) -> None:
        places = np.flatnonzero(grown.any(axis=1)).tolist()
        for table, added in (
            (self._all, [at for at in places if not keys[at].tenant]),
            (self._tenants, [at for at in places if keys[at].tenant and not keys[at].model]),
            (self._models, [at for at in places if keys[at].model]),
        ):
            table.add([keys[at] for at in added], grown[added])

    def get(self, request: pb.GetRatesRequest, tenants: frozenset[str] = frozenset()) -> pb.GetRatesResponse:
        """For a caller who is restricted to `tenants`, unless that is empty. Raises InvalidRequest."""
        if request.tenant:
            check_name(request.tenant, "tenant")
        if request.top > MOST_ROWS:
            raise InvalidRequest(f"at most {MOST_ROWS} rows are told at once", field="top")
        if request.order not in pb.GetRatesRequest.Order.values():
            raise InvalidRequest("there is no such order", field="order")
        now = self._clock()
        table = self._models if request.models else self._tenants
        keys, windows = table.keys, table.windows()
        busy = windows[-1].counts[:, 0] > 0

        def is_asked_for(at: int, key: Key) -> bool:
            if request.tenant:
                return key.tenant == request.tenant
            # Who wants to know what is going on does not want to know of who has gone.
            return bool(busy[at])

        places = [at for at, key in enumerate(keys) if is_asked_for(at, key)]
        if tenants:
            places = [at for at in places if keys[at].tenant in tenants]
        order = _weights(windows, request.order)
        first = sorted(places, key=lambda at: (*(-order[:, at]), keys[at]))[: request.top or _FEW_ROWS]
        answer = pb.GetRatesResponse(
            rows=_rows(table, keys, windows, first),
            rows_total=len(places),
            routers=sum(now - router.heard_at <= _SILENT for router in self._routers.values()),
        )
        if not tenants:
            (everybody,) = _rows(self._all, self._all.keys, self._all.windows(), [0]) or [pb.RateRow()]
            answer.all.CopyFrom(everybody)
        return answer

    def telling(self) -> set[str]:
        """The routers that told of what they were asked for within the last seconds."""
        since = self._clock() - _SILENT
        return {name for name, router in self._routers.items() if router.heard_at >= since}

    def all_failed(self) -> tuple[int, int]:
        """How many requests of everybody this manager heard of, and how many of them failed."""
        _, totals = self._all.total()
        requests, failed = totals[:, [FIELDS.index("requests"), FIELDS.index("failed")]].sum(axis=0).tolist()
        return requests, failed

    def asked(self) -> Asked:
        """Requests a second of the busiest tenants and of everybody, over the longest window."""
        seconds, counts = self._tenants.windows()[-1]
        everybody = self._all.windows()[-1].counts[:, 0].sum()
        if seconds <= 0:
            return Asked({}, 0.0)
        rates = (counts[:, 0] / seconds).tolist()
        named = {key.tenant: rate for key, rate in zip(self._tenants.keys, rates, strict=True) if rate}
        return Asked(named, float(everybody / seconds))

    def used(self) -> Mapping[str, Used]:
        """By each of the busiest tenants, over the shortest window."""
        seconds, counts = self._tenants.windows()[0]
        if seconds <= 0:
            return {}
        rates = (counts[:, [FIELDS.index("requests"), FIELDS.index("cold")]] / seconds).tolist()
        return {key.tenant: Used(*one) for key, one in zip(self._tenants.keys, rates, strict=True)}

    def _grown(
        self,
        heard: _Router,
        keys: list[Key],
        told: list[tuple[int, float]],
        counts: Matrix,
        fresh: float,
    ) -> Matrix:
        """By how much each key's counts have grown since the report before; they are known after that."""
        grown = np.zeros_like(counts)
        room = MOST_KNOWN - sum(len(router.known) for router in self._routers.values())
        for at, (key, (admission, age)) in enumerate(zip(keys, told, strict=True)):
            known = heard.known.get(key)
            if known is None:
                room -= 1
                if room < 0:
                    # It would be new with every report.
                    continue
            elif admission < known[0] or (admission == known[0] and (counts[at] < known[1]).any()):
                # A late one, from before what is known.
                continue
            if known is not None and admission == known[0]:
                grown[at] = counts[at] - known[1]
            elif age <= fresh:
                grown[at] = counts[at]
            heard.known[key] = admission, counts[at].copy()
        return grown

    def _forget_silent(self, now: float) -> None:
        # The one that was heard longest ago stands first.
        while self._routers and now - next(iter(self._routers.values())).heard_at > _FORGOTTEN:
            self._routers.popitem(last=False)


def _requests(keys: list[Key], grown: Matrix) -> dict[str, int]:
    """Of the tenants among `keys`, those that asked for something, and for how much."""
    counts = zip(keys, grown[:, FIELDS.index("requests")].tolist(), strict=True)
    return {key.tenant: count for key, count in counts if count and key.tenant and not key.model}


def _checked(rates: pb.Rates) -> Generator[None, None, tuple[list[Key], list[tuple[int, float]], Matrix]]:
    """Whose counts a report tells, everybody's first; of each its admission and its age; and a row of counts.

    Raises InvalidRequest.
    """
    if len(rates.keys) > MOST_TOLD:
        raise InvalidRequest(f"a report has at most {MOST_TOLD} keys", field="keys")
    keys, told = {Key(""): 0}, [(0, rates.age)]
    counts = np.zeros((1 + len(rates.keys), COLUMNS), np.uint64)
    counts[0] = _row(rates.total)
    for at, one in enumerate(rates.keys, 1):
        if keys.setdefault(_key(one), at) != at:
            raise InvalidRequest("a key stands twice in a report", field="keys")
        told.append((one.admission, one.age))
        counts[at] = _row(one.counts)
        if at % _SLICE == 0:
            yield
    if not all(age >= 0 and isfinite(age) for _, age in told):
        raise InvalidRequest("an age is a number of seconds", field="age")
    if counts.max() > _MOST_COUNT:
        raise InvalidRequest(f"a count is at most {_MOST_COUNT}", field="counts")
    return list(keys), told, counts


def _key(one: pb.KeyCounts) -> Key:
    check_name(one.tenant, "tenant")
    if one.model:
        check_name(one.model, "model")
    if one.version > MAX_VERSION or bool(one.version) != bool(one.model):
        raise InvalidRequest("a model has a version, and a tenant none", field="version")
    return Key(one.tenant, one.model, one.version)


def _row(counts: pb.Counts) -> list[int]:
    left = BUCKETS - counts.first_bucket - len(counts.buckets)
    if left < 0:
        raise InvalidRequest(f"there are {BUCKETS} buckets", field="buckets")
    fields = (getattr(counts, name) for name in FIELDS)
    return [*fields, *[0] * counts.first_bucket, *counts.buckets, *[0] * left]


def _weights(windows: list[Window], order: pb.GetRatesRequest.Order) -> NDArray[np.float64]:
    """What rows are put in order by, largest first: within the shortest window, then within the next."""
    return np.array([_weight(window.counts, order) for window in windows])


def _weight(counts: Matrix, order: pb.GetRatesRequest.Order) -> NDArray[np.float64]:
    if order == pb.GetRatesRequest.LATENCY:
        seconds: NDArray[np.float64] = np.nan_to_num(_quantiles(counts)[1])
        return seconds
    columns = [FIELDS.index(name) for name in _ORDERED_BY.get(order, ["requests"])]
    found: NDArray[np.float64] = counts[:, columns].sum(axis=1).astype(np.float64)
    return found


def _quantiles(counts: Matrix) -> NDArray[np.float64]:
    """Seconds for each of `_QUANTILES`, a row each; nan where nothing is counted. As `latencies.quantile`."""
    below = counts[:, len(FIELDS) :].cumsum(axis=1)
    totals = below[:, -1].astype(np.float64)
    found = []
    for share in _QUANTILES:
        places = (below >= np.maximum(np.ceil(share * totals), 1.0)[:, None]).argmax(axis=1)
        found.append(np.where(totals > 0, _MIDDLES[places], np.nan))
    return np.array(found)


def _rows(table: RateTable, keys: list[Key], windows: list[Window], places: list[int]) -> list[pb.RateRow]:
    known, totals = table.total()
    places = places if keys else []
    rows = [
        pb.RateRow(tenant=key.tenant, model=key.model, version=key.version)
        for key in (keys[at] for at in places)
    ]
    for seconds, counts in windows:
        for row, one in zip(rows, _windows([seconds] * len(places), counts[places]), strict=True):
            row.windows.append(one)
    for row, one in zip(rows, _windows(known[places].tolist(), totals[places]), strict=True):
        row.total.CopyFrom(one)
    return rows


def _windows(seconds: Iterable[float], counts: Matrix) -> list[pb.RateWindow]:
    found = []
    for length, row, (half, most) in zip(
        seconds, counts.tolist(), _quantiles(counts).T.tolist(), strict=True
    ):
        found.append(
            pb.RateWindow(
                seconds=length,
                counts=counts_of(row),
                p50=None if np.isnan(half) else half,
                p99=None if np.isnan(most) else most,
            )
        )
    return found


def counts_of(row: list[int]) -> pb.Counts:
    """The message of a row of columns."""
    buckets = row[len(FIELDS) :]
    first = next((at for at, count in enumerate(buckets) if count), 0)
    last = max((at for at, count in enumerate(buckets) if count), default=-1)
    return pb.Counts(
        **dict(zip(FIELDS, row, strict=False)), first_bucket=first, buckets=buckets[first : last + 1]
    )
