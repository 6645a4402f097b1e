"""A real client against a real cell: right answers, and a status for each thing that can be wrong."""

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from support.cell_server import CellServer, infer_request, open_cell, row_item
from support.cells import Clock, digest, merged_requests
from support.graphs import centred, matmul, packed
from support.models import FEATURES, train_regressor, train_small

from cell.loading.slices import Slices
from cell.scoring.hot import Answered
from cell.server import Handlers
from croupier.artifacts.packers.onnx import pack_onnx
from croupier.errors import (
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
    TooLarge,
    Unimplemented,
)
from croupier.stores.objects import key_of
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb

Small = tuple[Any, np.ndarray[Any, Any], bytes]
INFER = "/inference.GRPCInferenceService/ModelInfer"
# Bytes of capacity that are enough for one of the small models, and not for two.
ONE_MODEL = 90_000
PREDICT = "/croupier.prediction.v1.PredictionService/Predict"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[CellServer]:
    async with open_cell(tmp_path, max_rows=50) as server:
        yield server


@pytest.fixture
async def key(server: CellServer, small: Small) -> bytes:
    return await server.store.put(small[2])


def raw_output(response: oip.ModelInferResponse, name: str, dtype: str) -> np.ndarray[Any, Any]:
    for place, output in enumerate(response.outputs):
        if output.name == name:
            array = np.frombuffer(response.raw_output_contents[place], dtype)
            return array.reshape(tuple(output.shape))
    raise AssertionError(f"no output {name}")


# Right answers.


async def test_infer_raw(server: CellServer, key: bytes, small: Small) -> None:
    model, rows, _ = small
    response = await server.infer(infer_request(key, rows[:20], raw=True))
    assert (response.model_name, response.model_version, response.id) == ("m", "3", "request-1")
    np.testing.assert_array_equal(model.predict(rows[:20]), raw_output(response, "label", "<i8"))
    expected = model.predict_proba(rows[:20])
    np.testing.assert_allclose(expected, raw_output(response, "probabilities", "<f4"), rtol=1e-4)


async def test_infer_typed(server: CellServer, key: bytes, small: Small) -> None:
    model, rows, _ = small
    request = infer_request(key, rows[:3])
    request.outputs.add(name="probabilities")
    response = await server.infer(request)
    assert [output.name for output in response.outputs] == ["probabilities"]
    assert list(response.outputs[0].shape) == [3, 2]
    np.testing.assert_allclose(
        model.predict_proba(rows[:3]).ravel(), response.outputs[0].contents.fp32_contents, rtol=1e-4
    )


async def test_predict_rows_and_features(server: CellServer, key: bytes, small: Small) -> None:
    model, rows, _ = small
    features = pb.Features(
        features=[pb.Feature(name=name, number=rows[1][place]) for place, name in enumerate(FEATURES)][::-1]
    )
    named = pb.Item(model="m", version=9, artifact=key, features=features)
    results = await server.predict(row_item(key, rows[0]), named)
    assert [result.version for result in results] == [3, 9]
    for row, result in zip(rows, results, strict=False):
        outputs = {output.name: output for output in result.value.outputs}
        assert list(outputs["label"].integers.values) == model.predict([row]).tolist()
        np.testing.assert_allclose(
            model.predict_proba([row])[0], outputs["probabilities"].numbers.values, rtol=1e-4
        )
        assert result.took_us > 0


async def test_many_models_at_once_and_every_answer_is_its_own(server: CellServer) -> None:
    models = [train_small(seed) for seed in range(6)]
    keys = [await server.store.put(artifact) for _, _, artifact in models]

    async def ask(number: int) -> None:
        model, rows, _ = models[number % 6]
        (result,) = await server.predict(row_item(keys[number % 6], rows[number]))
        np.testing.assert_allclose(
            model.predict_proba([rows[number]])[0], result.value.outputs[1].numbers.values, rtol=1e-4
        )

    await asyncio.gather(*(ask(number) for number in range(120)))


async def test_rows_that_depend_on_each_other_meet_no_others(server: CellServer) -> None:
    """Two tenants have published the same bytes, and ask all the time."""
    key = await server.store.put(pack_onnx(centred(), features=["a", "b"]))
    rng = np.random.default_rng(1)
    asked = [rng.normal(size=(rng.integers(1, 6), 2)).astype(np.float32) for _ in range(200)]
    requests = [infer_request(key, rows, raw=True) for rows in asked]
    for owner, request in enumerate(requests):
        request.owner = 1 + owner % 2
    merged = merged_requests()
    answers = await asyncio.gather(*map(server.infer, requests))
    for rows, answer in zip(asked, answers, strict=True):
        np.testing.assert_allclose(raw_output(answer, "y", "<f4"), rows - rows.mean(axis=0), atol=1e-6)
    items = [row_item(key, [float(place), 1.0]) for place in range(20)]
    results = await server.predict(*items)
    assert all(result.value.outputs[0].numbers.values == [0, 0] for result in results)
    assert merged_requests() == merged


