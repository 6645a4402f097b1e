"""A status for every cause: each row of the table that a router can meet, through real gRPC."""

import asyncio
import time
from typing import Any

import grpc
import jwt
import pytest
from support.fakes import hang, metric, refuse
from support.waiting import eventually
from support.worlds import MODELS, Router, World, failing, parameters, world

from croupier.errors import FailedPrecondition, InternalError, InvalidRequest, Unavailable
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb

Code = grpc.StatusCode


async def test_no_tenant_is_unauthenticated(stage: World) -> None:
    request = inference_pb2.ModelInferRequest(model_name="churn")
    async with failing(Code.UNAUTHENTICATED, "ErrorInfo"):
        await stage.router.inference.ModelInfer(request)
    async with failing(Code.UNAUTHENTICATED):
        await stage.router.inference.ModelReady(inference_pb2.ModelReadyRequest(name="churn"))
    async with failing(Code.UNAUTHENTICATED):
        await stage.router.inference.ModelMetadata(inference_pb2.ModelMetadataRequest(name="churn"))
    async with failing(Code.UNAUTHENTICATED):
        await stage.router.prediction.Predict(pb.PredictRequest())
    async with failing(Code.UNAUTHENTICATED):
        await anext(aiter(stage.router.prediction.PredictStream(iter([]))))


async def test_tokens_are_verified(tmp_path: Any) -> None:
    key = tmp_path / "tenants.key"
    key.write_bytes(b"k" * 48 + b"\n")

    def as_(**claims: Any) -> tuple[tuple[str, str], ...]:
        given = {"sub": "acme", "aud": "croupier", "exp": time.time() + 60, **claims}
        return (("authorization", "Bearer " + jwt.encode(given, b"k" * 48, algorithm="HS256")),)

    async with world(MODELS, token_key=key) as made:
        made.router.metadata = as_()
        assert await made.router.infer("price")
        made.router.metadata = as_(sub="globex")
        assert await made.router.infer("secret")
        for bad in (
            as_(exp=time.time() - 1),
            as_(aud="other"),
            as_(sub="acme\0"),
            (("authorization", "Bearer " + jwt.encode({"sub": "acme"}, None, algorithm="none")),),
            (("authorization", "Bearer x"),),
            (("croupier-tenant", "acme"),),
        ):
            made.router.metadata = bad
            async with failing(Code.UNAUTHENTICATED, "ErrorInfo"):
                await made.router.infer("price")
        made.router.metadata = (*as_(), ("croupier-tenant", "globex"), ("croupier-tenant", "acme"))
        async with failing(Code.PERMISSION_DENIED):
            await made.router.predict("secret")


@pytest.mark.parametrize("name", ["secret", "nothing"])
async def test_another_tenants_model_is_denied_whether_it_exists_or_not(stage: World, name: str) -> None:
    async with failing(Code.PERMISSION_DENIED, "ErrorInfo"):
        await stage.router.infer(name, parameters=parameters(tenant="globex"))
    assert await stage.router.infer("price", parameters=parameters(tenant="acme"))


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "x" * 129},
        {"name": "a\0b"},
        {"name": "../globex/secret"},
        {"name": "a\\b"},
        {"name": "e\u0301"},
        {"model_version": "one"},
        {"model_version": "1", "parameters": parameters(label="next")},
        {"parameters": {"label": inference_pb2.InferParameter(int64_param=1)}},
    ],
)
async def test_a_request_that_makes_no_sense_is_invalid(stage: World, fields: dict[str, Any]) -> None:
    async with failing(Code.INVALID_ARGUMENT, "BadRequest"):
        await stage.router.infer(**{"name": "churn", **fields})
    if "name" in fields:
        async with failing(Code.INVALID_ARGUMENT, "BadRequest"):
            await stage.router.predict(pb.Item(model=fields["name"]))


@pytest.mark.parametrize("data", [b"\xff\xff", b"\x0a\x05ab", b"\x0b", b"\x0a\x02\xff\xfe"])
async def test_undecodable_bytes_are_invalid(stage: World, data: bytes) -> None:
    for path in ("ModelInfer", "ModelMetadata", "ModelReady"):
        call: Any = stage.router.channel.unary_unary(f"/inference.GRPCInferenceService/{path}")
        async with failing(Code.INVALID_ARGUMENT, "BadRequest"):
            await call(data, metadata=stage.router.metadata)
    predict: Any = stage.router.channel.unary_unary("/croupier.prediction.v1.PredictionService/Predict")
    # As a request, and as an item of one.
    for request in (data, b"\x0a" + bytes([len(data)]) + data):
        async with failing(Code.INVALID_ARGUMENT, "BadRequest"):
            await predict(request, metadata=stage.router.metadata)


