"""The features that a family wants of a request and its caller need not send: read, or their defaults.

    for each row: its entity ─▶ a row made lately? ─▶ what is stored, as far as it is known ─▶ the row
                                                        └─ not known: the request waits for it (`Fetch`)

The payload stays opaque: what was found goes behind it, in field 1004, and the cell places it where the
caller said nothing (`croupier/fetched.py`). A request waits for a part of the time that it has, and no longer
than `longest`; then it goes as it is, with defaults, or is refused, as its family says. Nothing here knows a
loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import TypeAlias

from croupier.errors import Cancelled, CroupierError, InternalError, Unavailable
from croupier.telemetry.metrics import LoopCounter
from router.feature_cache import Recent
from router.feature_plan import DOWN, FeaturePlan, Found, Row
from router.feature_reads import LATELY_SECONDS, FeatureReads, Waits
from router.stale import Cancellable
from router.units import Unit
from router.wheel import Item, Wheel

_log = logging.getLogger(__name__)

_COMPLETED = LoopCounter(
    "croupier_router_features_total",
    "Predictions that features were added to, by how",
    ["how"],
    known=(("at once",), ("degraded",), ("waited",), ("refused",)),
)
_AT_ONCE, _DEGRADED, _WAITED, _REFUSED = ("at once",), ("degraded",), ("waited",), ("refused",)
_RETRY_AFTER = 0.25
_NO_STORE = "it was told none by --features-store"

# The entities of a unit, one or one for each row, and its parameters.
Facts: TypeAlias = tuple[Sequence[bytes], Mapping[bytes, bytes]]


class FeaturesUnavailable(Unavailable):
    """The feature store does not answer, and the family wants no answers without it. Ours, passing."""

    reason = "FEATURE_STORE_DOWN"

    def __init__(self) -> None:
        super().__init__("the features cannot be read now", retry_after=_RETRY_AFTER)


class Fetch:
    """One request that waits for features, and then is on its way; `cancel` gives up either."""

    __slots__ = ("_found", "_left", "_over", "_parts", "_ready", "_run", "_stage", "slot")

    def __init__(self, stage: Features) -> None:
        self.slot: set[Item] | None = None
        self._stage = stage
        # What has come, and how much has not.
        self._found: dict[bytes, Found] = {}
        self._left = 0
        self._parts: list[tuple[Unit, list[Row | _Lacking]]] = []
        # None once it waits no longer.
        self._ready: Callable[[], Cancellable | None] | None = None
        self._over: Callable[[CroupierError], None] | None = None
        self._run: Cancellable | None = None

    def add(self, unit: Unit, rows: list[Row | _Lacking]) -> None:
        self._parts.append((unit, rows))

    @property
    def waits(self) -> bool:
        return self._left > 0

    def want(self, reads: FeatureReads, plan: FeaturePlan, keys: Sequence[bytes], now: float) -> bool:
        """Whether any of what `plan` reads at `keys` has to be waited for; the empty ones lie nowhere."""
        waits = False
        for read, key in zip(plan.reads, keys, strict=True):
            if not key:
                continue
            found = reads.want(key, read.group, self, now)
            if isinstance(found, Waits):
                self._left += 1
                waits = True
            else:
                self._found[key] = found
        return waits

    def found(self, keys: Sequence[bytes]) -> list[Found]:
        """What has come of each; of what has not, the store did not say."""
        return [self._found.get(key, DOWN) if key else None for key in keys]

    def then(
        self, until: float, ready: Callable[[], Cancellable | None], over: Callable[[CroupierError], None]
    ) -> None:
        """Call `ready` once all has come, or at `until`: it returns what to cancel. Or `over`: given up."""
        self._ready, self._over = ready, over
        self._stage.wheel.add(self, until)

    def take(self, key: bytes, found: Found) -> None:
        self._found[key] = found
        self._left -= 1
        if not self._left:
            self._stage.wheel.remove(self)
            self._go_on()

    def expire(self, now: float) -> None:
        self._go_on()

    def cancel(self) -> None:
        if self._run is not None:
            self._run.cancel()
        elif self._over is not None:
            self._stage.wheel.remove(self)
            over, self._over, self._ready = self._over, None, None
            over(Cancelled("the caller hung up"))

    def _go_on(self) -> None:
        ready, over, self._ready, self._over = self._ready, self._over, None, None
        if ready is None or over is None:
            return
        try:
            for unit, rows in self._parts:
                self._stage.finish(unit, [self._made(unit, row) for row in rows], _WAITED)
        except Exception:  # noqa: BLE001 - whatever it is, the request ends
            _log.exception("a bug in completing a request")
            over(InternalError("internal error"))
            return
        finally:
            self._parts, self._found = [], {}
        self._run = ready()

    def _made(self, unit: Unit, row: Row | _Lacking) -> Row:
        if isinstance(row, Row):
            return row
        return self._stage.row(unit, row, self.found(row.keys))


class _Lacking:
    """A row of which not all was known: what it is remembered by, and where what it needs lies.

    `size`: bytes that a caller chose for the name, which may be many where no key is made of them.
    """

    __slots__ = ("keys", "name", "size")

    def __init__(self, name: tuple[object, ...], keys: list[bytes], size: int) -> None:
        self.name, self.keys, self.size = name, keys, size


class Features:
    """`reads` None: there is no feature store, and what families want of it is down.

    `clock` is that of `wheel`, `now_ms` the time in ms since 1970. A request waits for `share` of the time
    that it has, at most `longest` seconds. Rows are kept for `known_seconds` in `most_bytes`.
    """

    def __init__(
        self,
        reads: FeatureReads | None,
        wheel: Wheel,
        *,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
        share: float = 0.3,
        longest: float = 0.1,
        known_seconds: float = 1.0,
        most_bytes: int = 32 * 2**20,
    ) -> None:
        self.wheel = wheel
        self._reads = reads
        self._clock = clock
        self._now_ms = now_ms
        self._share = share
        self._longest = longest
        self._known_seconds = known_seconds
        self._rows: Recent[Row] = Recent(most_bytes)
        # When there was no store to read from, the last time.
        self._missed = -inf

    @property
    def why_down(self) -> str:
        """Why stored features could not be read lately; "": they could, or nobody asked."""
        if self._reads is not None:
            return self._reads.why_down
        return _NO_STORE if self._clock() < self._missed + LATELY_SECONDS else ""

    def begin(
        self, tenant: str, units: list[Unit], facts: Callable[[Unit], Facts], now: float
    ) -> Fetch | None:
        """Add what is known at once to every one of `units` that lacks features; the wait for the rest.

        What cannot be completed has its error for an outcome.
        """
        fetch: Fetch | None = None
        for unit in units:
            if not unit.lacks or unit.outcome is not None or unit.route is None or unit.route.family is None:
                continue
            plan = unit.route.family.features
            if plan is None:
                continue
            if plan.constant is not None:
                unit.fetched = plan.field((plan.constant,), self._now_ms(), is_degraded=False)
                continue
            try:
                fetch = self._begin(tenant, unit, plan, facts(unit), now, fetch)
            except CroupierError as error:
                unit.outcome = error.without_frames()
        return fetch if fetch is not None and fetch.waits else None

    def until(self, now: float, deadline: float) -> float:
        """Until when a request with `deadline` may wait."""
        return now + min(self._longest, self._share * max(0.0, deadline - now))

    def row(self, unit: Unit, lacking: _Lacking, found: list[Found]) -> Row:
        """The row of what was `found`, which is remembered if nothing is lacking."""
        now_ms = self._now_ms()
        row = _plan(unit).row(found, now_ms)
        if not row.lacks:
            holds = min(self._known_seconds, (row.until_ms - now_ms) / 1e3)
            self._rows.put(lacking.name, row, self._clock() + holds, len(row.packed) + lacking.size)
        return row

    def finish(self, unit: Unit, rows: list[Row], how: tuple[str]) -> None:
        """Have `unit` say what its rows have, or refuse it."""
        is_degraded = any(row.lacks for row in rows)
        if is_degraded and self._reads is None:
            self._missed = self._clock()
        plan = _plan(unit)
        if is_degraded and plan.fails:
            _COMPLETED.values[_REFUSED] += 1
            unit.outcome = FeaturesUnavailable()
            return
        _COMPLETED.values[_DEGRADED if is_degraded else how] += 1
        unit.fetched = plan.field([row.packed for row in rows], self._now_ms(), is_degraded=is_degraded)

    def _begin(
        self, tenant: str, unit: Unit, plan: FeaturePlan, facts: Facts, now: float, fetch: Fetch | None
    ) -> Fetch | None:
        entities, parameters = facts
        told = tuple([parameters.get(name) for name in plan.parameters])
        rows: list[Row | _Lacking] = []
        waits = False
        for entity in entities:
            name = (plan, tenant, entity, told)
            row = self._rows.get(name, now)
            if row is not None:
                rows.append(row)
                continue
            fetch = fetch or Fetch(self)
            size = len(entity) + sum(map(len, filter(None, told)))
            lacking = _Lacking(name, plan.keys(tenant, entity, parameters), size)
            if self._reads is not None and fetch.want(self._reads, plan, lacking.keys, now):
                waits = True
                rows.append(lacking)
            else:
                rows.append(self.row(unit, lacking, fetch.found(lacking.keys)))
        if waits and fetch is not None:
            fetch.add(unit, rows)
        else:
            self.finish(unit, [row for row in rows if isinstance(row, Row)], _AT_ONCE)
        return fetch


def _plan(unit: Unit) -> FeaturePlan:
    assert unit.route is not None
    assert unit.route.family is not None
    assert unit.route.family.features is not None
    return unit.route.family.features
