"""A real client against a real cell gets right answers, whatever others do."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.cell_server import CellServer, infer_request, open_cell, row_item
from support.cells import Clock, merged_requests
from support.graphs import centred, matmul
from support.models import FEATURES, train_regressor, train_small

from cell.engines.onnx import OnnxEngine
from cell.loading.slices import Slices
from cell.scoring.hot import Answered
from cell.server import INFER_PATH, Handlers
from croupier.artifacts.engines import ONNX
from croupier.artifacts.packers.onnx import pack_onnx
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb

Small = tuple[Any, np.ndarray[Any, Any], bytes]
# Bytes of capacity that are enough for one of the small models and not for two, when sizes are estimated.
# What is measured of a session has in it what other threads of this process took meanwhile.
ONE_MODEL = 90_000
ESTIMATED = {ONNX: OnnxEngine(heap=lambda: None)}


def raw_output(response: oip.ModelInferResponse, name: str, dtype: str) -> np.ndarray[Any, Any]:
    for place, output in enumerate(response.outputs):
        if output.name == name:
            array = np.frombuffer(response.raw_output_contents[place], dtype)
            return array.reshape(tuple(output.shape))
    raise AssertionError(f"no output {name}")


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
    async with open_cell(tmp_path, ESTIMATED, capacity_bytes=ONE_MODEL, churn_guard=0.0) as server:
        models = [train_small(seed) for seed in range(4)]
        keys = [await server.store.put(artifact) for _, _, artifact in models]
        for number in range(12):
            model, rows, _ = models[number % 4]
            (result,) = await server.predict(row_item(keys[number % 4], rows[number]))
            assert result.WhichOneof("outcome") == "value", result.status
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


async def test_a_caller_that_hangs_up_harms_nobody(tmp_path: Path, small: Small) -> None:
    async with open_cell(tmp_path, ESTIMATED, capacity_bytes=ONE_MODEL) as server:
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


class Takes:
    """A hot path that takes `seconds` each time, of which `count` are left."""

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


class Refuses:
    """A hot path that hands all calls back, with these results, and hears what is refused."""

    def __init__(self, results: list[bytes | None]) -> None:
        self.results = results
        self.refused: list[tuple[int, Any]] = []

    def answer(self, calls: Sequence[Any] = ()) -> Answered:
        return Answered([(call, self.results) for call in calls], [], False)

    def refuse(self, priority: int, call: Any) -> None:
        self.refused.append((priority, call))


@dataclass(frozen=True)
class Asked:
    message: bytes
    path: str = INFER_PATH
    is_open: bool = True


@pytest.mark.parametrize(
    ("late", "results", "is_refused"),
    [((4, 7), [], True), ((4, 8), [], False), ((0, 7), [], False), ((4, 7), [None, b"known"], False)],
)
def test_what_the_batcher_would_refuse_is_refused_before_it_is_read(
    late: tuple[int, int], results: list[bytes | None], is_refused: bool
) -> None:
    pieces: list[Any] = []
    slices = Slices(Clock(), pieces.append)
    hot, nobody = Refuses(results), None
    begun: list[Any] = []
    handlers: Any = Handlers(
        nobody,  # type: ignore[arg-type]
        hot,  # type: ignore[arg-type]
        nobody,  # type: ignore[arg-type]
        slices,
        lambda: True,
        clock=Clock(),
        is_late=late.__eq__,
    )
    handlers._server = SimpleNamespace(serve_alone=lambda call, _: begun.append(call))
    call = Asked(oip.ModelInferRequest(owner=7, priority=4).SerializeToString())
    handlers.take([call])
    pieces[0]()
    assert hot.refused == ([(4, call)] if is_refused else [])
    assert begun == ([] if is_refused else [call])