async def test_no_items_and_too_many_items_are_invalid() -> None:
    async with world(MODELS, max_items=3) as made:
        async with failing(Code.INVALID_ARGUMENT, "BadRequest"):
            await made.router.predict()
        async with failing(Code.INVALID_ARGUMENT, "BadRequest"):
            await made.router.predict(*["price"] * 4)
        assert len((await made.router.predict(*["price"] * 3)).results) == 3


async def test_a_stream_answers_each_bad_request_with_its_own_status(stage: World) -> None:
    requests = {
        1: pb.PredictRequest(),
        2: pb.PredictRequest(items=[pb.Item(model="a\0b")]),
        3: pb.PredictRequest(items=[pb.Item(model="nothing")]),
        4: pb.PredictRequest(items=[pb.Item(model="price")]),
    }
    frames = [pb.PredictStreamRequest(id=id_, request=request) for id_, request in requests.items()]
    call = stage.router.prediction.PredictStream(iter(frames), metadata=stage.router.metadata)
    assert {answer.id: answer.status.code async for answer in call} == {1: 3, 2: 3, 3: 5, 4: 0}


async def test_items_that_fail_for_different_reasons_keep_them(stage: World) -> None:
    for cell in stage.hand(name="price"):
        await cell.kill()
    response = await stage.router.predict("nothing", "a\0b", "price")
    assert [result.status.code for result in response.results] == [5, 3, 14]
    assert response.results[2].status.retry_after_ms > 0


@pytest.mark.parametrize(
    ("tenant", "fields"),
    [
        ("acme", {"name": "nothing"}),
        ("acme", {"name": "secret"}),
        ("nobody", {}),
        ("acme", {"model_version": "9"}),
        ("acme", {"parameters": parameters(label="old")}),
        ("acme", {"name": "raw"}),
    ],
)
async def test_what_is_unknown_is_not_found(stage: World, tenant: str, fields: dict[str, Any]) -> None:
    caller = Router(stage.router.channel, stage.router.address, tenant)
    async with failing(Code.NOT_FOUND, "ErrorInfo"):
        await caller.infer(**{"name": "churn", **fields})
    if set(fields) <= {"name"}:
        async with failing(Code.NOT_FOUND, "ErrorInfo"):
            await caller.predict(fields.get("name", "churn"))


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (InvalidRequest("wrong shape", field="inputs"), Code.INVALID_ARGUMENT, "BadRequest"),
        (FailedPrecondition("quarantined", reason="QUARANTINED"), Code.FAILED_PRECONDITION, "ErrorInfo"),
        (InternalError("the engine crashed"), Code.INTERNAL, "ErrorInfo"),
        (RuntimeError("a bug"), Code.INTERNAL, "ErrorInfo"),
    ],
)
async def test_what_a_cell_says_is_handed_on_and_not_tried_again(
    stage: World, error: Exception, code: grpc.StatusCode, detail: str
) -> None:
    first = stage.hand(name="price")[0]
    first.before = refuse(error)
    async with failing(code, detail):
        await stage.router.infer("price")
    async with failing(code, detail):
        await stage.router.predict("price")
    assert [cell for cell, _ in stage.calls()] == [first.id] * 2


async def test_a_tenant_over_its_quota_is_told_so_and_others_are_served() -> None:
    before = metric("croupier_router_in_flight")
    async with world(MODELS, max_in_flight_per_tenant=2) as made:
        hand = made.hand(name="price")
        hand[0].before = hang
        running = [asyncio.create_task(made.router.infer("price")) for _ in range(2)]
        await eventually(lambda: len(hand[0].calls) == 2, "two in flight")
        for refused in (made.router.infer("price"), made.router.predict("price")):
            async with failing(Code.RESOURCE_EXHAUSTED, "QuotaFailure", "RetryInfo"):
                await refused
        other = Router(made.router.channel, made.router.address, "globex")
        for cell in made.hand("globex", "secret"):
            cell.before = None
        assert await other.infer("secret")
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await eventually(lambda: all(call.cancelled for call in hand[0].calls), "the hung calls are gone")
        assert metric("croupier_router_in_flight") == before


async def test_a_full_router_says_so_at_once() -> None:
    async with world(MODELS, max_in_flight=1, attempt_timeout=30.0) as made:
        first = made.hand(name="price")[0]
        first.before = hang
        running = asyncio.create_task(made.router.infer("price"))
        await eventually(lambda: first.calls, "one in flight")
        async with failing(Code.UNAVAILABLE, "RetryInfo"):
            await made.router.infer("price")
        running.cancel()


