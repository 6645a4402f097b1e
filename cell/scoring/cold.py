"""Plain requests whose models are cold: they wait without a task, and are answered like hot ones.

    wait ──▶ a slice: joins the loads of its models, a few at a time ──▶ each load's end
                                                                             │ the last one
                                                                             ▼
                             the end of that slice: all that are complete take the hot path once more

A request holds leases on what has come until it is answered, so that it finds all of its models. One of whose
models cannot be had is answered with the reason; of one with many items each has its own, in the general
way. A caller that hangs up leaves the loads that it waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from cell.engines import Scorer
from cell.loading.host import Host
from cell.loading.marks import log_if_slow, tell
from cell.loading.singleflight import Outcome, Waiter
from cell.loading.slices import Slices
from cell.residency.residency import Lease
from croupier.deadline import Deadline
from croupier.errors import CroupierError, InternalError, to_keep
from croupier.fairness import Who
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.status import code_of, from_error

# Models of one request that join their loads in one piece of work.
_AT_ONCE = 8
# Loads of one request whose steps are traced.
_MOST_TOLD = 4


class _Waiting:
    """One call: which models it wants, which it has, and what went wrong."""

    __slots__ = ("call", "failure", "is_single", "leases", "left", "span", "waiters", "wanted", "who")

    def __init__(self, call: ServerCall, wanted: Mapping[bytes, Who], is_single: bool) -> None:
        self.call = call
        # Artifacts to join the loads of, and whose each is.
        self.wanted = [*wanted.items()]
        # A call's models are one caller's.
        self.who = next(iter(wanted.values()))
        self.is_single = is_single
        # Models that are not here yet.
        self.left = len(wanted)
        self.waiters: list[Waiter] = []
        self.leases: list[Lease[Scorer]] = []
        self.failure: Exception | None = None
        self.span = None if call.span is None else call.span.child("load")

    def tell(self) -> None:
        """Say what its loads did: of very many some to its trace; to the log the last one, if it was slow."""
        if self.span is not None:
            for waiter in self.waiters[-_MOST_TOLD:]:
                tell(self.span, waiter.load.mark)
        if self.waiters:
            load = self.waiters[-1].load
            log_if_slow(load.mark, load.digest, self.call.arrived, self.call.request_id)

    def let_go(self) -> None:
        for waiter in self.waiters:
            waiter.cancel()
        for lease in self.leases:
            lease.release()
        self.wanted, self.waiters, self.leases = [], [], []


class ColdCalls:
    """Calls that wait for models of `host`.

    `again` answers calls whose models are all here, as many as fit one go, and returns how many it took;
    `alone` has one served the general way.
    """

    def __init__(
        self,
        host: Host,
        slices: Slices,
        *,
        again: Callable[[Sequence[ServerCall]], int],
        alone: Callable[[ServerCall], None],
    ) -> None:
        self._host = host
        self._slices = slices
        self._again = again
        self._alone = alone
        # Those that are complete, to be answered at the slice's end.
        self._complete: list[_Waiting] = []
        slices.then(self._answer)

    def wait(self, call: ServerCall, wanted: Mapping[bytes, Who], *, is_single: bool) -> None:
        """Answer `call` when all of the `wanted` artifacts are here, of which each is said whose it is.

        `is_single`: it has one model, whose failure is the call's.
        """
        waiting = _Waiting(call, wanted, is_single)
        call.on_cancel = waiting.let_go
        self._slices.add(partial(self._join, waiting), who=waiting.who)

    def _join(self, waiting: _Waiting) -> None:
        call = waiting.call
        some, waiting.wanted = waiting.wanted[:_AT_ONCE], waiting.wanted[_AT_ONCE:]
        for digest, (priority, owner) in some:
            if not call.is_open or waiting.failure is not None:
                return
            ended = partial(self._ended, waiting)
            try:
                waiter = self._host.wait(digest, Deadline(call.deadline), owner, ended, priority)
            except CroupierError as error:
                self._ended(waiting, error)
            else:
                if waiter is not None:
                    waiting.waiters.append(waiter)
        if waiting.wanted:
            self._slices.add(partial(self._join, waiting), who=waiting.who)

    def _ended(self, waiting: _Waiting, outcome: Outcome) -> None:
        if isinstance(outcome, Lease):
            waiting.leases.append(outcome)
            waiting.left -= 1
            if waiting.failure is None and not waiting.left:
                waiting.tell()
                if waiting.span is not None:
                    waiting.span.note("models", len(waiting.leases))
                    waiting.span.end()
                self._complete.append(waiting)
                if not len(self._slices):
                    # For the answer to come in the end of a slice, there has to be one.
                    self._slices.add(_nothing)
        elif waiting.failure is None:
            waiting.failure = to_keep(outcome)
            waiting.tell()
            if waiting.span is not None:
                waiting.span.end(code_of(outcome))
            self._fail(waiting)

    def _fail(self, waiting: _Waiting) -> None:
        call = waiting.call
        waiting.let_go()
        call.on_cancel = None
        if not call.is_open:
            return
        if waiting.is_single and not isinstance(waiting.failure, InternalError):
            assert waiting.failure is not None
            status = from_error(waiting.failure)
            call.fail(status.code, status.message, status.details)
        else:
            self._alone(call)

    def _answer(self) -> None:
        complete, self._complete = self._complete, []
        open_ones = [waiting for waiting in complete if waiting.call.is_open]
        for waiting in open_ones:
            waiting.call.on_cancel = None
        taken = self._again([waiting.call for waiting in open_ones]) if open_ones else 0
        rest = open_ones[taken:]
        for waiting in rest:
            waiting.call.on_cancel = waiting.let_go
        if rest:
            self._complete = rest + self._complete
            self._slices.add(_nothing)
        kept = set(map(id, rest))
        for waiting in complete:
            if id(waiting) not in kept:
                waiting.let_go()


def _nothing() -> None:
    """For the end of its slice."""
