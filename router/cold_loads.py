"""A tenant's budget of cold loads: charged by what cells say, and afterwards.

Only a cell knows whether a model was in its memory, and says so with the answer. So the bucket is charged
when that comes, into debt if need be; while it is in debt the tenant's requests are marked (field 1006): a
cell serves them with what is in its memory, and refuses those that it would have to load a model for. Hot
models are served on, whatever their owner has loaded besides.

**One load is charged once**, however many requests waited for it: one that came before its model was charged
last waited for that load too. A model that everybody asks for at once would cost its owner hundreds
otherwise.

**Who does not wait pays as well.** A cell finishes a load that it has begun when its caller is gone, and may
load in the background what it refuses for the time that takes. So a request that a cell had, and that ended
without its answer, counts as cold: nobody gets loads for nothing by hanging up. Where it was not, cold
models wait a little longer than they would have to, and nothing else.

Compiled with the types of `cold_loads.pxd`, since every request passes `ended` whose tenant has such a limit.
"""

from __future__ import annotations

from croupier.bounded import Bounded
from croupier.codes import Code
from croupier.errors import Cancelled, CroupierError, DeadlineExceeded, QuotaExceeded
from protos.prediction.v1 import prediction_pb2 as pb
from router.admission import Admission
from router.buckets import COLD_LOADS, Account
from router.units import Unit

# What a cell says of what it would have had to load, and of what takes it too long to load.
_REFUSED = "COLD_LOADS"
_TOO_SLOW = "LOAD_TOO_SLOW"
# Models that were charged, of which that is remembered: one that is not is charged again.
_MOST = 2**14


class ColdLoads:
    """Moments are on one monotonic clock, in seconds."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        # When a tenant was charged for an artifact last.
        self._charged: Bounded[tuple[str, bytes], float] = Bounded(_MOST)

    def ended(self, account: Account, units: list[Unit], arrived: float, now: float) -> None:
        """A request of a tenant with such a limit has ended, which came at `arrived`."""
        if account.cold is None:
            return
        for unit in units:
            if not (unit.code or unit.is_cold) and isinstance(unit.outcome, bytes):
                # As nearly all end.
                continue
            if _is_refused(unit):
                unit.outcome, unit.code = self._refusal(account, now), 0
            elif unit.artifact is not None and _may_be_cold(unit):
                key = account.tenant, unit.artifact
                if self._charged.get(key, -1.0) < arrived:
                    account.cold.take(1.0, now)
                    self._charged[key] = now

    def _refusal(self, account: Account, now: float) -> CroupierError:
        assert account.cold is not None
        assert account.limits is not None
        wait = max(0.0, account.cold.wait(now))
        return self._admission.over(account.tenant, COLD_LOADS, account.limits.cold_loads or 0.0, wait)


def _is_refused(unit: Unit) -> bool:
    if isinstance(unit.outcome, bytes):
        # Of very many that have a code, few are read.
        return unit.code == Code.RESOURCE_EXHAUSTED and _reason(unit.outcome) == _REFUSED
    return isinstance(unit.outcome, QuotaExceeded) and unit.outcome.reason == _REFUSED


def _may_be_cold(unit: Unit) -> bool:
    if unit.is_cold:
        return True
    outcome = unit.outcome
    if not unit.tried or not isinstance(outcome, CroupierError):
        return False
    return isinstance(outcome, (Cancelled, DeadlineExceeded)) or outcome.reason == _TOO_SLOW


def _reason(result: bytes) -> str:
    return pb.Result.FromString(result).status.reason