async def test_independent_rows_meet_others(server: CellServer) -> None:
    key = await server.store.put(pack_onnx(matmul()))
    merged = merged_requests()
    requests = [infer_request(key, np.full((1, 2), place, np.float32), raw=True) for place in range(200)]
    answers = await asyncio.gather(*map(server.infer, requests))
    for place, answer in enumerate(answers):
        np.testing.assert_array_equal(raw_output(answer, "y", "<f4"), [[2 * place, 2 * place]])
    assert merged_requests() > merged


async def test_models_that_do_not_fit_together_take_turns(tmp_path: Path) -> None:
    async with open_cell(tmp_path, capacity_bytes=ONE_MODEL, churn_guard=0.0) as server:
        models = [train_small(seed) for seed in range(4)]
        keys = [await server.store.put(artifact) for _, _, artifact in models]
        for number in range(12):
            model, rows, _ = models[number % 4]
            (result,) = await server.predict(row_item(keys[number % 4], rows[number]))
            assert list(result.value.outputs[0].integers.values) == model.predict([rows[number]]).tolist()


async def test_a_model_without_feature_names_takes_tensors_and_dense_rows(server: CellServer) -> None:
    model, rows, artifact = train_regressor()
    key = await server.store.put(artifact)
    response = await server.infer(infer_request(key, rows[:5], raw=True))
    (output,) = response.outputs
    np.testing.assert_allclose(
        model.predict(rows[:5]), raw_output(response, output.name, "<f4").ravel(), rtol=1e-3
    )
    (result,) = await server.predict(row_item(key, rows[0]))
    np.testing.assert_allclose(model.predict(rows[:1]), result.value.outputs[0].numbers.values, rtol=1e-3)


async def test_metadata(server: CellServer, key: bytes) -> None:
    response = await server.describe(key, name="m", version="3")
    assert (response.name, list(response.versions), response.platform) == ("m", [], "croupier_onnx")
    (tensor,) = response.inputs
    assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("input", "FP32", [-1, 10])
    assert [output.name for output in response.outputs] == ["label", "probabilities"]


async def test_the_server_itself(server: CellServer) -> None:
    assert (await server.inference.ServerLive(oip.ServerLiveRequest())).live
    assert (await server.inference.ServerReady(oip.ServerReadyRequest())).ready
    assert (await server.inference.ServerMetadata(oip.ServerMetadataRequest())).name == "croupier-cell"


async def test_the_store_away_is_no_matter_for_what_was_fetched(
    server: CellServer, key: bytes, small: Small, tmp_path: Path
) -> None:
    await server.predict(row_item(key, small[1][0]))
    await server.store.delete(key)
    await server.cell.stop()
    async with open_cell(tmp_path) as again:
        (result,) = await again.predict(row_item(key, small[1][0]))
        assert result.WhichOneof("outcome") == "value"


# INVALID_ARGUMENT.


def bad_datatype(request: oip.ModelInferRequest) -> None:
    request.inputs[0].datatype = "FP64"


def bad_shape(request: oip.ModelInferRequest) -> None:
    request.inputs[0].shape[1] = 11


def bad_length(request: oip.ModelInferRequest) -> None:
    request.raw_input_contents[0] = request.raw_input_contents[0][:-1]


def bad_name(request: oip.ModelInferRequest) -> None:
    request.inputs[0].name = "../input\0"


def bad_output(request: oip.ModelInferRequest) -> None:
    request.outputs.add(name="nothing")


def bad_nan(request: oip.ModelInferRequest) -> None:
    request.raw_input_contents[0] = np.full(20, math.nan, np.float32).tobytes()


def bad_batch(request: oip.ModelInferRequest) -> None:
    request.inputs[0].shape[0] = 51
    request.raw_input_contents[0] = bytes(51 * 40)


