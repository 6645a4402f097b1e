"""The general way of a request through a cell, the only file that knows the order of its stages.

Plain requests go by `hot.py`: what must hold for every request stands in both, or in `server.Handlers.take`.

    check     a digest, a deadline in the future, a shard map that is not too old
    host      a lease on the model, loaded on a miss
    decode    the caller's tensors, features or row against the model's signature, completed by what a router
              fetched
    admit     what the model itself does not take, as a category that it does not know
    answers   whether what the model would give fits one message
    batcher   scored with whoever waits for the same artifact
    encode    in the form that the caller used

A cell knows models by digest alone: names and versions are echoed, never read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from cell.codec import rows, tensors
from cell.codec.answers import Room
from cell.codec.fence import Fence, StaleMap
from cell.codec.given import given_of
from cell.codec.signature import Signature, answer_bytes
from cell.engines import Scorer
from cell.loading.host import Host
from cell.loading.refusals import ColdLoads
from cell.residency.residency import Lease
from cell.scoring.batcher import Batcher
from croupier.artifacts.format import Tensor
from croupier.deadline import Deadline
from croupier.errors import CroupierError, InternalError, InvalidRequest
from croupier.items import item_status
from croupier.names import DIGEST_BYTES, check_digest
from croupier.priorities import known as known_priority
from croupier.request_ids import current_id
from croupier.telemetry.metrics import LoopCounter
from croupier.transport.http2.limits import MAX_MESSAGE_BYTES
from croupier.transport.steps import step
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2

_log = logging.getLogger(__name__)

# What says of itself whose it is, and whether anything is loaded for it.
_Asking: TypeAlias = (
    inference_pb2.ModelInferRequest | inference_pb2.ModelMetadataRequest | prediction_pb2.Item
)
_INFER, _PREDICT = ("infer",), ("predict",)
_REQUESTS = LoopCounter(
    *("croupier_cell_requests_total", "Requests that went the general way, by method", ["method"]),
    known=(_INFER, _PREDICT),
)


class Pipeline:
    """Answers requests that are decoded; `max_rows` bounds the rows or items of one, `max_answer` its
    answer, and `fence` keeps out what an old shard map dealt.
    """

    def __init__(
        self,
        host: Host,
        batcher: Batcher,
        *,
        max_rows: int,
        clock: Callable[[], float],
        max_answer: int = MAX_MESSAGE_BYTES,
        fence: Fence | None = None,
    ) -> None:
        self._host = host
        self._fence = fence or Fence()
        self._batcher = batcher
        self._max_rows = max_rows
        self._max_answer = max_answer
        self._clock = clock

    async def infer(
        self,
        request: inference_pb2.ModelInferRequest,
        deadline: Deadline,
        at_work: Callable[[], None] | None = None,
        loads: Callable[[], None] | None = None,
    ) -> inference_pb2.ModelInferResponse:
        """The answer to one ModelInfer; `at_work` as in `Batcher.score`; `loads` is called if it waits.

        Raises:
            InvalidRequest: the request does not fit the model, or its answer no message.
            And what `Fence.check`, `Host.lease` and `Batcher.score` raise.
        """
        _REQUESTS.values[_INFER] += 1
        deadline.check(self._clock())
        self._fence.check(request.generation)
        digest = check_digest(request.artifact)
        with await self._lease(request, digest, deadline, loads) as lease:
            signature = lease.model.signature
            outputs = tensors.requested_outputs(request, signature)
            given, is_explained = given_of(request, signature), _is_explained(request)
            inputs = tensors.decode(request, signature, self._max_rows, given)
            size, room = answer_bytes(outputs, inputs.rows), Room(self._max_answer, "inputs")
            room.take(size + (given.room(is_explained) if given else 0))
            names = [output.name for output in outputs]
            arrays = lease.model.admitted(inputs.arrays, "inputs")
            scored = await self._batcher.score(
                lease,
                arrays,
                inputs.rows,
                names,
                deadline,
                request.owner,
                at_work,
                known_priority(request.priority),
            )
        room.settle(size, scored)
        response = tensors.encode(request, outputs, scored)
        if given is not None:
            given.tell(response, is_explained)
        return response

    async def describe(
        self, request: inference_pb2.ModelMetadataRequest, deadline: Deadline
    ) -> inference_pb2.ModelMetadataResponse:
        """What a model takes and gives; loads it if need be.

        Raises:
            What `Fence.check` and `Host.lease` raise.
        """
        deadline.check(self._clock())
        self._fence.check(request.generation)
        digest = check_digest(request.artifact)
        with await self._lease(request, digest, deadline) as lease:
            return _metadata(request, lease.model.signature)

    async def predict(
        self,
        request: prediction_pb2.PredictRequest,
        deadline: Deadline,
        known: Sequence[bytes | None] = (),
        at_work: Callable[[], None] | None = None,
        loads: Callable[[int], None] | None = None,
    ) -> list[bytes]:
        """The results of all items, in their order; an item that fails has its own status.

        Of an item whose result is `known` already, that is taken; `at_work` as in `Batcher.score`; `loads` is
        called with the place of one that waits for its model. An item that has no room beside the others in
        one message fails.

        Raises:
            InvalidRequest: no items, or too many.
            DeadlineExceeded: the deadline has passed already.
        """
        _REQUESTS.values[_PREDICT] += 1
        deadline.check(self._clock())
        if not request.items:
            raise InvalidRequest("the request has no items", field="items")
        if len(request.items) > self._max_rows:
            raise InvalidRequest(
                f"{len(request.items)} items are over the limit of {self._max_rows}", field="items"
            )
        found = [*known] or [None] * len(request.items)
        room = Room(self._max_answer, "items", sum(len(result) for result in found if result is not None))
        self._refuse(request, found)
        missing = [place for place, result in enumerate(found) if result is None]
        making = [
            self._result(request.items[place], deadline, room, at_work, loads and partial(loads, place))
            for place in missing
        ]
        results = [await making[0]] if len(making) == 1 else await asyncio.gather(*making)
        made = dict(zip(missing, results, strict=True))
        return [
            made[place].SerializeToString() if result is None else result
            for place, result in enumerate(found)
        ]

    def _refuse(self, request: prediction_pb2.PredictRequest, found: list[bytes | None]) -> None:
        """Put one refusal in the place of every item that an old shard map dealt, and one of all for which
        nothing is loaded: there may be very many.
        """
        stale = cold = b""
        for place, item in enumerate(request.items):
            if found[place] is not None:
                continue
            if self._fence.refuses(item.generation):
                stale = found[place] = stale or _refusal(StaleMap())
            elif item.resident_only and self._is_cold(item.artifact):
                cold = found[place] = cold or _refusal(ColdLoads())

    def _is_cold(self, artifact: bytes) -> bool:
        return len(artifact) == DIGEST_BYTES and not self._host.has(artifact)

    async def _lease(
        self, request: _Asking, digest: bytes, deadline: Deadline, loads: Callable[[], None] | None = None
    ) -> Lease[Scorer]:
        """As `Host.lease`; a wait for it is a step of its own. Raises ColdLoads too."""
        if self._host.has(digest):
            return await self._host.lease(digest, deadline, request.owner, known_priority(request.priority))
        if request.resident_only:
            raise ColdLoads
        if loads is not None:
            loads()
        with step("load"):
            return await self._host.lease(digest, deadline, request.owner, known_priority(request.priority))

    async def _result(
        self,
        item: prediction_pb2.Item,
        deadline: Deadline,
        room: Room,
        at_work: Callable[[], None] | None,
        loads: Callable[[], None] | None,
    ) -> prediction_pb2.Result:
        began = self._clock()
        try:
            result = await self._scored(item, deadline, room, at_work, loads)
        except Exception as error:  # noqa: BLE001 (it is this item's result, and no other's)
            if not isinstance(error, CroupierError) or isinstance(error, InternalError):
                _log.error("an item failed inside", exc_info=error)
            result = prediction_pb2.Result(status=item_status(error, current_id()))
        result.took_us = int((self._clock() - began) * 1e6)
        return result

    async def _scored(
        self,
        item: prediction_pb2.Item,
        deadline: Deadline,
        room: Room,
        at_work: Callable[[], None] | None,
        loads: Callable[[], None] | None,
    ) -> prediction_pb2.Result:
        digest = check_digest(item.artifact)
        with await self._lease(item, digest, deadline, loads) as lease:
            signature = lease.model.signature
            given = given_of(item, signature)
            inputs = lease.model.admitted(rows.to_arrays(item, signature, given), "features")
            room.take(signature.row_bytes + (given.room(item.explain) if given else 0))
            names = [output.name for output in signature.outputs]
            scored = await self._batcher.score(
                lease, inputs, 1, names, deadline, item.owner, at_work, known_priority(item.priority)
            )
        room.settle(signature.row_bytes, scored)
        value = rows.to_value(signature.outputs, scored)
        result = prediction_pb2.Result(value=value, version=item.version)
        if given is not None:
            given.tell_item(result, item.explain)
        return result


def _is_explained(request: inference_pb2.ModelInferRequest) -> bool:
    return "explain" in request.parameters and request.parameters["explain"].bool_param


def _refusal(error: CroupierError) -> bytes:
    """The result of an item that came to `error`."""
    return prediction_pb2.Result(status=item_status(error, current_id())).SerializeToString()


def _metadata(
    request: inference_pb2.ModelMetadataRequest, signature: Signature
) -> inference_pb2.ModelMetadataResponse:
    """All but the versions, which a router appends: an echoed one would stand there twice."""
    return inference_pb2.ModelMetadataResponse(
        name=request.name,
        platform=f"croupier_{signature.engine}",
        inputs=map(_tensor_metadata, signature.inputs),
        outputs=map(_tensor_metadata, signature.outputs),
    )


def _tensor_metadata(tensor: Tensor) -> inference_pb2.ModelMetadataResponse.TensorMetadata:
    return inference_pb2.ModelMetadataResponse.TensorMetadata(
        name=tensor.name, datatype=tensor.datatype, shape=tensor.shape
    )
