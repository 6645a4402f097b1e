"""What is registered is what a session finds, by its path as bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator

from support.echo import BATCH, STREAM, UNARY

from croupier.transport.context import Context
from croupier.transport.http2.server_call import Route, ServerCall
from croupier.transport.routes import RouteTable
from croupier.weight import Scale, scale_of
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2

PREDICT, INFER = (
    f"/{pb.DESCRIPTOR.services_by_name[service].full_name}/{method}"
    for pb, service, method in (
        (prediction_pb2, "PredictionService", "Predict"),
        (inference_pb2, "GRPCInferenceService", "ModelInfer"),
    )
)


def batch(calls: list[ServerCall]) -> None: ...


async def unary(message: bytes, context: Context) -> bytes:
    return message


async def stream(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
    yield b""


def facts(route: Route) -> tuple[object, ...]:
    return (
        route.path,
        route.handler,
        route.is_batch,
        route.is_streaming,
        route.max_message,
        route.max_open,
        route.refusal,
    )


def test_each_kind_is_what_it_was_registered_as() -> None:
    table = RouteTable()
    table.add_batch([BATCH], batch)
    table.add_unary(UNARY, unary, max_message_bytes=10, max_open=2)
    table.add_stream(STREAM, stream, max_message_bytes=20, max_open=3)
    assert {path: facts(route) for path, route in table._routes.items()} == {
        BATCH.encode(): (BATCH, batch, True, False, 0, 0, None),
        UNARY.encode(): (UNARY, unary, False, False, 10, 2, None),
        STREAM.encode(): (STREAM, stream, False, True, 20, 3, None),
    }


def test_each_path_of_a_batch_is_weighed_by_its_own_scale() -> None:
    scales = {PREDICT: scale_of(PREDICT), INFER: scale_of(INFER)}

    def scale(path: str) -> Scale:
        return scales[path]

    table = RouteTable()
    table.add_batch([PREDICT, INFER], batch, scale_of=scale)
    assert {path.decode(): route.scale for path, route in table._routes.items()} == scales


def test_who_registers_a_path_again_has_it() -> None:
    table = RouteTable()
    table.add_batch([BATCH], batch)
    table.add_unary(BATCH, unary)
    assert facts(table._routes[BATCH.encode()])[1:4] == (unary, False, False)