def bad_digest(request: oip.ModelInferRequest) -> None:
    request.artifact = b"short"


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (bad_datatype, "inputs[0].datatype"),
        (bad_shape, "inputs[0].shape"),
        (bad_length, "raw_input_contents[0]"),
        (bad_name, "inputs[0].name"),
        (bad_output, "outputs[0].name"),
        (bad_nan, "inputs[0]"),
        (bad_batch, "inputs[0].shape"),
        (bad_digest, "artifact"),
    ],
)
async def test_what_is_wrong_with_a_tensor_is_named(
    server: CellServer,
    key: bytes,
    small: Small,
    spoil: Callable[[oip.ModelInferRequest], None],
    field: str,
) -> None:
    request = infer_request(key, small[1][:2], raw=True)
    spoil(request)
    with pytest.raises(InvalidRequest) as caught:
        await server.infer(request)
    assert caught.value.field == field
    await server.infer(infer_request(key, small[1][:2], raw=True))


async def test_an_undecodable_message(server: CellServer) -> None:
    for method in (INFER, PREDICT):
        with pytest.raises(InvalidRequest):
            await server.send_bytes(method, b"\xff\xff\xff")


async def test_too_many_items_and_none(server: CellServer, key: bytes, small: Small) -> None:
    item = row_item(key, small[1][0])
    for items in ([item] * 51, []):
        with pytest.raises(InvalidRequest) as caught:
            await server.predict(*items)
        assert caught.value.field == "items"
    assert len(await server.predict(*[item] * 50)) == 50


async def test_each_item_has_its_own_outcome(server: CellServer, key: bytes, small: Small) -> None:
    _, rows, _ = small
    twice = pb.Features(features=[pb.Feature(name=FEATURES[0], number=1)] * 2)
    unknown = pb.Features(features=[pb.Feature(name="nonsense", number=1)])
    results = await server.predict(
        row_item(key, rows[0]),
        row_item(b"", rows[0]),
        row_item(key, rows[0][:3]),
        pb.Item(artifact=key, version=3, features=twice),
        pb.Item(artifact=key, version=3, features=unknown),
        row_item(key, [math.nan] * 10),
        row_item(digest("nowhere"), rows[0]),
        row_item(key, rows[1]),
    )
    assert [result.status.code for result in results] == [0, 3, 3, 3, 3, 3, 5, 0]
    assert [result.version for result in results] == [3, 0, 0, 0, 0, 0, 0, 3]
    assert results[4].status.reason == "INVALID_REQUEST"
    assert "nonsense" in results[4].status.message


# NOT_FOUND, FAILED_PRECONDITION, DATA_LOSS.


async def test_an_artifact_that_is_nowhere(server: CellServer) -> None:
    with pytest.raises(NotFound):
        await server.describe(digest("nowhere"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no artifact", "ARTIFACT_REFUSED"),
        (packed(b"no model"), "ARTIFACT_REFUSED"),
        (packed(matmul(), engine="abacus"), "UNKNOWN_ENGINE"),
    ],
)
async def test_an_artifact_that_cannot_serve(server: CellServer, data: bytes, reason: str) -> None:
    key = await server.store.put(data)
    for _ in range(2):
        with pytest.raises(FailedPrecondition) as caught:
            await server.describe(key)
        assert caught.value.reason == reason


async def test_a_model_larger_than_the_cell(tmp_path: Path, small: Small) -> None:
    async with open_cell(tmp_path, capacity_bytes=1000) as server:
        key = await server.store.put(small[2])
        with pytest.raises(FailedPrecondition) as caught:
            await server.infer(infer_request(key, small[1][:1]))
        assert caught.value.reason == "MODEL_TOO_LARGE"


