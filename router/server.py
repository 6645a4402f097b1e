"""gRPC at the router's edge: bytes in, bytes out; who calls and until when; what is counted.

All unary methods are answered by one synchronous handler, which gets every call that a read of a socket
brought. Nothing in it waits: a call is replied to when its run ends. Errors are mapped to status here,
once. It is long because all methods end alike, and who is told of an end stands in one place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from math import inf
from typing import TYPE_CHECKING, TypeAlias

from croupier.codes import Code
from croupier.debug_tokens import DEBUG
from croupier.errors import Cancelled, CroupierError, InternalError
from croupier.fields import MAX_FIELDS
from croupier.items import item_status
from croupier.request_ids import Known, Named, RequestId
from croupier.telemetry.metrics import LoopCounter
from croupier.telemetry.traces import Span, Tracer
from croupier.transport.context import Context
from croupier.transport.http2.server_call import ServerCall, trace
from croupier.transport.serving import Server
from croupier.transport.status import code_of
from croupier.transport.steps import ending_of
from croupier.weight import scale_of
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2
from router import envelope
from router.access_log import AccessLog
from router.identity import Identity, Values
from router.latest import Latest
from router.log import PredictionLog
from router.pacing import Pacing
from router.pipeline import Done, Pipeline
from router.refusals import status_of
from router.revisions import MIN_REVISION_KEY, Revisions, Wanted, read_wanted
from router.stream import Requests, answer_all
from router.tallies import Tallies
from router.tracing import LateSpans

if TYPE_CHECKING:
    from router.attempt import Outcome
    from router.stale import Cancellable
    from router.units import Unit

INFERENCE = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
PREDICTION = prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name
_STREAM = f"/{PREDICTION}/PredictStream"

_log = logging.getLogger(__name__)
_REQUESTS = LoopCounter("croupier_router_requests_total", "Requests by their outcome", ["method", "code"])
_RESPONSE, _STATUS = 2, 3

# A method that the pipeline answers, and one that is answered at once.
_Routed: TypeAlias = "Callable[[str, bytes, float, float, Done, Named], Cancellable]"
_Quick: TypeAlias = Callable[[ServerCall], bytes]


class Handlers:
    """The methods of both services, on bytes. `clock` is monotonic, in seconds.

    `default_timeout` is for callers who set no deadline; `at_once` requests of a stream are in work. Whoever
    asks for a later catalog than is known waits in `revisions`.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        identity: Identity,
        is_ready: Callable[[], bool],
        *,
        clock: Callable[[], float],
        version: str,
        default_timeout: float,
        at_once: int,
        revisions: Revisions,
        access_log: AccessLog,
        latest: Latest,
        tallies: Tallies | None = None,
        tracer: Tracer | None = None,
        late_spans: LateSpans | None = None,
        log: PredictionLog | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._identity = identity
        self._is_ready = is_ready
        self._clock = clock
        self._version = version
        self._default_timeout = default_timeout
        self._at_once = at_once
        self._revisions = revisions
        self._access_log = access_log
        self._log_from = min(access_log.from_seconds, latest.from_seconds)
        self._latest = latest
        self._tallies = tallies
        self._tracer = tracer
        self._late_spans = late_spans
        self._pacing = Pacing()
        self._log = log
        quick: dict[str, _Quick] = {
            f"/{INFERENCE}/ServerLive": self.server_live,
            f"/{INFERENCE}/ServerReady": self.server_ready,
            f"/{INFERENCE}/ServerMetadata": self.server_metadata,
            f"/{INFERENCE}/ModelReady": self.model_ready,
        }
        routed: dict[str, _Routed] = {
            f"/{INFERENCE}/ModelMetadata": pipeline.model_metadata,
            f"/{INFERENCE}/ModelInfer": pipeline.infer,
            f"/{PREDICTION}/Predict": pipeline.predict,
        }
        self._methods: dict[str, Callable[[ServerCall], None]] = {
            **{path: partial(self._answer, _counted(path), answer) for path, answer in quick.items()},
            **{path: partial(self._route, _counted(path), start) for path, start in routed.items()},
        }
        self._paths = {path.rpartition("/")[2]: path for path in (*self._methods, _STREAM)}

    def add_to(self, server: Server) -> list[str]:
        """Register both services; returns their names."""
        server.add_batch(self._methods, self.take, scale_of=_scale_of, uploads=self.upload)
        server.add_stream(_STREAM, self.predict_stream, scale=_scale_of(_STREAM))
        return [INFERENCE, PREDICTION]

    def take(self, calls: list[ServerCall]) -> None:
        """Begin every one of `calls`; raises nothing."""
        methods, tracer = self._methods, self._tracer
        if tracer is not None:
            trace(tracer, calls)
        for call in calls:
            # A look-up is all that it costs those who do not ask for it.
            if asked := call.values(MIN_REVISION_KEY):
                self._begin_when_known(asked, methods[call.path], call)
            else:
                methods[call.path](call)

    def upload(self, call: ServerCall, size: int) -> Callable[[], None] | None:
        """Refuse a large request, or let it arrive; see `Route`."""
        tenant = ""
        try:
            tenant = self._identity.tenant(call.values)
            return self._pipeline.upload(tenant, size)
        except Exception as error:  # noqa: BLE001 - nothing may surface as UNKNOWN
            # Nothing of it is held: it is as small as any. No local name, as in `_route`.
            self._pacing.tell(
                *(error, tenant, 0, self._clock()),
                partial(self._fail, _counted(call.path), call, error, (), tenant),
            )
            return None

    def _begin_when_known(
        self, asked: tuple[bytes, ...], begin: Callable[[ServerCall], None], call: ServerCall
    ) -> None:
        counted, tenant = _counted(call.path), ""

        def then(error: CroupierError | None) -> None:
            if error is None:
                begin(call)
            else:
                self._fail(counted, call, error, tenant=tenant)

        try:
            # Before it may wait: a stranger waits nowhere.
            tenant = self._identity.tenant(call.values)
            wanted = read_wanted(asked)
            if call.is_open and not self._revisions.reached(wanted):
                deadline = min(call.deadline, call.arrived + self._default_timeout)
                call.on_cancel = self._revisions.wait(wanted, tenant, deadline, then).cancel
                return
        except Exception as error:  # noqa: BLE001 - nothing may surface as UNKNOWN
            self._fail(counted, call, error, tenant=tenant)
        else:
            begin(call)

    def _route(self, counted: tuple[str, str], start: _Routed, call: ServerCall) -> None:
        arrived, deadline, tenant = call.arrived, call.deadline, ""
        if deadline == inf:
            deadline = arrived + self._default_timeout
        try:
            if not call.is_open:
                # One read brought the request and its end.
                raise Cancelled("the caller hung up")
            if call.span is None:
                tenant = self._identity.tenant(call.values)
            else:
                tenant = self._traced_tenant(call.span, call.request_id, call.values)
            done = partial(self._end, counted, call, tenant)
            run = start(tenant, call.message, deadline, arrived, done, call)
        except Exception as error:  # noqa: BLE001 - nothing may surface as UNKNOWN
            # Not as a local name: the frame that the error knows would know the error.
            self._pacing.tell(
                *(error, tenant, len(call.message), arrived),
                partial(self._fail, counted, call, error, (), tenant),
            )
        else:
            call.on_cancel = run.cancel

    def _traced_tenant(self, span: Span, request_id: RequestId, values: Values) -> str:
        """Whose request it is, and what the span says of it. Raises as `Identity.tenant`."""
        span.note("croupier.request_id", str(request_id))
        identity = span.child("identity")
        try:
            tenant = self._identity.tenant(values)
        except BaseException as error:
            identity.end(ending_of(error))
            raise
        identity.end()
        span.note("croupier.tenant", tenant)
        return tenant

    def _answer(self, counted: tuple[str, str], answer: _Quick, call: ServerCall) -> None:
        try:
            self._end(counted, call, "", answer(call), [])
        except Exception as error:  # noqa: BLE001 - nothing may surface as UNKNOWN
            self._fail(counted, call, error)

    def _end(
        self, counted: tuple[str, str], call: ServerCall, tenant: str, outcome: Outcome, units: list[Unit]
    ) -> None:
        if call.is_named and call.values(DEBUG):
            call.noted = self._pipeline.told(tenant, units)
        if isinstance(outcome, bytes):
            call.reply(outcome)
            _REQUESTS.values[counted] += 1
            if self._tallies is not None:
                self._tallies.ended(tenant, units, call.took)
            if self._log is not None:
                self._log.ended(counted[0], call, tenant, units, call.took)
            if call.took >= self._log_from:
                self._note(call, *counted, call.took, units, call.values)
        else:
            self._fail(counted, call, outcome, units, tenant)

    def _fail(
        self,
        counted: tuple[str, str],
        call: ServerCall,
        error: Exception,
        units: Sequence[Unit] = (),
        tenant: str = "",
    ) -> None:
        _count(counted[0], error)
        if isinstance(error, CroupierError) and error.request_id:
            call.request_id.adopt(error.request_id)
        if not isinstance(error, CroupierError) or isinstance(error, InternalError):
            _log.error("a request failed inside", exc_info=error, extra={"request_id": str(call.request_id)})
        if call.is_open:
            status = status_of(error)
            call.fail(status.code, status.message, status.details, call.noted or ())
        self._tally(tenant, units, error, call.took)
        self._note(call, counted[0], Code(code_of(error)).name, call.took, units, call.values, error)

    def _tally(
        self, tenant: str, units: Sequence[Unit], outcome: Outcome | Exception, seconds: float
    ) -> None:
        """Count a request, if it is known whose it was."""
        if self._tallies is None or not tenant:
            return
        if isinstance(outcome, bytes) or units:
            self._tallies.ended(tenant, units, seconds)
        else:
            self._tallies.refused(tenant, code_of(outcome), seconds)

    def _note(
        self,
        caller: Named,
        method: str,
        code: str,
        seconds: float,
        units: Sequence[Unit],
        values: Values,
        error: Exception | None = None,
    ) -> None:
        tenant = partial(self._tenant_of, values)
        if seconds >= self._log_from:
            self._access_log.ended(caller, method, code, seconds, units, tenant)
        reason = error.reason if isinstance(error, CroupierError) else ""
        self._latest.ended(caller, method, code, seconds, units, tenant, reason)
        if self._late_spans is not None:
            self._late_spans.ended(caller, self._paths[method], code, seconds, tenant, values)

    def _tenant_of(self, values: Values) -> str:
        """Whose request it is; "" where that does not hold."""
        try:
            return self._identity.tenant(values)
        except CroupierError:
            return ""

    # Methods
    def server_live(self, call: ServerCall) -> bytes:
        return inference_pb2.ServerLiveResponse(live=True).SerializeToString()

    def server_ready(self, call: ServerCall) -> bytes:
        ready = self._is_ready() and self._pipeline.is_ready()
        return inference_pb2.ServerReadyResponse(ready=ready).SerializeToString()

    def server_metadata(self, call: ServerCall) -> bytes:
        response = inference_pb2.ServerMetadataResponse(name="croupier", version=self._version)
        return response.SerializeToString()

    def model_ready(self, call: ServerCall) -> bytes:
        ready = self._pipeline.model_ready(self._identity.tenant(call.values), call.message)
        return inference_pb2.ModelReadyResponse(ready=ready).SerializeToString()

    async def predict_stream(self, requests: Requests, context: Context) -> AsyncGenerator[bytes, None]:
        """One frame for each, as it gets ready; only a frame that cannot be read ends the stream."""
        with _counting("PredictStream"):
            # What fails in it is called as the stream, at the cells too, which nobody could find otherwise.
            if self._tracer is not None:
                context.span = self._tracer.begin(_STREAM, context.values)
            if context.span is None:
                tenant = self._identity.tenant(context.values)
            else:
                tenant = self._traced_tenant(context.span, context.request_id, context.values)
            caller = Known(context.request_id, span=context.span, priority=context.priority)
            with self._pipeline.stream(tenant) as asks:
                if asked := context.values(MIN_REVISION_KEY):
                    await self._known(read_wanted(asked), tenant, context.deadline.at)
                answer = partial(self._answer_frame, context, caller, asks)
                async with aclosing(answer_all(requests, answer, at_once=self._at_once)) as answers:
                    async for response in answers:
                        yield response

    async def _known(self, wanted: Wanted, tenant: str, deadline: float) -> None:
        """Return once `wanted` is known. Raises CroupierError."""
        if self._revisions.reached(wanted):
            return
        future: asyncio.Future[CroupierError | None] = asyncio.get_running_loop().create_future()

        def then(error: CroupierError | None) -> None:
            if not future.done():
                future.set_result(error)

        deadline = min(deadline, self._clock() + self._default_timeout)
        waiter = self._revisions.wait(wanted, tenant, deadline, then)
        try:
            if (error := await future) is not None:
                raise error
        finally:
            waiter.cancel()

    def _answer_frame(
        self, context: Context, caller: Named, asks: Callable[[], None], request: bytes
    ) -> asyncio.Future[bytes]:
        """The frame that answers one; raises MalformedMessage."""
        name, payload = envelope.read_frame(request)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome, units: list[Unit]) -> None:
            if not future.done():
                future.set_result(_frame(name, outcome, caller))
            seconds = self._clock() - now
            self._tally(tenant, units, outcome, seconds)
            if not isinstance(outcome, bytes):
                code = Code(code_of(outcome)).name
                self._note(caller, "PredictStream", code, seconds, units, context.values, outcome)
                return
            if self._log is not None:
                self._log.ended("PredictStream", caller, tenant, units, seconds)
            if seconds >= self._log_from:
                self._note(caller, "PredictStream", Code.OK.name, seconds, units, context.values)

        now, deadline, tenant = self._clock(), context.deadline.at, ""
        if deadline == inf:
            deadline = now + self._default_timeout
        try:
            # Asked for each request: a token may expire while its stream lives on.
            tenant = self._identity.tenant(context.values)
            asks()
            run = self._pipeline.predict(tenant, payload, deadline, now, done, caller)
        except CroupierError as error:
            self._pacing.tell(error, tenant, len(payload), now, partial(done, error, []))
        else:
            future.add_done_callback(lambda _: run.cancel())
        return future


# A router reads the fields at a message's outside, so it takes no more of them than that.
_scale_of = partial(scale_of, max_fields=MAX_FIELDS)


def _frame(name: int, outcome: Outcome, caller: Named) -> bytes:
    if isinstance(outcome, bytes):
        return envelope.frame(name, _RESPONSE, outcome)
    status = item_status(outcome, str(caller.request_id))
    return envelope.frame(name, _STATUS, status.SerializeToString())


def _counted(path: str) -> tuple[str, str]:
    """The labels of a good end: they are the same for nearly every request."""
    return path.rpartition("/")[2], Code.OK.name


def _count(method: str, error: BaseException) -> None:
    _REQUESTS.values[method, Code(code_of(error)).name] += 1


@contextmanager
def _counting(method: str) -> Iterator[None]:
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        _count(method, Cancelled("the caller hung up"))
        raise
    except BaseException as error:
        _count(method, error)
        raise
    _REQUESTS.values[_counted(method)] += 1
