"""The whole request on one screen; the only file that knows the order of the stages.

    admission → (resolve → route, once for each model and view) → features → pick → balance → attempt

Features that have to be read are the one thing that a request waits for before its first call.

What a request costs its tenant, besides being one, is known once its units are. `attempt` asks `budget` and
`suspects` whether to go on. What an old shard map dealt (`stale`) goes the same way once more, from resolve
on. `app` makes the stages; whether a model is ready (`model_ready`) is asked past them.

Everything is synchronous: a call that ends calls back. Stages do not call each other. What is refused
before any call is raised; from then on, the end of a request comes to `done`, once, whatever happens.

It is long because a request's way in, what it may wait for, and its way out stand side by side.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from croupier.debug_tokens import COLD, DEBUG, MOST_TOKENS, token
from croupier.errors import (
    CroupierError,
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    NotFound,
    Unavailable,
)
from croupier.priorities import PRIORITY, UNKNOWN, WORDS
from croupier.protocol import FETCHED
from croupier.request_ids import REQUEST_ID_KEY, Named
from croupier.telemetry.metrics import LoopHistogram
from croupier.transport.steps import step_of
from router import envelope, methods
from router.admission import Admission
from router.attempt import Attempts
from router.balance import Balance
from router.breakers import Breakers
from router.buckets import Account
from router.cells import Cells
from router.cold_loads import ColdLoads
from router.concurrency import CellsBusy
from router.copies import Copies
from router.families import Wants
from router.fanout import Fanout, Whole
from router.features import Features, Fetch
from router.identity import check_claim
from router.losses import look_at
from router.methods import Method
from router.pick import is_connected, is_reachable, nearest, pick, speaking
from router.remembered import Route
from router.route import hand_of, route
from router.routes import Routes
from router.stale import Cancellable, Stale, Waiter
from router.tracing import Told, Traced
from router.units import Unit, carry, lacks_any, mark, stale_places
from router.view import EMPTY, View
from version_manager.model.resolve import Ask, choices, resolve

if TYPE_CHECKING:
    from router.attempt import Exchange, Outcome, Run

_log = logging.getLogger(__name__)
_ADDED = LoopHistogram(
    "croupier_router_added_seconds",
    "From a request's arrival to its first call to a cell",
    buckets=(25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 100e-3),
).labels()
# Instead of a moment: the request waits for no newer shard map.
_NO_MORE = None
# Where no cell is in trouble, or where that is looked at later.
_NONE_OPEN = Breakers()

# Told of the end, and of what was tried for it: the units, or none where it did not come to that.
Done: TypeAlias = "Callable[[Outcome, list[Unit]], None]"


class NoCatalog(Unavailable):
    """The router has just started and knows no model yet. Ours, passing."""

    reason = "NO_CATALOG"


class Pipeline:
    """Follows the view; `rng` places requests without a key.

    A method takes a tenant, a request, a deadline and the moment of its arrival, both on the clock of
    `attempts`, what to do with its outcome, and who says what the request is called. It returns what to
    cancel when the caller goes.
    """

    def __init__(
        self,
        admission: Admission,
        features: Features,
        attempts: Attempts,
        cells: Cells,
        *,
        rng: Random,
        max_items: int,
        stale: Stale | None = None,
    ) -> None:
        self._view = EMPTY
        self._stale = Stale(attempts.wheel, clock=attempts.clock) if stale is None else stale
        self._enter, self._leave = admission.enter, admission.leave
        self.stream, self.upload = admission.stream, admission.upload
        self._cold = ColdLoads(admission)
        self._features = features
        self._attempts = attempts
        self._clock = attempts.clock
        self._suspects = attempts.suspects
        # Empty nearly always, and then all that a request looks at.
        self._troubled, self._pushed_back = attempts.breakers.troubled, attempts.pushbacks.until
        self.copies = Copies()
        self._balance = Balance(attempts.loads, self.copies)
        wants = Wants()
        self._routes = routes = Routes(partial(decide, wants=wants), rng.random, wanted=wants.of)
        self._infer = methods.infer(routes, cells, max_items)
        self._predict = methods.predict(routes, cells, max_items)
        self._metadata = methods.model_metadata(routes, cells)

    def follow(self, view: View) -> None:
        """Answer by `view` from now on; requests that are under way have read another one to their end."""
        self._view = view
        self._routes.follow(view)
        self._stale.follow(view)

    def infer(
        self, tenant: str, request: bytes, deadline: float, arrived: float, done: Done, caller: Named
    ) -> Cancellable:
        """A ModelInferRequest to its response. Raises CroupierError."""
        return self._run(self._infer, tenant, request, deadline, arrived, done, caller)

    def predict(
        self, tenant: str, request: bytes, deadline: float, arrived: float, done: Done, caller: Named
    ) -> Cancellable:
        """A PredictRequest to its response. Raises CroupierError."""
        return self._run(self._predict, tenant, request, deadline, arrived, done, caller)

    def model_metadata(
        self, tenant: str, request: bytes, deadline: float, arrived: float, done: Done, caller: Named
    ) -> Cancellable:
        """A ModelMetadataRequest to its response, all versions of the model in it. Raises CroupierError."""
        return self._run(self._metadata, tenant, request, deadline, arrived, done, caller)

    def _run(
        self,
        method: Method,
        tenant: str,
        request: bytes,
        deadline: float,
        arrived: float,
        done: Done,
        caller: Named,
    ) -> Cancellable:
        now = self._clock()
        if now >= deadline:
            raise DeadlineExceeded("the deadline has passed")
        view = self._view
        if view is EMPTY:
            raise NoCatalog("no catalog is loaded yet", retry_after=1.0)
        account = self._enter(tenant, len(request), now, caller.priority)
        rows = 0
        try:
            units = method.units(tenant, request)
            is_spent = False
            if account.is_limited:
                rows = 0 if account.rows is None else method.rows(units)
                is_spent = account.charge(len(units), rows, now)
            if caller.priority or is_spent:
                mark(units, envelope.marks(_checked(caller.priority), is_spent))
            if method.facts is not None and lacks_any(units):
                fetch = self._complete(method, tenant, units, caller, now)
                if fetch is not None:
                    send = partial(self._send, method, view, account, units, done, caller, arrived, deadline)
                    give_back = partial(account.give_back, len(units), len(request), rows)
                    return self._wait(
                        fetch, view, account, units, done, caller.priority, deadline, send, give_back
                    )
            if self._troubled or self._suspects.refused or self._suspects.held or self._pushed_back:
                self._prepare(view, units)
            now = self._clock()
            self._balance.place(units, now, caller.priority)
        except BaseException as error:
            if isinstance(error, CellsBusy):
                account.give_back(len(units), len(request), rows, now)
            self._leave(account)
            raise
        return self._send(method, view, account, units, done, caller, arrived, deadline, now)

    def _send(
        self,
        method: Method,
        view: View,
        account: Account,
        units: list[Unit],
        done: Done,
        caller: Named,
        arrived: float,
        deadline: float,
        now: float,
    ) -> Run:
        """On their way to cells."""
        _ADDED.observe(now - arrived)
        exchange: Exchange = method.exchange
        if caller.is_named or caller.span is not None:
            exchange = _told(method.exchange, caller)
        args = method, view, account, units, done, caller, exchange, arrived, deadline
        return self._attempts.run(units, exchange, deadline, now, self._ended, *args)

    def _complete(
        self, method: Method, tenant: str, units: list[Unit], caller: Named, now: float
    ) -> Fetch | None:
        assert method.facts is not None
        with nullcontext() if caller.span is None else step_of(caller.span, "features"):
            return self._features.begin(tenant, units, method.facts, now)

    def _wait(
        self,
        fetch: Fetch,
        view: View,
        account: Account,
        units: list[Unit],
        done: Done,
        priority: int,
        deadline: float,
        send: Callable[[float], Run],
        give_back: Callable[[float], None],
    ) -> Fetch:
        """Have `units` go on as in `_run` once their features are there.

        Not in `_run`, as what is in `_hold` is not in `_ended`.
        """

        def ready() -> Run | None:
            now = self._clock()
            try:
                if now >= deadline:
                    raise DeadlineExceeded("the deadline passed before the features were read")
                self._prepare(view, units)
                self._balance.place(units, now, priority)
            except Exception as error:  # noqa: BLE001 - a bug is an outcome too
                if isinstance(error, CellsBusy):
                    give_back(now)
                over(error if isinstance(error, CroupierError) else _bug(error))
                return None
            return send(now)

        def over(error: CroupierError) -> None:
            self._leave(account)
            done(error, units)

        fetch.then(self._features.until(self._clock(), deadline), ready, over)
        return fetch

    def _prepare(self, view: View, units: list[Unit]) -> None:
        if self._troubled:
            self._pick(view, units)
        if self._pushed_back:
            self._attempts.pushbacks.heed(units, self._clock())
        if self._suspects.refused or self._suspects.held:
            now = self._clock()
            self._suspects.let_go(now)
            look_at(self._suspects, units, now)

    def _ended(
        self,
        method: Method,
        view: View,
        account: Account,
        units: list[Unit],
        done: Done,
        caller: Named,
        exchange: Exchange,
        arrived: float,
        deadline: float,
        until: float | None = 0.0,
    ) -> Waiter | None:
        places = stale_places(units)
        if places is not None and until is not _NO_MORE:
            return self._hold(
                places, method, account, units, done, caller, exchange, arrived, deadline, until
            )
        if account.cold is not None:
            self._cold.ended(account, units, arrived, self._clock())
        self._leave(account)
        try:
            outcome = method.answer(view, units, caller)
        except Exception:  # noqa: BLE001 - whatever it is, the caller is told of an end
            _log.exception("a bug in an answer")
            outcome = InternalError("internal error")
        done(outcome, units)
        return None

    def _hold(
        self,
        places: list[int],
        method: Method,
        account: Account,
        units: list[Unit],
        done: Done,
        caller: Named,
        exchange: Exchange,
        arrived: float,
        deadline: float,
        until: float | None,
    ) -> Waiter:
        """Have those of `units` at `places` wait for a newer shard map.

        Not in `_ended`, which every request passes: what closures share costs more than all the rest of it.
        """
        view, stale = self._view, [units[place] for place in places]

        def again(until: float) -> Run | None:
            view = self._view
            try:
                fresh = method.units(account.tenant, method.joined(stale))
                carry(stale, fresh)
                self._prepare(view, fresh)
                now = self._clock()
                self._balance.place(fresh, now)
            except Exception as error:  # noqa: BLE001 - a bug is an outcome too
                over(error if isinstance(error, CroupierError) else _bug(error))
                return None
            for place, unit in zip(places, fresh, strict=True):
                units[place] = unit
            args = method, view, account, units, done, caller, exchange, arrived, deadline, until
            return self._attempts.run(fresh, exchange, deadline, now, self._ended, *args)

        def over(error: CroupierError | None) -> None:
            for unit in stale:
                unit.outcome = error or unit.outcome
            args = method, view, account, units, done, caller, exchange, arrived, deadline, _NO_MORE
            self._ended(*args)

        until = until or self._stale.until(deadline)
        waiter = Waiter(self._stale, account.tenant, stale[0].generation, until, again, over)
        self._stale.hold(waiter, {unit.cells[unit.tried - 1] for unit in stale})
        return waiter

    def _pick(self, view: View, units: list[Unit]) -> None:
        """Put the cells of a hand that is in trouble into the order of this moment."""
        breakers, now = self._attempts.breakers, self._clock()
        picked: dict[tuple[str, ...], tuple[str, ...]] = {}
        for unit in units:
            if breakers.troubled.isdisjoint(unit.cells):
                continue
            if unit.order not in picked:
                picked[unit.order] = pick(unit.order, view.cells, breakers, now)
            unit.cells = picked[unit.order]
            if unit.near and unit.route is not None:
                hand = unit.route.cells[: unit.route.near]
                unit.near = nearest(unit.cells, hand, view.cells, breakers, now)

    def told(self, tenant: str, units: list[Unit]) -> list[tuple[bytes, bytes]]:
        """The metadata that name what answered `units`, or was tried last, to an operator; and cold loads."""
        current = self._view.current
        if current is None:
            return []
        tried = dict.fromkeys((unit.generation, unit.cells[unit.tried - 1]) for unit in units if unit.tried)
        seed = current.generation.seed
        tokens = [token(seed, tenant, *one) for one in islice(tried, MOST_TOKENS)]
        if not tokens:
            return []
        cold = sum(unit.is_cold for unit in units)
        told = [(DEBUG, ",".join(tokens).encode())]
        return [*told, (COLD, str(cold).encode())] if cold else told

    def is_ready(self) -> bool:
        """Whether requests get to any cell."""
        breakers, now = self._attempts.breakers, self._clock()
        return any(is_connected(cell, breakers, now) for cell in self._view.cells.values())

    def model_ready(self, tenant: str, request: bytes) -> bool:
        """Whether a request for the model would find a version and a cell that should answer.

        It costs what a request does. Raises CroupierError.
        """
        view, now = self._view, self._clock()
        self._leave(self._enter(tenant, len(request), now))
        ask = envelope.read_model(request)
        try:
            target = resolve(view.catalog, tenant, ask, 0)
            hand = route(view, tenant, target.model)
        except (NotFound, Unavailable):
            return False
        known = [view.cells[cell] for cell in hand if cell in view.cells]
        return any(is_reachable(cell, self._attempts.breakers, now) for cell in known)


def decide(view: View, tenant: str, ask: Ask, wants: Wants | None = None) -> Route:
    """What all requests get that ask for this: resolve → route → pick while nothing is in trouble.

    Raises:
        CroupierError: there is nothing to be had, or it is another tenant's.
    """
    check_claim(tenant, ask.tenant)
    found = choices(view.catalog, tenant, ask)
    wanted = None if wants is None else wants.of(view, tenant, ask.model)
    order = route(view, tenant, ask.model)
    if wanted is not None and wanted.features is not None:
        order = speaking(order, view.cells, FETCHED)
    cells = pick(order, view.cells, _NONE_OPEN, 0.0)
    return Route(
        view.catalog.record(tenant, ask.model),
        found,
        order,
        order if cells == order else cells,
        near=nearest(cells, hand_of(view, tenant), view.cells, _NONE_OPEN, 0.0),
        family=wanted,
    )


def _told(exchange: Whole | Fanout, caller: Named) -> Exchange:
    """The exchange of one request that has something to say to its cells: its id, the trace it is part of."""
    metadata = ((REQUEST_ID_KEY, str(caller.request_id).encode()),) if caller.is_named else ()
    if caller.span is not None:
        return Traced(exchange, caller.span, metadata)
    return Told(exchange, metadata)


def _checked(priority: int) -> int:
    """Raises InvalidRequest for one that is none."""
    if priority == UNKNOWN:
        words = " or ".join(word.decode() for word in WORDS)
        raise InvalidRequest(f"the priority is not {words}", field=PRIORITY)
    return priority


def _bug(error: Exception) -> CroupierError:
    _log.error("a bug in asking anew", exc_info=error)
    return InternalError("internal error")
