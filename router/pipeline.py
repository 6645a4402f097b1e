"""The whole request on one screen; the only file that knows the order of the stages.

    admission → resolve → features → route → pick → attempt

Everything up to `attempt` is synchronous and decides; `attempt` acts. Stages do not call each other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from random import Random

from croupier.deadline import Deadline
from croupier.errors import CroupierError, NotFound, Unavailable
from croupier.telemetry.metrics import Histogram
from router import cells, envelope
from router.admission import Admission
from router.attempt import Attempts, Send, Unit
from router.fanout import Fanout, stitch
from router.features import Features
from router.identity import check_claim
from router.pick import is_reachable, pick
from router.resolve import Ask, Target, resolve
from router.route import route
from router.view import EMPTY, View
from version_manager.release import WHOLE

_ADDED = Histogram(
    "croupier_router_added_seconds",
    "From a request's arrival to its first call to a cell",
    buckets=(25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 100e-3),
)

# The method's path, a cell, a request, a timeout in seconds → the response.
Call = Callable[[str, str, bytes, float | None], Awaitable[bytes]]


class NoCatalog(Unavailable):
    """The router has just started and knows no model yet. Ours, passing."""

    reason = "NO_CATALOG"


class Pipeline:
    """`view` gives the view of this moment; `call` calls a cell; `rng` places requests without a key."""

    def __init__(
        self,
        view: Callable[[], View],
        admission: Admission,
        features: Features,
        attempts: Attempts,
        call: Call,
        *,
        rng: Random,
        max_items: int,
    ) -> None:
        self._view = view
        self._admission = admission
        self._features = features
        self._attempts = attempts
        self._call = call
        self._fanout = Fanout(partial(call, cells.PREDICT))
        self._rng = rng
        self._max_items = max_items
        self._clock = attempts.clock

    async def infer(self, tenant: str, request: bytes, deadline: Deadline) -> bytes:
        """A ModelInferRequest to its response. Raises CroupierError."""
        with self._admitted(tenant, deadline) as (view, began):
            ask = envelope.read_infer(request)
            unit, _ = self._prepare(view, tenant, ask, request, envelope.append_infer)
            await self._fly([unit], self._whole(cells.MODEL_INFER), deadline, began)
            return unit.answer()

    async def predict(self, tenant: str, request: bytes, deadline: Deadline) -> bytes:
        """A PredictRequest to its response. Raises CroupierError."""
        with self._admitted(tenant, deadline) as (view, began):
            items = envelope.read_items(request, self._max_items)
            units = [self._prepare_item(view, tenant, ask, item) for item, ask in items]
            await self._fly(units, self._fanout.send, deadline, began)
            return stitch(units)

    async def model_metadata(self, tenant: str, request: bytes, deadline: Deadline) -> bytes:
        """A ModelMetadataRequest to its response, all versions of the model in it. Raises CroupierError."""
        with self._admitted(tenant, deadline) as (view, began):
            ask = envelope.read_model(request)
            unit, target = self._prepare(view, tenant, ask, request, envelope.append_infer)
            await self._fly([unit], self._whole(cells.MODEL_METADATA), deadline, began)
            versions = view.catalog.get(tenant, target.model).versions
            return envelope.append_versions(unit.answer(), sorted(versions))

    def model_ready(self, tenant: str, request: bytes) -> bool:
        """Whether a request for the model would find a version and a cell that should answer."""
        view, ask, now = self._view(), envelope.read_model(request), self._clock()
        try:
            target = resolve(view.catalog, tenant, ask, 0)
            hand = route(view, tenant, target.model)
        except (NotFound, Unavailable):
            return False
        known = [view.cells[cell] for cell in hand if cell in view.cells]
        return any(is_reachable(cell, self._attempts.health, now) for cell in known)

    @contextmanager
    def _admitted(self, tenant: str, deadline: Deadline) -> Iterator[tuple[View, float]]:
        began = self._clock()
        deadline.check(began)
        view = self._view()
        if view is EMPTY:
            raise NoCatalog("no catalog is loaded yet", retry_after=1.0)
        self._admission.enter(tenant)
        try:
            yield view, began
        finally:
            self._admission.leave(tenant)

    def _prepare(
        self, view: View, tenant: str, ask: Ask, payload: bytes, append: Callable[[bytes, Target], bytes]
    ) -> tuple[Unit, Target]:
        check_claim(tenant, ask.tenant)
        target = resolve(view.catalog, tenant, ask, int(self._rng.random() * WHOLE))
        payload = self._features.complete(target, payload)
        order = route(view, tenant, target.model)
        hand = pick(order, view.cells, self._attempts.health, self._clock())
        return Unit(append(payload, target), hand), target

    def _prepare_item(self, view: View, tenant: str, ask: Ask, item: bytes) -> Unit:
        """An item that cannot be routed has its error for an outcome; the others go on."""
        try:
            unit, _ = self._prepare(view, tenant, ask, item, envelope.append_item)
        except CroupierError as error:
            return Unit(item, (), outcome=error)
        return unit

    async def _fly(self, units: Sequence[Unit], send: Send, deadline: Deadline, began: float) -> None:
        _ADDED.observe(self._clock() - began)
        await self._attempts.run(units, send, deadline)

    def _whole(self, path: str) -> Send:
        """Sends one unit as the whole request."""

        async def send(cell: str, units: Sequence[Unit], timeout: float | None) -> list[bytes]:
            return [await self._call(path, cell, units[0].payload, timeout)]

        return send