async def test_a_message_over_the_limit_is_refused() -> None:
    async with world(MODELS, max_message_bytes=4096) as made:
        async with failing(Code.RESOURCE_EXHAUSTED):
            await made.router.infer("price", raw_input_contents=[bytes(5000)])
        async with failing(Code.RESOURCE_EXHAUSTED):
            await made.router.predict(*[pb.Item(model="price", entity_id="x" * 100)] * 50)
        frame = pb.PredictStreamRequest(request=pb.PredictRequest(items=[pb.Item(model="x" * 5000)]))
        stream = made.router.prediction.PredictStream(iter([frame]), metadata=made.router.metadata)
        async with failing(Code.RESOURCE_EXHAUSTED):
            await anext(aiter(stream))
        assert await made.router.infer("price", raw_input_contents=[bytes(3000)])
        assert len(made.calls()) == 1


async def test_metadata_over_the_limit_are_refused(stage: World) -> None:
    stage.router.metadata = (*stage.router.metadata, ("x-long", "x" * 40_000))
    async with failing(Code.RESOURCE_EXHAUSTED):
        await stage.router.infer("price")
    assert stage.calls() == []


async def test_a_whole_hand_that_is_down_is_told_fast(stage: World) -> None:
    for cell in stage.hand(name="price"):
        await cell.kill()
    began = time.monotonic()
    for _ in range(3):
        async with failing(Code.UNAVAILABLE, "RetryInfo"):
            await stage.router.infer("price")
        async with failing(Code.UNAVAILABLE, "RetryInfo"):
            await stage.router.predict("price")
    assert time.monotonic() - began < 5.0
    assert stage.calls() == []


async def test_a_cell_that_refuses_is_tried_elsewhere_and_its_words_are_handed_on(stage: World) -> None:
    hand = stage.hand(name="price")
    for cell in hand:
        cell.before = refuse(Unavailable("the load queue is full", retry_after=0.5))
    async with failing(Code.UNAVAILABLE, "RetryInfo"):
        await stage.router.infer("price")
    assert sorted(cell for cell, _ in stage.calls()) == sorted(cell.id for cell in hand)


async def test_a_budget_bounds_the_retries() -> None:
    async with world(MODELS, retry_share=0.0, retries_per_second=0.0) as made:
        first, second = made.hand(name="price")
        first.before = refuse(Unavailable("busy"))
        async with failing(Code.UNAVAILABLE):
            await made.router.infer("price")
        assert (len(first.calls), len(second.calls)) == (1, 0)


async def test_a_deadline_that_passes_ends_the_calls(stage: World) -> None:
    hand = stage.hand(name="price")
    for cell in hand:
        cell.before = hang
    async with failing(Code.DEADLINE_EXCEEDED):
        await stage.router.infer("price", timeout=0.4)
    await eventually(lambda: all(call.cancelled for _, call in stage.calls()), "the calls are given up")
    assert len(stage.calls()) == 2


async def test_a_deadline_that_has_passed_on_arrival_executes_nothing(stage: World) -> None:
    def be_late() -> None:
        # The request lies in the router's socket while its loop is busy with something else.
        busy_until = time.monotonic() + 0.06
        while time.monotonic() < busy_until:
            pass

    for ask in (stage.router.infer, stage.router.predict):
        asking = asyncio.create_task(ask("price", timeout=0.02))
        asyncio.get_running_loop().call_soon(be_late)
        async with failing(Code.DEADLINE_EXCEEDED):
            await asking
    await stage.router.infer("churn", model_version="3")
    assert [call.request.model_name for _, call in stage.calls()] == ["churn"]


async def test_a_caller_without_a_deadline_gets_the_default() -> None:
    async with world(MODELS, default_timeout=3.0) as made:
        await made.router.infer("price", timeout=None)
        [(_, call)] = made.calls()
        assert 2.0 < (call.remaining or 0) < 3.5


async def test_a_caller_who_hangs_up_cancels_the_calls(stage: World) -> None:
    first = stage.hand(name="price")[0]
    first.before = hang
    for ask in (stage.router.infer, stage.router.predict):
        first.calls.clear()
        asking = asyncio.create_task(ask("price"))
        await eventually(lambda: first.calls, "the cell is asked")
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await eventually(lambda: first.calls[0].cancelled, "the cell hears of it")


async def test_an_unknown_method_is_unimplemented(stage: World) -> None:
    call: Any = stage.router.channel.unary_unary("/inference.GRPCInferenceService/ModelStreamInfer")
    async with failing(Code.UNIMPLEMENTED):
        await call(b"", metadata=stage.router.metadata)