@pytest.mark.parametrize("damage", [lambda data: data[:-7], lambda data: data[:-1] + b"!"])
async def test_a_corrupt_artifact_is_refused_by_its_digest(
    server: CellServer, small: Small, damage: Callable[[bytes], bytes]
) -> None:
    key = hashlib.sha256(small[2]).digest()
    path = server.folder / "objects" / key_of(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(damage(small[2]))
    with pytest.raises(DataLoss):
        await server.infer(infer_request(key, small[1][:1]))


# RESOURCE_EXHAUSTED, UNAVAILABLE, DEADLINE_EXCEEDED, UNIMPLEMENTED.


async def test_a_message_over_the_limit(server: CellServer) -> None:
    with pytest.raises((QuotaExceeded, TooLarge)):
        await server.send_bytes(INFER, bytes(17 * 2**20))


async def test_too_many_cold_models(tmp_path: Path) -> None:
    async with open_cell(tmp_path, load_threads=1, max_loads=1) as server:
        models = [train_small(seed) for seed in range(6)]
        keys = [await server.store.put(artifact) for _, _, artifact in models]
        results = await server.predict(*(row_item(key, models[0][1][0]) for key in keys))
    assert [result.status.code for result in results] == [0, 14, 14, 14, 14, 14]
    assert {result.status.reason for result in results[1:]} == {"LOAD_QUEUE_FULL"}
    assert all(result.status.retry_after_ms > 0 for result in results[1:])


async def test_too_many_rows_waiting(tmp_path: Path, small: Small) -> None:
    async with open_cell(tmp_path, max_queued_rows=5) as server:
        key = await server.store.put(small[2])
        await server.describe(key)
        results = await server.predict(*[row_item(key, small[1][0])] * 12)
    codes = [result.status.code for result in results]
    assert codes[:5] == [0] * 5
    assert set(codes[5:]) == {14}
    assert results[-1].status.reason == "OVERLOADED"


async def test_a_deadline_that_has_passed(server: CellServer, key: bytes, small: Small) -> None:
    with pytest.raises(DeadlineExceeded):
        await server.infer(infer_request(key, small[1][:1]), timeout=0.0)


async def test_what_only_a_router_serves(server: CellServer, key: bytes) -> None:
    with pytest.raises(Unimplemented):
        await server.send_bytes("/inference.GRPCInferenceService/ModelReady", b"")
    call = server.prediction.PredictStream(iter([pb.PredictStreamRequest(id=1)]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_caller_that_hangs_up_harms_nobody(tmp_path: Path, small: Small) -> None:
    async with open_cell(tmp_path, capacity_bytes=ONE_MODEL) as server:
        request = infer_request(await server.store.put(small[2]), small[1][:1])
        calls = [server.inference.ModelInfer(request) for _ in range(20)]
        for call in calls[::2]:
            call.cancel()
        for call in calls[1::2]:
            assert len((await call).outputs) == 2
        other = await server.store.put(train_small(1)[2])

        async def has_room() -> bool:
            (result,) = await server.predict(row_item(other, small[1][0]))
            return result.status.reason != "NO_ROOM"

        # Every lease of the first model is released, or there would be no room for another.
        for _ in range(200):
            if await has_room():
                return
        raise AssertionError("a lease was not released")


@pytest.mark.parametrize(
    ("method", "one"),
    [(INFER, b"\x2a\0"), (INFER, b"\x32\0"), (INFER, b"\x22\0"), (PREDICT, b"\x0a\0")],
    ids=["inputs", "outputs", "parameters", "items"],
)
async def test_a_request_of_a_great_many_empty_parts_is_never_parsed(
    server: CellServer, method: str, one: bytes
) -> None:
    # As 16 MiB they were half a GiB, in each cell of the hand.
    with pytest.raises(InvalidRequest) as refused:
        await server.send_bytes(method, one * 500_000)
    assert refused.value.reason == "MESSAGE_TOO_HEAVY"


@pytest.mark.parametrize("method", [INFER, PREDICT])
async def test_nor_is_one_of_a_great_many_fields_that_nobody_knows(server: CellServer, method: str) -> None:
    inside = b"\x78\x01" * 500_000
    part = bytes([0x2A if method == INFER else 0x0A, *b"\xc0\x84\x3d"]) + inside
    with pytest.raises(InvalidRequest) as refused:
        await server.send_bytes(method, part)
    assert refused.value.reason == "TOO_MANY_FIELDS"


class Takes:
    """Ticks that take `seconds` each, of which `count` are left."""

    def __init__(self, clock: Clock, seconds: float, count: int) -> None:
        self.clock = clock
        self.seconds = seconds
        self.left = count

    def answer(self, calls: Sequence[Any] = ()) -> Answered:
        self.clock.advance(self.seconds)
        self.left -= 1
        return Answered([], [], self.left > 0)


@pytest.mark.parametrize(("seconds", "turns"), [(0.0001, 1), (0.002, 10), (1.0, 17)])
async def test_between_long_ticks_others_have_as_much_time(seconds: float, turns: int) -> None:
    """A connection with much to read does so in small turns, and others' requests stand behind that."""
    clock = Clock()
    ticks = Takes(clock, seconds + 1e-6, 2)
    nobody: Any = None
    slices = Slices(clock, lambda work: None)
    handlers = Handlers(nobody, ticks, nobody, slices, lambda: True, clock=clock)  # type: ignore[arg-type]
    handlers.take([])
    passed = 0
    while ticks.left:
        await asyncio.sleep(0)
        passed += 1
    assert turns <= passed <= turns + 1
